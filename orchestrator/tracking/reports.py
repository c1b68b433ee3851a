"""What a report takes from MLflow beside the runs of the cells, and where it is put there."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from mlflow.entities import LifecycleStage, Run

from orchestrator.amounts import counted
from orchestrator.errors import TrackingError
from orchestrator.experiment import Experiment
from orchestrator.records import CellRun, EpochResult
from orchestrator.tracking.errors import kind_and_message
from orchestrator.tracking.names import KIND, SWEEP
from orchestrator.tracking.store import Store

FOLDER = "report"
ENVIRONMENT = "environment.json"

logger = logging.getLogger(__name__)


def read_epochs(store: Store, run_id: str, names: Iterable[str]) -> list[EpochResult]:
    """Return the epochs of a run, in their order, with some of their metrics; each metric is one question to MLflow.

    Raises:
        TrackingError: The store does not answer.
    """
    found: dict[int, EpochResult] = {}
    with store.answering():
        for name in names:
            for row in store.client.get_metric_history(run_id, name):
                known = found.setdefault(row.step, EpochResult(row.step, {}, row.timestamp))
                known.metrics[name] = row.value
    return [found[epoch] for epoch in sorted(found)]


def read_environment(store: Store, experiment: Experiment) -> dict[str, str]:
    """Return what a sweep ran with last, in lines by their headings; empty, with a warning, where that is not known.

    Raises:
        TrackingError: The store does not answer.
    """
    run = sweep_of(store, experiment)
    if run is None:
        return {}
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(store.client.download_artifacts(run.info.run_id, ENVIRONMENT, folder))
            found = json.loads(path.read_text(encoding="utf-8"))
        versions = {"Python": found["python"]} | found["packages"]
        return {
            "platform": f"{found['platform']}, {counted(found['cpus'], 'core')}",
            "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        }
    except Exception as error:
        # Which errors, is the artifact store's.
        logger.exception("what the sweep ran with")
        logger.warning("what the sweep ran with cannot be read (%s)", kind_and_message(error))
        return {}


def run_links(store: Store) -> Callable[[CellRun], str | None]:
    """Return what gives the address of a run in MLflow's pages; of a database, which has none, always None."""
    if not store.is_server:
        return lambda _: None
    with store.answering():
        ids = {name: experiment_id for experiment_id, name in store.experiments().items()}

    def link(run: CellRun) -> str | None:
        experiment_id = ids.get(run.experiment or "")
        if run.run_id is None or experiment_id is None:
            return None
        return f"{store.shown_uri.rstrip('/')}/#/experiments/{experiment_id}/runs/{run.run_id}"

    return link


def send_report(store: Store, experiment: Experiment, folder: Path) -> str | None:
    """Log the files of a report to the run of its sweep.

    Returns:
        The id of the run; None if the store has none of this sweep.

    Raises:
        TrackingError: The store does not answer, or its artifacts cannot be written.
    """
    run = sweep_of(store, experiment)
    if run is None:
        return None
    try:
        store.client.log_artifacts(run.info.run_id, str(folder), FOLDER)
    except Exception as error:
        # Which errors, is the artifact store's.
        raise TrackingError(
            f"MLflow at {store.shown_uri}: the report cannot be written to its artifacts ({kind_and_message(error)})"
        ) from error
    return str(run.info.run_id)


def sweep_of(store: Store, experiment: Experiment) -> Run | None:
    """Return the run of a sweep, if there is one."""
    with store.answering():
        known = store.client.get_experiment_by_name(experiment.tracked_in)
        if known is None or known.lifecycle_stage == LifecycleStage.DELETED:
            return None
        query = f"tags.`{KIND}` = 'sweep' and tags.`{SWEEP}` = '{experiment.name}'"
        return next(store.search(query, [known.experiment_id]), None)
