"""What MLflow has of cells: the run of each, whichever sweep has made it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mlflow.entities import Run, ViewType

from orchestrator.experiment import Cell
from orchestrator.racing import FinishedCell
from orchestrator.records import CellRun, CellStatus, Stopped
from orchestrator.tracking.curves import curve_in, layout_in
from orchestrator.tracking.dataset_inputs import sizes_of
from orchestrator.tracking.names import (
    DEVICE,
    FIRST_STEP_MS,
    GIT_COMMIT,
    KEY,
    KIND,
    LOST,
    MODEL_URI,
    OWNER,
    PIXEL_HASH,
    RACE,
    RACE_CUT,
    RACE_MEAN,
    RACE_PLACE,
    RACE_RUNG,
    REASON,
    SPLIT_HASH,
)
from orchestrator.tracking.store import Store

# Of the experiment file, as a param of each run.
EPOCHS = "train.epochs"


def read_cell_runs(store: Store, cells: Sequence[Cell]) -> dict[str, CellRun]:
    """Return the tracked run of each cell that has one, by key, whichever sweep ran it.

    A run that is open although its sweep is not at work any more was interrupted.
    """
    return _cell_runs(store, {cell.key: cell.train.epochs for cell in cells})


def read_every_cell_run(store: Store) -> dict[str, CellRun]:
    """Return the tracked runs of all cells, as `read_cell_runs` does."""
    return _cell_runs(store, None)


def read_finished(store: Store) -> list[FinishedCell]:
    """Return all cells that were trained to the end, whichever sweep did so."""
    with store.answering():
        found = store.search(f"tags.`{KIND}` = 'cell' and attributes.status = 'FINISHED'")
        return [
            FinishedCell(run.data.tags[KEY], dict(run.data.params), run.data.metrics["best/error"])
            for run in found
            if KEY in run.data.tags and "best/error" in run.data.metrics
        ]


def _cell_runs(store: Store, wanted: Mapping[str, int] | None) -> dict[str, CellRun]:
    """Return the runs of the cells with these keys, each with the number of its epochs; None for all."""
    found: dict[str, CellRun] = {}
    with store.answering():
        alive, experiments = store.drivers.seemingly_at_work(), store.experiments()
        for run in store.search(f"tags.`{KIND}` = 'cell'", list(experiments)):
            key = run.data.tags.get(KEY, "")
            if (wanted is None or key in wanted) and (key not in found or run.info.status == "FINISHED"):
                epochs = wanted[key] if wanted is not None else int(run.data.params.get(EPOCHS, 0))
                found[key] = _cell_run(run, key, epochs=epochs, alive=alive, experiments=experiments)
    return found


def read_known_keys(store: Store) -> frozenset[str]:
    """Return the keys of all cells that ever had a run, in whichever experiment; a deleted one can be restored."""
    with store.answering():
        found = store.search(f"tags.`{KIND}` = 'cell'", view=ViewType.ALL)
        return frozenset(run.data.tags.get(KEY, "") for run in found)


def _cell_run(run: Run, key: str, *, epochs: int, alive: set[str], experiments: Mapping[str, str]) -> CellRun:
    statuses: dict[str, CellStatus] = {"FINISHED": "done", "FAILED": "failed", "KILLED": "interrupted"}
    tags = run.data.tags
    owner = tags.get(OWNER)
    status = statuses.get(run.info.status, "running" if owner in alive else "interrupted")
    num_images, num_classes = sizes_of(run)
    return CellRun(
        key=key,
        status=status,
        run_id=run.info.run_id,
        metrics=dict(run.data.metrics),
        epoch=int(run.data.metrics["epoch"]) if "epoch" in run.data.metrics else None,
        epochs=epochs,
        reason=tags.get(REASON) or None,
        is_lost=bool(tags.get(LOST)),
        model_uri=tags.get(MODEL_URI),
        split_hash=tags.get(SPLIT_HASH),
        pixel_hash=tags.get(PIXEL_HASH),
        owner=owner,
        experiment=experiments.get(run.info.experiment_id),
        num_images=num_images,
        num_classes=num_classes,
        device=tags.get(DEVICE),
        commit=tags.get(GIT_COMMIT),
        curve=curve_in(tags),
        race=tags.get(RACE) or None,
        stopped=_stopped_in(tags),
        first_step_ms=int(tags[FIRST_STEP_MS]) if FIRST_STEP_MS in tags else None,
        ended_ms=run.info.end_time,
        layout=layout_in(tags),
    )


def _stopped_in(tags: Mapping[str, str]) -> Stopped | None:
    """Return what the tags of a run say of its stop, without when; None if they say nothing, or what is none."""
    if tags.get(RACE) != "stopped":
        return None
    try:
        mean, cut = (float(tags[name]) if tags[name] else None for name in (RACE_MEAN, RACE_CUT))
        return Stopped(int(tags[RACE_RUNG]), int(tags[RACE_PLACE]), mean, cut, timestamp_ms=0)
    except (KeyError, ValueError):
        return None
