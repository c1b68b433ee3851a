"""Two data sets on a cluster of two nodes: each node trains what it began, as its slots say where their workers are."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from commands import ROOT
from PIL import Image
from ray_head import free_port, with_token

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
FILE = """
name: packed
dataset: [{image_folder: {folder: a}}, {image_folder: {folder: b}}]
model: convnet
augment: erm
seed: [0, 1, 2]
# Longer than it takes until the second slot has its workers, too.
train: {epochs: 40, batch_size_per_worker: 32}
resources: {slots: 2}
tracking: {models: none}
"""
# A head without CPUs and two nodes, for as long as its input is open.
CLUSTER = """
import sys
from ray.cluster_utils import Cluster
memory = {"object_store_memory": 100 * 1024**2}
head = {"num_cpus": 0, "include_dashboard": True, "dashboard_port": int(sys.argv[1]), **memory}
cluster = Cluster(initialize_head=True, head_node_args=head)
for _ in range(2):
    cluster.add_node(num_cpus=1, **memory)
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""
# The command, which notes where each leg begins, and of which data set.
COMMAND = """
import os, runpy
from orchestrator.environment import prepare_program
prepare_program()
from orchestrator.records import Started
from orchestrator.sweep import listener
hear = listener.Listener.on_trial_result
def noting(self, iteration, trials, trial, result, **info):
    if isinstance(result["event"], Started):
        leg = self._giving.leg_of(trial.trial_id)
        with open(os.environ["NOTES"], "a") as file:
            print(*result["nodes"], leg.cell.dataset.path, file=file)
    return hear(self, iteration, trials, trial, result, **info)
listener.Listener.on_trial_result = noting
runpy.run_module("orchestrator", run_name="__main__")
"""


@pytest.fixture
def cluster(environment: dict[str, str], tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of who joins it."""
    # Ray puts Unix sockets there, whose paths may have 107 bytes: pytest's folders are too deep.
    with tempfile.TemporaryDirectory(prefix="zs-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        variables = {name: value for name, value in environment.items() if name != "RAY_ADDRESS"}
        variables = with_token(variables | {"RAY_TMPDIR": folder})
        with (tmp_path / "cluster.log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", CLUSTER, str(free_port())],
                env=variables,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert process.stdout is not None
        try:
            address = process.stdout.readline().strip()
            assert address, (tmp_path / "cluster.log").read_text()
            yield variables | {"RAY_ADDRESS": address, "PYTHONPATH": str(ROOT)}
        finally:
            process.communicate(timeout=120)


def write_images(folder: Path) -> None:
    draw = np.random.default_rng(0)
    for split, count in (("train", 40), ("val", 8), ("test", 8)):
        for label in ("x", "y"):
            (folder / split / label).mkdir(parents=True)
            for number in range(count):
                pixels = draw.integers(0, 256, (16, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / split / label / f"{number}.png")


def test_each_node_begins_with_a_data_set_of_its_own(cluster: dict[str, str], tmp_path: Path) -> None:
    for name in "ab":
        write_images(tmp_path / "data" / name)
    (tmp_path / "packed.yaml").write_text(FILE)
    (tmp_path / "notes").touch()
    options = (f"storage={tmp_path / 'runs'}", f"data_dir={tmp_path / 'data'}", f"cache.dir={tmp_path / 'cache'}")
    answer = subprocess.run(
        [sys.executable, "-c", COMMAND, "run", str(tmp_path / "packed.yaml")]
        + [part for option in options for part in ("-o", option)],
        env=cluster | {"NOTES": str(tmp_path / "notes")},
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "[6/6 cells" in answer.stdout
    assert "packing:   2 nodes share 2 data sets" in answer.stdout
    notes = [line.split() for line in (tmp_path / "notes").read_text().splitlines()]
    assert len(notes) == 6
    begun: dict[str, str] = {}
    for node, path in notes:
        begun.setdefault(node, path)
    assert sorted(begun.values()) == ["a", "b"]
    # One that has done its own before the other helps the other, and does not wait.
    assert len({(node, path) for node, path in notes}) <= 3
