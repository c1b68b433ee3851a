"""How many slots fit: the arithmetic, without a cluster."""

from __future__ import annotations

import pytest

from orchestrator.errors import UserError
from orchestrator.experiment.resources import Resources
from orchestrator.plan import Node, layout, local_layout
from orchestrator.sweep.cluster import joined_or_started


@pytest.mark.parametrize(
    ("resources", "nodes", "slots"),
    [
        ({"workers": 2}, [Node(2, 0)], 1),
        ({"workers": 2}, [Node(5, 0)], 2),
        ({"workers": 1, "cpus_per_worker": 0.5}, [Node(2, 0)], 4),
        ({"workers": 4, "gpus_per_worker": 1}, [Node(32, 8)], 2),
        # Fragments of two nodes do not add up to a worker.
        ({"workers": 1, "cpus_per_worker": 4}, [Node(6, 0), Node(6, 0)], 2),
        ({"workers": 2, "gpus_per_worker": 1}, [Node(4, 0), Node(8, 1), Node(8, 1)], 1),
        ({"workers": 2, "slots": 1}, [Node(8, 0)], 1),
        ({"workers": 1, "gpus_per_worker": 0.25}, [Node(8, 1)], 4),
    ],
)
def test_slots(resources: dict[str, object], nodes: list[Node], slots: int) -> None:
    assert layout(Resources.model_validate(resources), nodes).slots == slots


@pytest.mark.parametrize(
    ("resources", "nodes", "arithmetic"),
    [
        ({"workers": 3}, [Node(2, 0)], "1 slot x 3 workers = 3 workers"),
        ({"workers": 2, "slots": 3}, [Node(4, 0)], "3 slots x 2 workers = 6 workers"),
        ({"workers": 1, "gpus_per_worker": 1}, [Node(64, 0)], "room for 0"),
        ({"workers": 1}, [], "no node"),
    ],
)
def test_a_layout_that_would_starve_is_refused(
    resources: dict[str, object], nodes: list[Node], arithmetic: str
) -> None:
    with pytest.raises(UserError) as refused:
        layout(Resources.model_validate(resources), nodes)
    assert arithmetic in str(refused.value)
    assert "remedy" in str(refused.value)


def test_one_core_runs_two_workers_with_a_warning() -> None:
    placed = local_layout(Resources(workers=2), Node(1, 0))
    assert placed.slots == 1
    assert placed.nodes == (Node(1, 0),)
    assert placed.cpus_told == 2
    assert "2 workers x 1 CPU share 1 CPU" in placed.warning


def test_enough_cores_need_no_warning() -> None:
    assert local_layout(Resources(workers=2), Node(4, 0)).warning == ""


def test_overcommitting_has_a_limit() -> None:
    with pytest.raises(UserError, match="9 workers"):
        local_layout(Resources(workers=9), Node(2, 0))


def test_gpus_are_never_overcommitted() -> None:
    with pytest.raises(UserError, match="1 GPU"):
        local_layout(Resources(workers=2, gpus_per_worker=1), Node(1, 1))


def test_a_process_that_uses_ray_already_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []
    monkeypatch.setattr("ray.is_initialized", lambda: True)
    monkeypatch.setattr("ray.shutdown", lambda: ended.append("all"))
    with pytest.raises(UserError, match="uses Ray already"), joined_or_started(Resources()):
        pass
    assert ended == []
