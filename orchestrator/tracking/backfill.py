"""What runs of cells that earlier versions finished lack: the setting to group by, errors in percent, a short name."""

from __future__ import annotations

from collections.abc import Sequence

from mlflow.entities import Metric, Param, Run, RunTag

from orchestrator.column_names import SETTING
from orchestrator.experiment import Cell
from orchestrator.tracking.names import KEY, KIND
from orchestrator.tracking.naming import run_name
from orchestrator.tracking.rows import IN_PERCENT, in_percent
from orchestrator.tracking.store import Store


def runs_to_complete(store: Store, cells: Sequence[Cell]) -> dict[str, Cell]:
    """Return the finished runs of `cells` that lack any of it, by id, each with its cell.

    Raises:
        TrackingError: The store does not answer.
    """
    by_key = {cell.key: cell for cell in cells}
    with store.answering():
        finished = list(store.search(f"tags.`{KIND}` = 'cell' and attributes.status = 'FINISHED'"))
    found = [(run, by_key.get(run.data.tags.get(KEY, ""))) for run in finished]
    return {run.info.run_id: cell for run, cell in found if cell is not None and _lacks(run)}


def complete_run(store: Store, run_id: str, cell: Cell) -> None:
    """Add to a finished run what it lacks; what it has stays.

    Raises:
        TrackingError: The store does not answer, or does not take it.
    """
    with store.answering():
        run = store.client.get_run(run_id)
        store.client.update_run(run_id, name=run_name(cell))
        setting = run.data.params.get(SETTING) or cell.setting
        store.client.log_batch(
            run_id,
            params=[Param(SETTING, setting)],
            metrics=_missing_metrics(store, run),
            tags=[RunTag(SETTING, setting)],
        )


def _lacks(run: Run) -> bool:
    return SETTING not in run.data.tags or bool(in_percent(run.data.metrics).keys() - run.data.metrics.keys())


def _missing_metrics(store: Store, run: Run) -> list[Metric]:
    """Return the rows in percent, at the time of those that they are of."""
    rows = []
    for name, value in in_percent(run.data.metrics).items():
        if name not in run.data.metrics:
            (of, *_) = store.client.get_metric_history(run.info.run_id, IN_PERCENT[name])
            rows.append(Metric(name, value, of.timestamp, 0))
    return rows
