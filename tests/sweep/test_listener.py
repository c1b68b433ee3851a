"""What Tune says of trials, as events of their cells."""

from __future__ import annotations

from unittest.mock import Mock

from ray.tune.experiment import Trial
from sweep_samples import ERM, make_cells

from orchestrator.experiment.cells import Cell
from orchestrator.experiment.resources import Resources
from orchestrator.racing import Course, to_the_end
from orchestrator.records import EpochResult, Failed, Opened
from orchestrator.sweep.giving import Giving
from orchestrator.sweep.listener import Listener
from orchestrator.sweep.progress import Progress
from orchestrator.sweep.starting import Starting
from orchestrator.tracking.delivery import Delivery

EPOCH = EpochResult(epoch=1, metrics={}, timestamp_ms=1)


def listening(cell: Cell, delivery: Delivery, starting: Starting) -> Listener:
    course = Course({}, to_the_end([cell]))
    giving = Giving(course, Mock(), starting)
    return Listener(course, giving, delivery, Mock(spec=Progress), starting, resources=Resources())


def test_a_cell_whose_slot_dies_while_it_is_made_is_started_before_it_fails() -> None:
    """E.g. on a node that lacks the package: Tune says that the trial failed, and never that it started."""
    (cell,) = make_cells(ERM, seeds=(0,))
    delivery, trial = Mock(spec=Delivery), Mock(spec=Trial)
    trial.trial_id = "trial"
    trial.error_file = None
    trial.get_error.return_value = "no module named orchestrator"
    listener = listening(cell, delivery, Starting(lambda: 1, Resources()))
    listener.on_trial_error(0, [trial], trial)
    assert [type(call.args[1]) for call in delivery.tell.call_args_list] == [Opened, Failed]
    assert listener.failed == {cell.key}
    listener.interrupt_the_rest()
    assert len(delivery.method_calls) == 2


def test_a_cell_whose_workers_start_anew_waits_for_them_as_at_first() -> None:
    """E.g. their node is gone, and there is no room for others."""
    (cell,) = make_cells(ERM, seeds=(0,))
    starting, trial = Starting(lambda: 1, Resources()), Mock(spec=Trial)
    trial.trial_id = "trial"
    listener = listening(cell, Mock(spec=Delivery), starting)
    listener.on_trial_start(0, [trial], trial)
    said = []
    for event, begins in ((EPOCH, False), (None, False), (None, True), (EPOCH, False)):
        listener.on_trial_result(0, [trial], trial, {"event": event, "starting": begins, "waits": False})
        said.append(starting._alive[cell.key])
    assert said == [True, True, False, True]
