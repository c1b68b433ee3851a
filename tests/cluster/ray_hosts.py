"""A Ray cluster on the hosts of a bed, and zetasweep on them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from bed import Host
from commands import ROOT, until

RAY = [sys.executable, "-m", "ray.scripts.scripts"]
# A node that is silent is dead after so long, not after a minute.
QUICK = {
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_failure_threshold": "4",
    "RAY_health_check_timeout_ms": "1000",
}


@dataclass
class RayHosts:
    """A cluster whose head is the first host.

    Attributes:
        hosts: By their names.
        environment: Of all programs on them.
        folder: That all hosts see.
    """

    hosts: dict[str, Host]
    environment: dict[str, str]
    folder: Path
    started: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Where it is joined."""
        return f"{next(iter(self.hosts.values())).address}:6379"

    def start(self, name: str, *options: str, cpus: int = 1, **variables: str) -> None:
        """Start Ray on a host: the head, if it is the first."""
        host = self.hosts[name]
        as_what = ["--address", self.address]
        if not self.started:
            as_what = ["--head", "--port", "6379", "--node-ip-address", host.address, "--dashboard-host", "127.0.0.1"]
        command = [*RAY, "start", *as_what, "--num-cpus", str(cpus), "--object-store-memory", "100000000", *options]
        # Ray gives a node 30 s to come up, which on a busy machine it may not.
        for _ in range(3):
            answer = host.run(command, self._environment(variables))
            if answer.returncode == 0:
                self.started.append(name)
                return
        raise AssertionError(answer.stdout + answer.stderr)

    def zetasweep(
        self, name: str, *arguments: str | Path, timeout_s: float = 300, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the command line on a host to its end."""
        return self.hosts[name].run(self._call(arguments), self._environment(variables), timeout_s=timeout_s)

    def begin(self, name: str, *arguments: str | Path, **variables: str) -> Running:
        """Run the command line on a host, and follow what it prints."""
        log = self.folder / f"output-{time.monotonic_ns()}.log"
        program = self.hosts[name].popen(self._call(arguments), self._environment(variables), log=log)
        return Running(program, log)

    def _call(self, arguments: Sequence[str | Path]) -> list[str]:
        return [sys.executable, "-m", "orchestrator", *map(str, arguments)]

    def _environment(self, variables: dict[str, str]) -> dict[str, str]:
        return {**self.environment, "PYTHONPATH": str(ROOT), **variables}


@dataclass
class Running:
    """A program that prints into a file."""

    program: subprocess.Popen[str]
    log: Path

    @property
    def output(self) -> str:
        """What it has printed."""
        return self.log.read_text()

    def until_says(self, text: str, *, timeout_s: float = 240) -> None:
        """Wait until it has printed something."""
        until(lambda: text in self.output or self.program.poll() is not None, timeout_s=timeout_s)
        assert text in self.output, self.output

    def wait(self, *, timeout_s: float = 300) -> int:
        """Wait for its end, and return its code."""
        return self.program.wait(timeout_s)


MakeHosts = Callable[..., AbstractContextManager[RayHosts]]
