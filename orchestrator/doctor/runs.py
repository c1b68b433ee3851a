"""The runs in an MLflow store: which of them are left open, doubled or incomplete, and mending that.

What is deleted here is deleted as MLflow's UI does it: it can be restored, until ``mlflow gc`` removes it for good.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from mlflow import MlflowClient
from mlflow.entities import LifecycleStage, Run, ViewType
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME

from orchestrator.amounts import counted
from orchestrator.doctor.finding import Finding, Line
from orchestrator.errors import TrackingError
from orchestrator.tracking.ownership import OWNER, described, is_alive
from orchestrator.tracking.store import Store
from orchestrator.tracking.sweep_run import KIND
from orchestrator.tracking.tracker import KEY

ENDED = ("FINISHED", "FAILED", "KILLED")
EPOCHS = "train.epochs"
# It may be about to go on with a run, also with one that it has not opened yet.
BUSY = "a sweep is at work in this store: look again when it has ended"


@dataclass(frozen=True)
class Epochs:
    """What is wrong with the rows that a run has of the metric ``epoch``, which should be one for each epoch."""

    twice: tuple[int, ...] = ()
    missing: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.twice or self.missing)

    def __str__(self) -> str:
        found = {"twice": self.twice, "missing": self.missing}
        return ", ".join(f"epoch {', '.join(map(str, steps))} {how}" for how, steps in found.items() if steps)


class Ledger:
    """What an MLflow store has of zetasweep, whichever experiment it belongs to; read once.

    Args:
        store: The store.
        labels: What cells are called, by key; another is called as its run is.

    Attributes:
        keys: Of all cells that have a run, a deleted one, too: it can be restored.
        finished: Of the cells with a finished run.

    Raises:
        TrackingError: It does not answer any more.
    """

    def __init__(self, store: Store, labels: Mapping[str, str]) -> None:
        self._store, self._client, self._labels = store, store.client, labels
        with store.answering():
            # Those that were deleted, too.
            every = list(store.search(f"tags.`{KIND}` != ''", view=ViewType.ALL))
        self._runs = [run for run in every if run.info.lifecycle_stage == LifecycleStage.ACTIVE]
        self._alive = {run.data.tags[OWNER] for run in self._runs if is_alive(run.data.tags)}
        self.keys = frozenset(_key(run) for run in every if _is_cell(run))
        self.finished = frozenset(_key(run) for run in self._runs if _is_cell(run) and run.info.status == "FINISHED")

    def examine(self, *, at_work: bool) -> Iterator[Line]:
        """Find what is wrong with the runs.

        Args:
            at_work: Whether a sweep holds the experiment's storage: then it may be the one that has them open.

        Raises:
            TrackingError: The store does not answer any more.
        """
        with self._store.answering():
            epochs = {run.info.run_id: self._epochs_of(run) for run in self._runs if _is_cell(run)}
        kept, doubled = self._told_apart(epochs)
        yield f"MLflow: {self._store.shown_uri} answers, {counted(len(self._runs), 'run')}"
        if self._alive:
            yield f"at work, as MLflow says: {', '.join(described(owner) for owner in sorted(self._alive))}"
        if not at_work:
            yield from self._left_open([run for run in self._runs if not _is_cell(run)] + kept)
        yield from doubled
        yield from self._incomplete(kept, epochs)

    def _left_open(self, runs: Iterable[Run]) -> Iterator[Finding]:
        for run in runs:
            if run.info.status in ENDED or self._is_at_work(run):
                continue
            yield Finding(
                what="RUNNING in MLflow, and nobody works on it",
                where=self._named(run),
                remedy="--fix sets it to KILLED; zetasweep run goes on with what is not finished",
                mend=self._mending(lambda client, run_id: client.set_terminated(run_id, "KILLED"), run),
            )

    def _told_apart(self, epochs: Mapping[str, Epochs]) -> tuple[list[Run], list[Finding]]:
        """Return the one run to keep of each cell, and what is to be said of the others."""
        by_key: dict[str, list[Run]] = defaultdict(list)
        for run in filter(_is_cell, self._runs):
            by_key[_key(run)].append(run)

        def worth(run: Run) -> tuple[bool, bool, float, int]:
            finished = run.info.status == "FINISHED"
            sound = not epochs[run.info.run_id]
            return finished and sound, finished, run.data.metrics.get("epoch", 0.0), -run.info.start_time

        kept, doubled = [], []
        for runs in by_key.values():
            best, *others = sorted(runs, key=worth, reverse=True)
            kept.append(best)
            doubled += [self._doubled(run, best) for run in others]
        return kept, doubled

    def _doubled(self, run: Run, best: Run) -> Finding:
        what = "more than one run of the same cell"
        where = f"{self._named(run)}, {run.info.status}, beside run {best.info.run_id}, {best.info.status}"
        if self._alive:
            return Finding(what, where, BUSY)
        return Finding(what, where, f"--fix deletes it; {self._way_back()}", mend=self._deleting(run))

    def _incomplete(self, runs: Iterable[Run], epochs: Mapping[str, Epochs]) -> Iterator[Finding]:
        for run in runs:
            wrong = epochs[run.info.run_id]
            if not wrong:
                continue
            what, where = "a run that does not have each epoch once", f"{self._named(run)}: {wrong}"
            if self._alive:
                yield Finding(what, where, BUSY)
            else:
                again = "--fix deletes it, and zetasweep run delivers or trains the cell again"
                yield Finding(what, where, f"{again}; {self._way_back()}", mend=self._deleting(run))

    def _epochs_of(self, run: Run) -> Epochs:
        """Compare the epochs that were logged with those that were planned, of a finished run; else count them."""
        rows = Counter(row.step for row in self._client.get_metric_history(run.info.run_id, "epoch"))
        planned = range(1, int(run.data.params.get(EPOCHS, 0)) + 1) if run.info.status == "FINISHED" else ()
        return Epochs(
            twice=tuple(sorted(step for step, count in rows.items() if count > 1)),
            missing=tuple(step for step in planned if step not in rows),
        )

    def _is_at_work(self, run: Run) -> bool:
        return run.info.status not in ENDED and run.data.tags.get(OWNER, "") in self._alive

    def _named(self, run: Run) -> str:
        key, name = _key(run), run.data.tags.get(MLFLOW_RUN_NAME, "")
        called = f"cell {key}, {self._labels.get(key, name)}" if _is_cell(run) else f"sweep {name}"
        return f"run {run.info.run_id} ({called})"

    def _way_back(self) -> str:
        command = f"MLFLOW_TRACKING_URI={self._store.shown_uri} mlflow runs restore --run-id ID"
        return f"{command} brings it back, until mlflow gc"

    def _deleting(self, run: Run) -> Callable[[], None]:
        return self._mending(MlflowClient.delete_run, run)

    def _mending(self, change: Callable[[MlflowClient, str], None], run: Run) -> Callable[[], None]:
        return partial(self._change, change, run)

    def _change(self, change: Callable[[MlflowClient, str], None], run: Run) -> None:
        with self._store.answering():
            now = self._client.get_run(run.info.run_id)
            if (now.info.status, now.data.tags.get(OWNER)) != (run.info.status, run.data.tags.get(OWNER)):
                raise TrackingError("a sweep has taken it up meanwhile")
            change(self._client, run.info.run_id)


def _is_cell(run: Run) -> bool:
    return bool(run.data.tags[KIND] == "cell")


def _key(run: Run) -> str:
    return str(run.data.tags.get(KEY, ""))
