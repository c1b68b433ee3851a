"""When finished cells of all sweeps were where: what says how long others of their kind are going to take."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import NamedTuple

from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from orchestrator.costs import Finished, Kind, kind_of_params
from orchestrator.records import EPOCH_S
from orchestrator.tracking.curves import layout_in
from orchestrator.tracking.dataset_inputs import sizes_of
from orchestrator.tracking.names import DEVICE, FIRST_STEP_MS, HOST, KIND, LAYOUT
from orchestrator.tracking.reports import read_epochs
from orchestrator.tracking.store import Store

# Of each kind so many are asked for their epochs, the newest: each is a question to MLflow.
OF_EACH_KIND = 3
# So many of the newest sweeps are asked what they took beside their cells.
SWEEPS = 5


class Durations(NamedTuple):
    """What finished cells say.

    Attributes:
        cells: The newest of each kind, by where and how they ran.
        around_s: What a sweep takes before the first step and after the last test, seconds: the shortest of the newest
            ones, since one that was interrupted takes days; None if none is complete.
    """

    cells: list[Finished]
    around_s: float | None


def read_durations(store: Store, trainings: Container[str]) -> Durations:
    """Return what the finished cells of a store say of some trainings, with any augmentation.

    Args:
        store: The store.
        trainings: By `Kind.training_id`.

    Raises:
        TrackingError: The store does not answer.
    """
    of_kind: dict[tuple[Kind, tuple[str | None, ...]], list[Run]] = {}
    of_sweep: dict[str, list[Run]] = {}
    with store.answering():
        for run in store.search(f"tags.`{KIND}` = 'cell' and attributes.status = 'FINISHED'"):
            of_sweep.setdefault(run.data.tags.get(MLFLOW_PARENT_RUN_ID, ""), []).append(run)
            if "train.batch_size_per_worker" not in run.data.params:
                continue  # of a version before params, or of another's
            kind = kind_of_params(run.data.params)
            if kind.training_id in trainings:
                place = tuple(run.data.tags.get(tag) for tag in (DEVICE, HOST, LAYOUT))
                of_kind.setdefault((kind, place), []).append(run)
        cells = [
            _finished(store, kind, run)
            for (kind, _), runs in of_kind.items()
            for run in sorted(runs, key=_ended_ms)[-OF_EACH_KIND:]
        ]
        return Durations(cells, min(_around_s(store, of_sweep), default=None))


def _finished(store: Store, kind: Kind, run: Run) -> Finished:
    tags = run.data.tags
    # What an epoch took is a metric of it; of earlier versions its end is known.
    epochs = read_epochs(store, run.info.run_id, [EPOCH_S]) or read_epochs(store, run.info.run_id, ["epoch"])
    return Finished(
        kind=kind,
        device=tags.get(DEVICE),
        host=tags.get(HOST),
        layout=layout_in(tags),
        num_images=sum(sizes_of(run)[0].values()),
        epochs=epochs,
        opened_ms=run.info.start_time,
        first_step_ms=_first_step_ms(run),
        ended_ms=run.info.end_time,
    )


def _around_s(store: Store, of_sweep: dict[str, list[Run]]) -> Iterator[float]:
    """Yield what each of the newest complete sweeps took beside its cells."""
    newest = sorted(of_sweep, key=lambda sweep: max(map(_ended_ms, of_sweep[sweep])))[-SWEEPS:]
    for sweep in filter(None, newest):
        info = store.client.get_run(sweep).info
        began = [first for run in of_sweep[sweep] if (first := _first_step_ms(run)) is not None]
        if info.status == "FINISHED" and info.end_time is not None and began:
            of_cells_ms = max(map(_ended_ms, of_sweep[sweep])) - min(began)
            yield max(0, info.end_time - info.start_time - of_cells_ms) / 1000


def _first_step_ms(run: Run) -> int | None:
    told = run.data.tags.get(FIRST_STEP_MS)
    return int(told) if told else None


def _ended_ms(run: Run) -> int:
    return run.info.end_time or 0
