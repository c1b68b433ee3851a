"""Whether finished cells have their predictions for each test image; earlier versions kept none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial

import torch

from orchestrator.amounts import counted
from orchestrator.data import Dataset, load_dataset
from orchestrator.doctor.finding import Finding, Line
from orchestrator.errors import UserError
from orchestrator.experiment import Cell, DatasetSpec, Experiment
from orchestrator.records import CellRun
from orchestrator.results import predictions_of_cell
from orchestrator.storage import BEST, PREDICTIONS, Predictions, Storage
from orchestrator.tracking import Tracker, add_predictions, fetch_predictions, has_predictions
from orchestrator.train import predict_again
from orchestrator.waiting import counting, waiting_for

WITHOUT = "a finished cell without predictions for each test image"


def examine_predictions(
    tracker: Tracker,
    experiment: Experiment,
    storage: Storage,
    cells: Sequence[Cell],
    runs: Mapping[str, CellRun],
    *,
    fix: bool,
) -> Iterator[Line]:
    """Count the finished cells that lack them, in their folder or in MLflow: no fault. No sweep may be at work.

    Args:
        tracker: Of the store.
        experiment: Says where the data sets are.
        storage: Where the cells are.
        cells: All.
        runs: Those that are known of them, by key.
        fix: Whether to name each, with what mends it.

    Raises:
        TrackingError: What keeps MLflow's artifacts does not answer.
    """
    finished = [cell for cell in cells if cell.key in runs and runs[cell.key].status == "done"]
    with waiting_for("the predictions of finished cells"), storage.glance():
        lacking = [cell for cell in finished if _lacks(tracker, storage, cell, runs[cell.key])]
    if not lacking:
        return
    which = f"of {counted(len(finished), 'finished cell')} {len(lacking)} without those for each test image"
    yield f"predictions: {which}, which earlier versions did not keep" + ("" if fix else "; --fix computes them")
    load = lru_cache(maxsize=1)(partial(_loaded, experiment))
    elsewhere = {cell: not storage.cell(cell.key).has(BEST) for cell in lacking}
    # Those of a data set together: it is loaded once.
    for cell in sorted(lacking, key=lambda cell: (elsewhere[cell], cell.dataset.label)) if fix else ():
        where = f"{storage.cell(cell.key).shown('predictions.npz')} (cell {cell.key}, {cell.label})"
        if not elsewhere[cell]:
            mend = partial(_mend, tracker, experiment, storage, cell, runs[cell.key], load)
            yield Finding(WITHOUT, where, "", severity="note", mend=mend)
        else:
            remedy = "its best weights are not here: zetasweep doctor --fix with the storage in which it was trained"
            yield Finding(WITHOUT, where, remedy, severity="note")


def _lacks(tracker: Tracker, storage: Storage, cell: Cell, run: CellRun) -> bool:
    folder = storage.cell(cell.key)
    # A cell that was trained elsewhere has no folder here, and needs none.
    is_here = folder.has(PREDICTIONS) or not folder.has(BEST)
    return not (is_here and has_predictions(tracker.store, _id_of(run)))


def _mend(
    tracker: Tracker,
    experiment: Experiment,
    storage: Storage,
    cell: Cell,
    run: CellRun,
    load: Callable[[DatasetSpec], Dataset],
) -> None:
    """Have predictions in the folder of a cell and in MLflow: those of either, or else computed anew."""
    folder, run_id = storage.cell(cell.key), _id_of(run)
    found = predictions_of_cell(folder, fetch=partial(fetch_predictions, tracker.store, run_id))
    if found is None:
        found = _computed(experiment, storage, cell, run, load(cell.dataset))
    path = folder.predictions
    found.save(path)
    folder.keep(path)
    add_predictions(tracker.store, run_id, path)


def _computed(experiment: Experiment, storage: Storage, cell: Cell, run: CellRun, dataset: Dataset) -> Predictions:
    if run.split_hash != dataset.split_hash or run.pixel_hash not in (None, dataset.pixel_hash):
        raise UserError(
            f"{dataset.name} consists of other files, pixels or labels than when the cell was tested",
            remedy="restore them: predictions for other images are not those of this cell",
        )
    what = f"the predictions of {cell.label} for {counted(len(dataset.test), 'image')}"
    with waiting_for(what), _threads(max(1, int(experiment.resources.cpus_per_worker))):
        return predict_again(cell, dataset, storage.cell(cell.key))


def _loaded(experiment: Experiment, spec: DatasetSpec) -> Dataset:
    options = {**spec.decode_options(), **spec.split_options()}
    with counting(f"decoding {spec.name}") as show:
        return load_dataset(spec.name, experiment.data_in, **options, cache=experiment.cache.open(), on_progress=show)


@contextmanager
def _threads(num: int) -> Iterator[None]:
    """Have a CPU sum in the order in which it summed in the training."""
    before = torch.get_num_threads()
    torch.set_num_threads(num)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _id_of(run: CellRun) -> str:
    assert run.run_id is not None, "MLflow has it finished"
    return run.run_id
