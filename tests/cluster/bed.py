"""Machines of a network, made of namespaces: a switch, and hosts that have all that two real machines do not share.

A host has its own network, processes, host name, `/etc/hosts`, `/tmp/ray` and `/dev/shm`; the disk is shared by all, as
by NFS, but for folders that are told to be a host's own. It takes root and iproute2: where they lack, `bed` skips.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

SUBNET = "10.77.0"
SHARED_MEMORY = "1g"


@dataclass(frozen=True)
class Plan:
    """How a host is made.

    Attributes:
        interface: What its network interface is called.
        hosts: Lines of its `/etc/hosts` below that of localhost; `{name}` is its host name. Ubuntu's own by default.
        own: Folders, by the path under which it sees a disk of its own there.
    """

    interface: str = "eth0"
    hosts: tuple[str, ...] = ("127.0.1.1 {name}",)
    own: tuple[str, ...] = ()


@dataclass
class Host:
    """One machine, from `start` to `power_off`.

    Attributes:
        name: Its host name.
        address: In the bed's network.
        plan: How it is made.
        folder: Where its own files are, as the machine of the tests sees them.
    """

    name: str
    address: str
    plan: Plan
    folder: Path
    _switch: str
    _number: int
    _keeper: subprocess.Popen[bytes] | None = None
    _programs: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self) -> None:
        """Switch it on: nothing runs on it."""
        _ip("netns", "add", self._network)
        link = f"port{self._number}"
        _ip("-n", self._switch, "link", "add", link, "type", "veth", "peer", "name", "veth", "netns", self._network)
        _ip("-n", self._switch, "link", "set", link, "master", "bridge", "up")
        _ip("-n", self._network, "link", "set", "veth", "name", self.plan.interface)
        _ip("-n", self._network, "address", "add", f"{self.address}/24", "dev", self.plan.interface)
        _ip("-n", self._network, "link", "set", "lo", "up")
        _ip("-n", self._network, "link", "set", self.plan.interface, "up")
        # Ray asks the way to a name server for its own address, whether there is one or not.
        _ip("-n", self._network, "route", "add", "default", "via", f"{SUBNET}.254")
        isolated = ["unshare", "-m", "-u", "-p", "-f", "--mount-proc", "--kill-child=KILL"]
        self._keeper = subprocess.Popen(
            ["ip", "netns", "exec", self._network, *isolated, "sh", "-ec", self._boot()], start_new_session=True
        )
        until = time.monotonic() + 20
        while not (self.folder / "booted").exists():
            assert self._keeper.poll() is None, f"{self.name} did not start"
            assert time.monotonic() < until, f"{self.name} did not start"
            time.sleep(0.01)

    def popen(self, command: Sequence[str], env: Mapping[str, str], *, log: Path | None = None) -> Any:
        """Start a program on it; what it prints goes to `log`, or to pipes as text."""
        out = log.open("a") if log is not None else subprocess.PIPE
        inside = ["nsenter", "--target", str(self._init), "--mount", "--uts", "--net", "--pid", "--wd=/", "--"]
        program = subprocess.Popen(
            [*inside, *command],
            env={**env, "HOSTNAME": self.name},
            stdout=out,
            stderr=subprocess.STDOUT if log is not None else subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        self._programs.append(program)
        return program

    def run(
        self, command: Sequence[str], env: Mapping[str, str], *, timeout_s: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """Run a program on it to its end, and return what it printed."""
        program = self.popen(command, env)
        try:
            out, err = program.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            program.kill()
            out, err = program.communicate()
            err += f"\n{self.name}: ended after {timeout_s:g} s"
        return subprocess.CompletedProcess(list(command), program.returncode, out, err)

    def cut(self) -> None:
        """Pull its network cable; what runs on it goes on."""
        _ip("-n", self._switch, "link", "set", f"port{self._number}", "down")

    def heal(self) -> None:
        """Put the cable in again."""
        _ip("-n", self._switch, "link", "set", f"port{self._number}", "up")

    def power_off(self) -> None:
        """Take its power: nothing on it says a word more. `start` begins anew."""
        if self._keeper is None:
            return
        with _silent():
            self.cut()
        os.killpg(self._keeper.pid, signal.SIGKILL)
        self._keeper.wait()
        self._keeper = None
        for program in self._programs:
            program.kill()
            program.wait()
        self._programs.clear()
        (self.folder / "booted").unlink(missing_ok=True)
        with _silent():
            # The kernel takes its time over a network: its other end would still be there at the next start.
            _ip("-n", self._switch, "link", "delete", f"port{self._number}")
        with _silent():
            _ip("netns", "delete", self._network)

    @property
    def _network(self) -> str:
        return f"{self._switch}-{self._number}"

    @property
    def _init(self) -> int:
        """The process of the machine of the tests that is the host's first."""
        assert self._keeper is not None, f"{self.name} is off"
        children = Path(f"/proc/{self._keeper.pid}/task/{self._keeper.pid}/children").read_text().split()
        return int(children[0])

    def _boot(self) -> str:
        """Return what its first process does: it gives the host what is its own, and takes leave of the dead."""
        hosts = ["127.0.0.1 localhost", *(line.format(name=self.name) for line in self.plan.hosts)]
        (self.folder / "hosts").write_text("\n".join(hosts) + "\n")
        # Without a name server nobody waits for one.
        (self.folder / "resolv.conf").write_text("")
        bound = {"/etc/hosts": self.folder / "hosts", "/etc/resolv.conf": self.folder / "resolv.conf"}
        for path in ("/tmp/ray", *self.plan.own):
            Path(path).mkdir(parents=True, exist_ok=True)
            bound[path] = self.folder / path.strip("/").replace("/", "-")
            bound[path].mkdir(exist_ok=True)
        return "\n".join(
            [
                f"hostname {self.name}",
                *(f"mount --bind {shlex.quote(str(own))} {shlex.quote(path)}" for path, own in bound.items()),
                f"mount -t tmpfs -o size={SHARED_MEMORY} shm /dev/shm",
                f"touch {shlex.quote(str(self.folder / 'booted'))}",
                # Whose end nobody waits for the kernel then forgets at once: a dead raylet is no zombie.
                "trap '' CHLD",
                "exec sleep infinity",
            ]
        )


