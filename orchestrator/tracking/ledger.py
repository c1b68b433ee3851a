"""The ledger of an MLflow store: which of its runs are left open, doubled or incomplete, and mending them.

What is deleted here is deleted as MLflow's UI does it: it can be restored, until ``mlflow gc`` removes it for good.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mlflow.entities import LifecycleStage, Run, ViewType
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME

from orchestrator.errors import TrackingError
from orchestrator.tracking.artifacts import shown
from orchestrator.tracking.names import KEY, KIND, OWNER
from orchestrator.tracking.store import Store

ENDED = ("FINISHED", "FAILED", "KILLED")
EPOCHS = "train.epochs"


@dataclass(frozen=True)
class Entry:
    """A run of a cell or of a sweep.

    Attributes:
        run_id: MLflow's.
        key: Of the cell; None of a sweep's run.
        name: As MLflow shows it.
        status: MLflow's, e.g. ``RUNNING`` or ``FINISHED``.
        owner: The driver that has it, or had it last; None if there was none.
        epoch: The last one logged, 0 before the first.
        epochs: How many were planned.
        start_time_ms: Unix milliseconds.
        artifacts: Where those of its MLflow experiment lie.
    """

    run_id: str
    key: str | None
    name: str
    status: str
    owner: str | None
    epoch: float
    epochs: int
    start_time_ms: int
    artifacts: str


@dataclass(frozen=True)
class Epochs:
    """What is wrong with the rows that a run has of the metric ``epoch``, which should be one for each epoch.

    Attributes:
        twice: Epochs with more than one row.
        missing: Epochs of a finished run that have none.
    """

    twice: tuple[int, ...] = ()
    missing: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.twice or self.missing)


@dataclass(frozen=True)
class Disorder:
    """What is wrong with the runs of a store.

    Attributes:
        left_open: Runs that MLflow calls running although nobody works on them.
        doubled: Runs of a cell that has another, each with the best of that cell, which is the one to keep.
        incomplete: Runs to keep that do not have each epoch once, and their epochs.
    """

    left_open: Sequence[Entry]
    doubled: Sequence[tuple[Entry, Entry]]
    incomplete: Sequence[tuple[Entry, Epochs]]


class Ledger:
    """What an MLflow store has of zetasweep, whichever experiment it belongs to; read once.

    Args:
        store: The store.

    Attributes:
        shown_uri: Of the store, without credentials.
        entries: All runs that are not deleted.
        keys: Of all cells that have a run, a deleted one, too: it can be restored.
        finished: Of the cells with a finished run.
        owners_at_work: The drivers whose lease holds.

    Raises:
        TrackingError: The store does not answer any more.
    """

    def __init__(self, store: Store, *, say: Callable[[str], None]) -> None:
        self._store, self._client = store, store.client
        self.shown_uri = store.shown_uri
        with store.answering():
            # Those that were deleted, too.
            every = list(store.search(f"tags.`{KIND}` != ''", view=ViewType.ALL))
        active = [run for run in every if run.info.lifecycle_stage == LifecycleStage.ACTIVE]
        self.entries = [_entry(run) for run in active]
        self.keys = frozenset(key for run in every if (key := _entry(run).key) is not None)
        self.finished = frozenset(
            entry.key for entry in self.entries if entry.key is not None and entry.status == "FINISHED"
        )
        with store.answering():
            self.owners_at_work = frozenset(store.drivers.at_work(say=say))

    def examine(self) -> Disorder:
        """Find what is wrong with the runs.

        Raises:
            TrackingError: The store does not answer any more.
        """
        of_sweeps = [entry for entry in self.entries if entry.key is None]
        of_cells = [entry for entry in self.entries if entry.key is not None]
        with self._store.answering():
            epochs = {entry.run_id: self._epochs_of(entry) for entry in of_cells}
        kept, doubled = _told_apart(of_cells, epochs)
        return Disorder(
            left_open=[entry for entry in of_sweeps + kept if self._is_left_open(entry)],
            doubled=doubled,
            incomplete=[(entry, epochs[entry.run_id]) for entry in kept if epochs[entry.run_id]],
        )

    def end(self, entry: Entry) -> None:
        """Set a run to killed: the next sweep goes on with it.

        Raises:
            TrackingError: A sweep has taken it up since the ledger was read, or the store does not answer.
        """
        self._change(entry, lambda run_id: self._client.set_terminated(run_id, "KILLED"))

    def delete(self, entry: Entry) -> None:
        """Delete a run; MLflow can restore it.

        Raises:
            TrackingError: As for `end`.
        """
        self._change(entry, self._client.delete_run)

    def _change(self, entry: Entry, change: Callable[[str], None]) -> None:
        with self._store.answering():
            now = _entry(self._client.get_run(entry.run_id))
            if (now.status, now.owner) != (entry.status, entry.owner):
                raise TrackingError("a sweep has taken it up meanwhile")
            change(entry.run_id)

    def _epochs_of(self, entry: Entry) -> Epochs:
        """Compare the epochs that were logged with those that were planned, of a finished run; else count them."""
        rows = Counter(row.step for row in self._client.get_metric_history(entry.run_id, "epoch"))
        planned = range(1, entry.epochs + 1) if entry.status == "FINISHED" else ()
        return Epochs(
            twice=tuple(sorted(step for step, count in rows.items() if count > 1)),
            missing=tuple(step for step in planned if step not in rows),
        )

    def _is_left_open(self, entry: Entry) -> bool:
        return entry.status not in ENDED and entry.owner not in self.owners_at_work


def _told_apart(
    entries: Sequence[Entry], epochs: Mapping[str, Epochs]
) -> tuple[list[Entry], list[tuple[Entry, Entry]]]:
    """Return the one run to keep of each cell, and the others, each with the one to keep."""

    def worth(entry: Entry) -> tuple[bool, bool, float, int]:
        finished = entry.status == "FINISHED"
        return finished and not epochs[entry.run_id], finished, entry.epoch, -entry.start_time_ms

    by_key: dict[str | None, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_key[entry.key].append(entry)
    kept, doubled = [], []
    for runs in by_key.values():
        best, *others = sorted(runs, key=worth, reverse=True)
        kept.append(best)
        doubled += [(entry, best) for entry in others]
    return kept, doubled


def _entry(run: Run) -> Entry:
    tags = run.data.tags
    return Entry(
        run_id=run.info.run_id,
        key=tags.get(KEY, "") if tags.get(KIND) == "cell" else None,
        name=tags.get(MLFLOW_RUN_NAME, ""),
        status=run.info.status,
        owner=tags.get(OWNER),
        epoch=run.data.metrics.get("epoch", 0.0),
        epochs=int(run.data.params.get(EPOCHS, 0)),
        start_time_ms=run.info.start_time,
        artifacts=shown((run.info.artifact_uri or "").removesuffix(f"/{run.info.run_id}/artifacts")),
    )
