"""What the figures of an experiment are made of, read from MLflow, storage and the data sets when it is asked for.

It takes seconds to import: a command does so once the experiment file was read, whose mistakes are said before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import TypeVar

from orchestrator.costs import Price
from orchestrator.data import Dataset, load_dataset
from orchestrator.errors import UserError
from orchestrator.experiment import Cell, DatasetSpec
from orchestrator.opened.compared import comparison_of
from orchestrator.opened.experiment import Opened
from orchestrator.opened.tracked import predictions_of, runs_of, tracker_of
from orchestrator.records import CellRun, EpochResult
from orchestrator.report import Material, epoch_metrics
from orchestrator.results import Names, lines_above, races_of
from orchestrator.tracking import FetchedOrNot, Tracker, read_environment, read_epochs, run_links
from orchestrator.train import stored_epochs
from orchestrator.waiting import counting

_Value = TypeVar("_Value")
# Of 10,000 images of 10 classes so many take 100 MB.
KEPT_PREDICTIONS = 256


def material_of(opened: Opened, *, price: Price | None = None) -> Material:
    """Return what the figures of an experiment are made of.

    Args:
        opened: The experiment.
        price: Of an hour of a device, for what trainings cost.

    Raises:
        UserError: No cell has a result, or the MLflow store cannot be used.
        TrackingError: MLflow does not answer any more.
    """
    runs = runs_of(opened)
    if not any(cell.key in runs and runs[cell.key].has_result for cell in opened.cells):
        raise UserError(
            f"{opened.experiment.file}: no cell has a result yet, so there is nothing to show",
            remedy=f"{opened.experiment.trained_by} {opened.experiment.file} trains them",
        )
    tracker = tracker_of(opened) if opened.store_is_there else None
    comparison = comparison_of(opened, runs)
    fetched = None
    if tracker is not None:
        store = tracker.store
        fetched = FetchedOrNot(lambda: store, lost="figures are without the cells whose predictions are not here")
    return Material(
        experiment=opened.experiment,
        cells=opened.cells,
        runs=runs,
        comparison=comparison,
        predictions=_by_key(partial(predictions_of, opened, fetched, runs), at_most=KEPT_PREDICTIONS),
        curves=_by_key(partial(_epochs, opened, tracker, runs, epoch_metrics(comparison.metric))),
        names=Names(opened.experiment.names),
        above=tuple(lines_above(opened.choices, Names(opened.experiment.names))) if opened.confirms else (),
        open_dataset=lru_cache(maxsize=2)(partial(_loaded, opened)),
        link=run_links(tracker.store) if tracker is not None else lambda _: None,
        environment=read_environment(tracker.store, opened.experiment) if tracker is not None else {},
        races=races_of(opened.followed),
        price=price,
    )


def _by_key(read: Callable[[Cell], _Value], *, at_most: int | None = None) -> Callable[[Cell], _Value]:
    """Return what reads of each cell once."""
    cells: dict[str, Cell] = {}
    of_key = lru_cache(maxsize=at_most)(lambda key: read(cells[key]))

    def of_cell(cell: Cell) -> _Value:
        cells[cell.key] = cell
        return of_key(cell.key)

    return of_cell


def _epochs(
    opened: Opened, tracker: Tracker | None, runs: dict[str, CellRun], names: Sequence[str], cell: Cell
) -> Sequence[EpochResult] | None:
    run = runs.get(cell.key)
    if run is not None and run.status == "trained":
        return stored_epochs(opened.storage.cell(cell.key))
    if tracker is None or run is None or run.run_id is None:
        return None
    return read_epochs(tracker.store, run.run_id, [name for name in names if name in run.metrics]) or None


def _loaded(opened: Opened, spec: DatasetSpec) -> Dataset:
    options = {**spec.decode_options(), **spec.split_options()}
    cache = opened.experiment.cache.open()
    with counting(f"decoding {spec.name}") as show:
        return load_dataset(spec.name, opened.experiment.data_in, **options, cache=cache, on_progress=show)
