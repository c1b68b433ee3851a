"""A node of a cluster dies, and another takes its place."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from listening import free_port
from report import Report
from sweeps import SAVES_OFTEN, TWO_CELLS, MakeSweep
from undisturbed import Undisturbed

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]
LOST = "SIGKILL of a second node's raylet"


class Cluster:
    """The script of `two_nodes`, in a process of its own."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        ray = shutil.which("ray", path=environment["PATH"])
        assert ray is not None
        subprocess.run([ray, "get-auth-token", "--generate"], env=environment, check=True, capture_output=True)
        with log.open("w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("two_nodes.py")), str(free_port())],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def ask(self, question: str) -> Any:
        """Return the answer to a question."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        """End it with all its nodes."""
        self.process.communicate(timeout=120)


@pytest.fixture
def cluster(chaos_environment: dict[str, str], tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(chaos_environment | {"RAY_AUTH_MODE": "token"}, tmp_path / "cluster.log")
    yield cluster
    cluster.close()


def test_a_cell_goes_on_on_another_node(
    make_sweep: MakeSweep, undisturbed: Undisturbed, report: Report, cluster: Cluster
) -> None:
    sweep = make_sweep(TWO_CELLS, "resources.slots=1", SAVES_OFTEN, RAY_ADDRESS=cluster.ask("address"))
    sweep.hosts.add(cluster.process.pid)
    cluster.ask("add")
    sweep.start()
    for moment in (5, 45):
        sweep.until_epoch(moment)
        before, since = sweep.workers(), time.time()
        cluster.ask("lose")
        report.injected(LOST)
        cluster.ask("add")
        seconds = sweep.seconds_to_resume(since, before)
        assert seconds is not None, sweep.output
        report.resumed(LOST, seconds)
    assert sweep.wait() == 0, sweep.output
    assert cluster.ask("groups") == 0
    undisturbed.assert_same(sweep, report, [LOST])
