"""Where a sweep would be placed, on this machine or on one that it is planned for."""

from __future__ import annotations

import pytest

from orchestrator.errors import UserError
from orchestrator.experiment.resources import Resources
from orchestrator.plan import Node, layout, local_layout, planned_local_layout


def test_the_cpus_are_those_of_the_machine() -> None:
    placed = local_layout(Resources(workers=3), Node(2, 0))
    assert placed.nodes == (Node(2, 0),), "what is shown"
    assert placed.cpus_told == 3, "what Ray is told"
    assert "share 2 CPUs" in placed.warning
    assert local_layout(Resources(workers=2), Node(2, 0)).cpus_told == 2


@pytest.mark.parametrize(
    ("resources", "here", "planned"),
    [
        ({"workers": 2, "gpus_per_worker": 1}, Node(2, 0), Node(2, 2)),
        ({"workers": 8, "gpus_per_worker": 1, "cpus_per_worker": 8}, Node(4, 1), Node(64, 8)),
        ({"workers": 2, "gpus_per_worker": 1, "slots": 3}, Node(8, 2), Node(8, 6)),
        ({"gpus_per_worker": 0.25}, Node(2, 0), Node(2, 0.25)),
    ],
)
def test_a_gpu_experiment_is_planned_where_run_refuses_it(
    resources: dict[str, object], here: Node, planned: Node
) -> None:
    wanted = Resources.model_validate(resources)
    with pytest.raises(UserError):
        local_layout(wanted, here)
    placed = planned_local_layout(wanted, here)
    assert placed.nodes == (planned,)
    assert placed.slots == (1 if wanted.slots == "auto" else wanted.slots)
    assert "run refuses it on this machine" in placed.warning
    assert f"{here.gpus:g} GPU" in placed.warning
    assert "--gpus N" in placed.warning


def test_where_it_fits_nothing_is_made_up() -> None:
    wanted = Resources(workers=2, gpus_per_worker=1)
    assert planned_local_layout(wanted, Node(8, 4)) == local_layout(wanted, Node(8, 4))
    with pytest.raises(UserError, match="40 workers"):
        planned_local_layout(Resources(workers=40), Node(2, 0))


@pytest.mark.parametrize(
    ("resources", "gpus", "slots", "planned"),
    [
        ({"gpus_per_worker": 1, "cpus_per_worker": 4}, 8, 8, Node(32, 8)),
        ({"workers": 4, "gpus_per_worker": 1}, 8, 2, Node(8, 8)),
        ({"gpus_per_worker": 0.5}, 2, 4, Node(4, 2)),
        ({"gpus_per_worker": 1}, 1, 1, Node(2, 1)),
    ],
)
def test_another_machine_is_planned_for(resources: dict[str, object], gpus: int, slots: int, planned: Node) -> None:
    placed = planned_local_layout(Resources.model_validate(resources), Node(2, 0), gpus=gpus)
    assert (placed.slots, placed.nodes) == (slots, (planned,))
    assert "planned for a machine with" in placed.warning


def test_a_machine_that_would_not_do_either_is_refused() -> None:
    with pytest.raises(UserError, match="room for 4"):
        planned_local_layout(Resources(workers=8, gpus_per_worker=1), Node(2, 0), gpus=4)
    with pytest.raises(UserError, match=r"--gpus 4: resources\.gpus_per_worker is 0"):
        planned_local_layout(Resources(), Node(2, 0), gpus=4)


def test_on_a_cluster_what_has_no_room_waits() -> None:
    nodes = [Node(4, 0, held_cpus=3), Node(2, 0)]
    placed = layout(Resources(slots=8), nodes, may_wait=True)
    assert (placed.slots, placed.asked) == (3, 8)
    assert "there is room now for 3 of 8 slots of 1 x 1 CPU (" in placed.warning
    assert "4 CPUs / 0 GPUs (others hold 3 / 0), 2 CPUs / 0 GPUs" in placed.warning
    assert "5 slots of 8 will wait" in placed.warning
    # From zero.
    placed = layout(Resources(slots=2, gpus_per_worker=1), [Node(2, 0)], may_wait=True)
    assert (placed.slots, placed.asked) == (1, 2)
    with pytest.raises(UserError, match="there is room for 3"):
        layout(Resources(slots=8), nodes)


def test_auto_waits_for_what_others_hold_and_not_for_what_nobody_has() -> None:
    placed = layout(Resources(), [Node(2, 0, held_cpus=2)], may_wait=True)
    assert (placed.slots, placed.asked) == (1, 1)
    assert "room now for 0 of 1 slot" in placed.warning
    with pytest.raises(UserError, match="there is room for 0") as refused:
        layout(Resources(gpus_per_worker=1), [Node(2, 0)], may_wait=True)
    assert "resources.slots=N" in refused.value.remedy
    assert layout(Resources(max_slots=2), [Node(8, 0)]).slots == 2
