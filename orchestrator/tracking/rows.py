"""The metric rows of a cell's run: each is written once, however often it is told.

A row is (run, name, timestamp, step, value), and the timestamps come from the checkpoint: the same row twice is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from mlflow import MlflowClient
from mlflow.entities import Metric, RunTag

from orchestrator.metric_names import METRICS
from orchestrator.records import EpochResult

# The metrics that a run has one value of.
ONCE = ("answer/", "audit/", "test/", "best/")
# Those of them that are the tested weights', all of one time.
OF_MODEL = ("test/", "best/")
# In percent, as tables have them; MLflow's charts begin with them, since their name comes first in the alphabet.
IN_PERCENT = {"answer/test_error_percent": "test/error", "answer/val_error_percent": "best/error"}
# What MLflow gets of the tested epoch alone, as `best/`.
NOT_EACH_EPOCH = frozenset(f"val/{name}" for name, info in METRICS.items() if not info.each_epoch)
# What `log_batch` takes at once: a data set of 1,000 classes has more metrics.
BATCH_LIMIT = 1000


class SupersededError(Exception):
    """An epoch that was trained again, with other numbers than those that MLflow has of it."""


def in_percent(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return those of `metrics` that MLflow gets in percent, too."""
    return {name: round(100 * metrics[of], 4) for name, of in IN_PERCENT.items() if of in metrics}


class Rows:
    """What MLflow has of a run, and what is added to it.

    Args:
        client: Of the store.
        run_id: Of the run; it has no rows yet, unless `read` is called.
    """

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self._client, self._run_id = client, run_id
        self._timestamps_ms: dict[int, int] = {}
        self._once: set[str] = set()

    def read(self) -> None:
        """Read what the run has from an earlier attempt."""
        epochs = self._client.get_metric_history(self._run_id, "epoch")
        metrics = self._client.get_run(self._run_id).data.metrics
        self._timestamps_ms = {row.step: row.timestamp for row in epochs}
        self._once = {name for name in metrics if name.startswith(ONCE)}

    def log_epoch(self, result: EpochResult) -> None:
        """Log one epoch in one request; nothing if MLflow has it already.

        Raises:
            SupersededError: MLflow has other numbers of this epoch: its checkpoint was lost, and it was trained again.
        """
        if self._timestamps_ms.get(result.epoch, result.timestamp_ms) != result.timestamp_ms:
            if not self._has_numbers_of(result):
                raise SupersededError
            return
        metrics = {name: value for name, value in result.metrics.items() if name not in NOT_EACH_EPOCH}
        self._log(metrics | {"epoch": float(result.epoch)}, step=result.epoch, timestamp_ms=result.timestamp_ms)
        self._timestamps_ms[result.epoch] = result.timestamp_ms

    def log_once(
        self, metrics: dict[str, float], *, timestamp_ms: int, tags: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Log what a run has one value of, unless MLflow has one: at another time it would be a second row.

        At step 0, so that MLflow draws them as bars, one per run, and not as curves of one point. `tags` are set in
        the same request.
        """
        new = {name: value for name, value in metrics.items() if name not in self._once}
        self._log(new, step=0, timestamp_ms=timestamp_ms, tags=tags)
        self._once.update(metrics)

    def log_of_model(self, metrics: dict[str, float], *, model_id: str) -> None:
        """Say of metrics that `log_once` logged that they are those of a logged model."""
        # The rows that are there: another time would be a second one.
        (row, *_) = self._client.get_metric_history(self._run_id, next(iter(metrics)))
        self._log(metrics, step=0, timestamp_ms=row.timestamp, model_id=model_id)

    def _has_numbers_of(self, result: EpochResult) -> bool:
        history = self._client.get_metric_history(self._run_id, "train/loss")
        return any(row.step == result.epoch and row.value == result.metrics["train/loss"] for row in history)

    def _log(
        self,
        metrics: dict[str, float],
        *,
        step: int,
        timestamp_ms: int,
        model_id: str | None = None,
        tags: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        # MLflow takes a metric of a model only with the run.
        of = {"model_id": model_id, "run_id": self._run_id} if model_id else {}
        entities = [Metric(name, value, timestamp_ms, step, **of) for name, value in metrics.items()]
        of_run = [RunTag(name, value) for name, value in tags.items()]
        for first in range(0, len(entities) or len(of_run), BATCH_LIMIT):
            self._client.log_batch(self._run_id, metrics=entities[first : first + BATCH_LIMIT], tags=of_run)
