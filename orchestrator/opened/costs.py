"""What is known of how long the cells of an experiment take: from finished ones, and from a few timed steps.

It takes seconds to import, like `orchestrator.opened.tracked`.
"""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.costs import (
    Estimates,
    Finished,
    KeptMeasurements,
    Kind,
    Measured,
    Price,
    finished_by_kind,
    kind_of,
    longer_than_measured,
)
from orchestrator.experiment import Cell, DatasetSpec, Resources
from orchestrator.machine import num_cores
from orchestrator.opened.experiment import Opened
from orchestrator.opened.measuring import Here, here_for, measure_lacking
from orchestrator.opened.tracked import tracker_of
from orchestrator.plan import Costing, DataFound, Plan, RaceLeft, searched
from orchestrator.product_code import product_version
from orchestrator.racing import Followed
from orchestrator.tracking import Durations, read_durations
from orchestrator.waiting import waiting_for

# Images that cannot be read are known only once they are decoded: a data set that differs by no more is the same.
SAME_IMAGES = 0.01
Data = Mapping[DatasetSpec, DataFound]


@dataclass(frozen=True)
class _Known:
    """What is known of how long cells take, and whence."""

    estimates: Estimates
    finished_on: Mapping[Kind, str]
    around_s: float | None


def estimates_of(opened: Opened, cells: Sequence[Cell], data: Data) -> Estimates:
    """Return what is known of how long cells take, without measuring anything.

    Raises:
        TrackingError: MLflow does not answer.
    """
    here = here_for(opened.experiment.resources)
    return _known(opened, cells, here, _kept_of(opened, cells, here, data), data).estimates


def costing_of(
    opened: Opened,
    planned: Plan,
    data: Data,
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
        data: The data sets as they are now.
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
    here = here_for(resources)
    measured = _kept_of(opened, cells, here, data)
    failed: Collection[str] = ()
    if measures and cells:
        measured, failed = measure_lacking(opened, cells, here, _kept(opened), measured, searches=searches)
    known = _known(opened, cells, here, measured, data, measures=measures)
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
        reached=planned.reached,
        races=tuple(_races(opened, opened.followed)) if opened.followed is not None else (),
        unmeasured=failed,
        decodes=planned.cache_bytes > 0 and not measures,
    )


def _races(opened: Opened, followed: Followed) -> Iterator[RaceLeft]:
    """Yield what is left of each column of a search: what it has still to train, and of what follows as much as may."""
    resources = opened.experiment.resources
    for column, at_most in zip(followed.columns, searched(opened.experiment), strict=True):
        cells = [cell for of_configuration in column.cells.values() for cell in of_configuration.values()]
        epochs = 0 if column.is_over else max(len(column.legs), column.epochs.at_most - column.epochs.trained)
        budget = column.column.search.budget
        hours = budget.device_hours if budget is not None else None
        most_s = None if hours is None else hours * 3600 / resources.devices_of_cell
        yield RaceLeft(cells, epochs, at_most.cells.finished, most_s)


def _kept(opened: Opened) -> KeptMeasurements:
    return KeptMeasurements(opened.experiment.cache.dir, code=product_version())


def _kept_of(opened: Opened, cells: Sequence[Cell], here: Here, data: Data) -> dict[str, Measured]:
    """Return the measurements that are kept, but those that were made when there were other images."""
    kept = _kept(opened).read(here.layout(opened.experiment.resources))
    numbers = _num_images(cells, data)
    return {id_: each for id_, each in kept.items() if _is_of(numbers.get(id_, 0), each.num_images)}


def _num_images(cells: Sequence[Cell], data: Data) -> dict[str, int]:
    """Return how many images each training has now, as far as that is known."""
    return {kind_of(cell).training_id: data[cell.dataset].num_images for cell in cells if cell.dataset in data}


def _is_of(now: int, then: int) -> bool:
    return not now or not then or abs(now - then) <= SAME_IMAGES * now


def _known(
    opened: Opened,
    cells: Sequence[Cell],
    here: Here,
    measured: Mapping[str, Measured],
    data: Data,
    *,
    measures: bool = False,
) -> _Known:
    """Return what measurements and finished cells say; without a factor where those ran elsewhere."""
    trainings = {*measured, *(kind_of(cell).training_id for cell in cells)}
    found, numbers = _finished(opened, trainings), _num_images(cells, data)
    finished = [cell for cell in found.cells if _is_of(numbers.get(cell.kind.training_id, 0), cell.num_images)]
    usable = _Usable(finished, here, opened.experiment.resources)
    threads = here.threads(opened.experiment.resources)
    measured = {id_: each.in_a_sweep(threads=threads, cores=num_cores()) for id_, each in measured.items()}
    estimates = Estimates(
        finished=finished_by_kind(usable.alike),
        other_layout=finished_by_kind(usable.placed_otherwise),
        measured=measured,
        factor=longer_than_measured(finished_by_kind(filter(usable.is_own, usable.alike)), measured),
        prefers="measured" if measures else "finished",
    )
    return _Known(estimates, usable.places(), found.around_s)


def _finished(opened: Opened, trainings: set[str]) -> Durations:
    if not opened.store_is_there:
        return Durations([], None)
    with waiting_for("the epochs of finished cells"):
        return read_durations(tracker_of(opened).store, trainings)


class _Usable:
    """The finished cells that say something of a sweep: those that ran on what it is to run on.

    Of each kind those of this machine's own device go before others.

    Attributes:
        alike: Those with the sweep's own layout.
        placed_otherwise: Those with another one, or one that is not known.
    """

    def __init__(self, finished: Sequence[Finished], here: Here, resources: Resources) -> None:
        self._here, self._on_gpus = here, bool(resources.gpus_per_worker)
        of_device = [cell for cell in finished if cell.device is not None and self._on_gpus == (cell.device != "cpu")]
        self.alike = self._nearest([cell for cell in of_device if cell.layout == resources.layout])
        self.placed_otherwise = self._nearest([cell for cell in of_device if cell.layout != resources.layout])

    def is_own(self, cell: Finished) -> bool:
        """Return whether a cell ran on this machine's own device."""
        return cell.host == socket.gethostname() and cell.device == self._here.device

    def places(self) -> dict[Kind, str]:
        """Return on what the cells of each kind ran, for people."""
        found: dict[Kind, set[str]] = {}
        for cell in self.alike:
            found.setdefault(cell.kind, set()).add(" of ".join(filter(None, (cell.device, cell.host))))
        return {kind: ", ".join(sorted(of_kind)) for kind, of_kind in found.items()}

    def _nearest(self, cells: Sequence[Finished]) -> list[Finished]:
        # A GPU of the same name takes as long on another machine.
        near = [cell for cell in cells if (cell.device == self._here.device if self._on_gpus else self.is_own(cell))]
        known = {cell.kind for cell in near}
        return [*near, *(cell for cell in cells if cell.kind not in known)]
