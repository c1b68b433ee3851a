"""What cells took of their devices, in worker seconds: of a trained one, of one that was stopped, and in money.

A worker second is a second in which a worker has what `resources` gives it: its GPUs or its share of one, and its CPUs,
whether they compute or wait. It is what is meant wherever time is paid for; device hours are GPUs times that.
"""

from __future__ import annotations

from orchestrator.costs.price import Price
from orchestrator.experiment import Cell, Resources
from orchestrator.records import CellRun


def worker_seconds(cell: Cell, run: CellRun | None) -> float | None:
    """Return for how long the workers of a cell were at work, together; None if that is not known.

    From its first step to the end of its test. Of one that was interrupted the run knows when the process that finished
    it began: then it is at least what all epochs take; and of one that has no result it is what its epochs took.
    """
    if run is None:
        return None
    known = []
    if run.has_result and run.first_step_ms is not None and run.ended_ms is not None:
        known.append((run.ended_ms - run.first_step_ms) / 1000)
    epochs = cell.train.epochs if run.has_result else run.epoch or 0
    if epochs and (epoch_s := run.epoch_s) is not None:
        known.append(epochs * epoch_s)
    return max(known) * cell.workers if known else None


def money_of(price: Price, worker_s: float, run: CellRun | None, resources: Resources) -> float:
    """Return what so many seconds of a worker have cost.

    Args:
        price: Of an hour.
        worker_s: The seconds.
        run: Of whom: it was paid for what it was placed on, whatever the file says by now.
        resources: Of the file: where the run does not know it.
    """
    return price.of(worker_s, resources.placed_as(run.layout if run is not None else None))