@contextmanager
def bed(folder: Path, **plans: Plan) -> Iterator[dict[str, Host]]:
    """Have a network with a host for each plan, switched on; all of it is gone at the end.

    Args:
        folder: For the hosts' own files.
        plans: Of each host, by its name.
    """
    missing = _missing()
    if missing:
        pytest.skip(f"no hosts can be made here: {missing}")
    switch = f"zeta{os.getpid()}"
    hosts = {}
    for number, (name, plan) in enumerate(plans.items(), start=1):
        (folder / name).mkdir()
        hosts[name] = Host(name, f"{SUBNET}.{number}", plan, folder / name, switch, number)
    try:
        _ip("netns", "add", switch)
        _ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", switch, "link", "set", "bridge", "up")
        for host in hosts.values():
            host.start()
        yield hosts
    finally:
        for host in hosts.values():
            host.power_off()
        with _silent():
            _ip("netns", "delete", switch)


def _missing() -> str:
    """Return what such hosts need and this machine lacks; empty if nothing."""
    if os.getuid() != 0:
        return "only root may make network namespaces"
    lacking = [program for program in ("ip", "unshare", "nsenter") if shutil.which(program) is None]
    if lacking:
        return f"{', '.join(lacking)} is not installed"
    name = f"zeta{os.getpid()}-probe"
    try:
        _ip("netns", "add", name)
        _ip("-n", name, "link", "add", "bridge", "type", "bridge")
        _ip("-n", name, "link", "add", "port1", "type", "veth", "peer", "name", "port2")
    except subprocess.CalledProcessError as error:
        return " ".join(error.stderr.split())
    finally:
        with _silent():
            _ip("netns", "delete", name)
    return ""


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@contextmanager
def _silent() -> Iterator[None]:
    """Of what is gone already nothing is said."""
    with suppress(subprocess.CalledProcessError):
        yield
