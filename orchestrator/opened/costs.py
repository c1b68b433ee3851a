"""What is known of how long the cells of an experiment take: from finished ones, and from a few timed steps.

It takes seconds to import, like `orchestrator.opened.tracked`.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.costs import (
    Estimates,
    Finished,
    KeptMeasurements,
    Measured,
    Price,
    finished_by_kind,
    kind_of,
    longer_than_measured,
)
from orchestrator.experiment import Cell, Resources
from orchestrator.opened.experiment import Opened
from orchestrator.opened.measuring import Here, here_for, measure_lacking
from orchestrator.opened.tracked import tracker_of
from orchestrator.plan import Costing, Plan
from orchestrator.tracking import Durations, product_version, read_durations
from orchestrator.waiting import waiting_for


@dataclass(frozen=True)
class _Known:
    """What is known of how long cells take, and whence."""

    estimates: Estimates
    finished_on: str
    around_s: float | None


def estimates_of(opened: Opened, cells: Sequence[Cell]) -> Estimates:
    """Return what is known of how long cells take, without measuring anything.

    Raises:
        TrackingError: MLflow does not answer.
    """
    resources = opened.experiment.resources
    here = here_for(resources, num_cells=len(cells))
    return _known(opened, cells, here, _kept(opened).read(here.layout(resources)), measures=False).estimates


def costing_of(
    opened: Opened,
    planned: Plan,
    *,
    measures: bool = False,
    searches: bool = False,
    price: Price | None = None,
    is_elsewhere: bool = False,
) -> Costing:
    """Return what the hours of the cells that are left are made of.

    Args:
        opened: The experiment.
        planned: What would be run.
        measures: Whether trainings are timed of which no measurement is kept, on this machine.
        searches: Whether the largest batch that fits is looked for, too.
        price: Of an hour.
        is_elsewhere: Whether the sweep is planned for another machine than this one.

    Raises:
        UserError: A training does not fit into the memory of its device.
        TrackingError: MLflow does not answer.
    """
    resources = opened.experiment.resources
    trained = {cell.key for cell in planned.trained}
    cells = [cell for cell in planned.pending if cell.key not in trained]
    here, kept = here_for(resources, num_cells=len(cells)), _kept(opened)
    if measures and cells:
        measured = measure_lacking(opened, cells, here, kept, searches=searches)
    else:
        measured = kept.read(here.layout(resources))
    known = _known(opened, cells, here, measured, measures=measures)
    return Costing(
        cells=cells,
        estimates=known.estimates,
        slots=planned.layout.slots,
        resources=resources,
        measured_on=here.in_words(resources),
        finished_on=known.finished_on,
        around_s=known.around_s,
        price=price,
        is_elsewhere=is_elsewhere,
    )


def _kept(opened: Opened) -> KeptMeasurements:
    return KeptMeasurements(opened.experiment.cache.dir, code=product_version())


def _known(
    opened: Opened, cells: Sequence[Cell], here: Here, measured: Mapping[str, Measured], *, measures: bool
) -> _Known:
    """Return what measurements and finished cells say; without a factor where those ran elsewhere."""
    trainings = {*measured, *(kind_of(cell).training_id for cell in cells)}
    found = _finished(opened, trainings)
    usable, finished_on = _usable(found.cells, here, opened.experiment.resources)
    of_here = [cell for cell in usable if (cell.host, cell.device) == (socket.gethostname(), here.device)]
    estimates = Estimates(
        finished=finished_by_kind(usable),
        measured=measured,
        factor=longer_than_measured(finished_by_kind(of_here), measured),
        prefers="measured" if measures else "finished",
    )
    return _Known(estimates, finished_on, found.around_s)


def _finished(opened: Opened, trainings: set[str]) -> Durations:
    if not opened.store_is_there:
        return Durations([], None)
    with waiting_for("the epochs of finished cells"):
        return read_durations(tracker_of(opened).store, trainings)


def _usable(finished: Sequence[Finished], here: Here, resources: Resources) -> tuple[list[Finished], str]:
    """Return the finished cells that ran on what the sweep is to run on, as far as that is known, and in words on what.

    Those of this machine's own device go before others.
    """
    if resources.gpus_per_worker:
        of_device = [cell for cell in finished if cell.device not in ("cpu", None)]
        own = [cell for cell in of_device if cell.device == here.device]
    else:
        of_device = [cell for cell in finished if cell.device == "cpu"]
        own = [cell for cell in of_device if cell.host == socket.gethostname()]
    chosen = own or of_device
    places = sorted({" of ".join(filter(None, (cell.device, cell.host))) for cell in chosen})
    return chosen, ", ".join(places)
