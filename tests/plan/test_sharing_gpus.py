"""Several cells on one GPU: where they are placed, and what is said of it; GPUs are counted, and need not be there."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import UserError
from orchestrator.experiment.resources import Resources
from orchestrator.plan import Node, layout, local_layout
from orchestrator.plan.wording import idle_without_gpus


@pytest.mark.parametrize(
    ("share", "gpus", "slots"),
    [
        (0.25, 1, 4),
        (0.25, 2, 8),
        (0.1, 1, 10),
        (1 / 3, 1, 3),
        # A worker's share is of one GPU, never of two.
        (0.4, 2, 4),
        (0.3, 3, 9),
        (0.6, 4, 4),
    ],
)
def test_a_gpu_has_as_many_cells_as_fit_on_it(share: float, gpus: int, slots: int) -> None:
    resources = Resources(gpus_per_worker=share)
    assert layout(resources, [Node(64, gpus)]).slots == slots
    assert layout(resources, [Node(64, gpus), Node(64, 0), Node(1, gpus)]).slots == slots + 1


def test_one_more_than_fits_is_refused() -> None:
    with pytest.raises(UserError, match=r"5 slots x 1 worker .* room for 4"):
        layout(Resources(gpus_per_worker=0.4, slots=5), [Node(64, 2)])


@pytest.mark.parametrize(("share", "runs", "is_said"), [(0.25, False, True), (0.25, True, False), (1, False, False)])
def test_without_mps_they_take_turns_and_that_is_said(
    share: float, runs: bool, is_said: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(tmp_path))
    if runs:
        (tmp_path / "control").touch()
    placed = local_layout(Resources(gpus_per_worker=share), Node(8, 1))
    assert placed.slots == (4 if share < 1 else 1)
    assert ("4 cells share each GPU and take turns" in placed.warning) == is_said
    assert ("nvidia-cuda-mps-control -d" in placed.warning) == is_said


@pytest.mark.parametrize(
    ("resources", "idle"),
    [
        ({"tf32": "all"}, ["tf32"]),
        ({"tf32": "none", "deterministic": False}, ["tf32", "deterministic"]),
        ({"compile": "max-autotune", "deterministic": False}, []),
        ({"gpus_per_worker": 1, "tf32": "all", "deterministic": False}, []),
        ({}, []),
    ],
)
def test_what_only_a_gpu_reads_is_said_to_have_no_effect(resources: dict[str, object], idle: list[str]) -> None:
    told = idle_without_gpus(Resources.model_validate(resources))
    assert told == "; ".join(f"resources.{name} has no effect with resources.gpus_per_worker=0" for name in idle)


@pytest.mark.parametrize(("written", "share"), [(0, 1.0), (0.25, 0.25), (1, 1.0), (2, 1.0)])
def test_what_a_worker_has_of_a_gpu(written: float, share: float) -> None:
    assert Resources(gpus_per_worker=written).gpu_share == share
