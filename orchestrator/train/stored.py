"""What a storage folder has of cells that MLflow lacks: trained from a shell, or while MLflow did not answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from orchestrator.errors import first_line
from orchestrator.experiment import Cell
from orchestrator.records import CellRun, EpochResult
from orchestrator.storage import CellFolder, Storage
from orchestrator.storage import checkpoints as checkpoint
from orchestrator.train.snapshot import Finished, from_state


def with_stored(cells: Sequence[Cell], storage: Storage, runs: Mapping[str, CellRun]) -> dict[str, CellRun]:
    """Return what is known of the cells: their runs in MLflow, but what storage has where that is further.

    Nothing is written, and no weights are read.

    Args:
        cells: Whose folders are looked at.
        storage: Where they are.
        runs: MLflow's, by key.
    """
    known = dict(runs)
    # Of the others MLflow has all, or they are at work.
    lacking = [cell for cell in cells if cell.key not in runs or runs[cell.key].status in ("failed", "interrupted")]
    if lacking:
        with storage.glance():
            found = {cell.key: _stored(cell, storage.cell(cell.key), runs.get(cell.key)) for cell in lacking}
        known |= {key: run for key, run in found.items() if run is not None}
    return known


def stored_epochs(folder: CellFolder) -> Sequence[EpochResult] | None:
    """Return the epochs of a training that is finished and waits to be told to MLflow; None if there is none.

    Raises:
        DamagedError: Its result is damaged.
    """
    state = checkpoint.load(folder.result)
    trained = from_state(state) if state is not None else None
    return trained.history if isinstance(trained, Finished) else None


def _stored(cell: Cell, folder: CellFolder, tracked: CellRun | None) -> CellRun | None:
    """Return a cell as its folder has it; None if there is no more in it than MLflow knows."""
    if tracked is not None and tracked.status == "failed" and folder.journal.exists():
        return None  # its result was tried, and cannot be told to MLflow, which has the reason
    begun = replace(
        tracked or CellRun(key=cell.key, status="interrupted", run_id=None, epochs=cell.train.epochs),
        status="interrupted",
    )
    try:
        state = checkpoint.load(folder.result)
        trained = from_state(state) if state is not None else None
    except (checkpoint.DamagedError, OSError, KeyError, TypeError) as error:
        return replace(begun, reason=f"{first_line(error)}: the same command again trains what it lacks")
    if isinstance(trained, Finished):
        last = trained.history[-1]
        return replace(
            begun,
            status="trained",
            metrics=last.metrics | trained.result.metrics,
            epoch=last.epoch,
            reason=None,
            split_hash=trained.split_hash,
        )
    points = folder.points()
    if tracked is not None or not points:
        return None
    return replace(
        begun, epoch=points[0].epoch, reason="its checkpoint is in storage: the same command goes on with it"
    )
