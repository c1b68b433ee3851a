"""The addresses of a sweep's pages in MLflow's UI."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from mlflow.entities import Experiment as MlflowExperiment
from mlflow.entities import LifecycleStage, Run

from orchestrator.errors import UserError
from orchestrator.experiment import Experiment
from orchestrator.tracking.names import KIND, SWEEP
from orchestrator.tracking.store import Store
from orchestrator.tracking.view import CELLS_ALONE, order, view_key, view_tag

# Else the UI shows what is for language models, if its user has seen those last.
TRAINING = {"workflowType": "machine_learning"}


def pages_of(store: Store, experiment: Experiment) -> dict[str, str]:
    """Return what follows the address of MLflow's UI, by what is shown there; looks, and writes nothing.

    Raises:
        UserError: MLflow has nothing of the sweep yet.
        TrackingError: The store does not answer.
    """
    with store.answering():
        known = store.client.get_experiment_by_name(experiment.tracked_in)
        if known is None or known.lifecycle_stage == LifecycleStage.DELETED:
            raise UserError(
                f"MLflow at {store.shown_uri} has no experiment {experiment.tracked_in}",
                remedy=f"{experiment.trained_by} makes it",
            )
        query = f"tags.`{KIND}` = 'sweep' and tags.`{SWEEP}` = '{experiment.name}'"
        run: Run | None = next(store.search(query, [known.experiment_id]), None)
    place = f"#/experiments/{known.experiment_id}/runs"
    shown = _shown(known, experiment)
    found = {} if run is None else {"what it says": f"{place}/{run.info.run_id}?{_query(TRAINING)}"}
    return found | {
        "its cells": f"{place}?{_query(TRAINING | shown | {'compareRunsMode': 'TABLE'})}",
        "its charts": f"{place}?{_query(TRAINING | shown | {'compareRunsMode': 'CHART'})}",
    }


def _shown(known: MlflowExperiment, experiment: Experiment) -> dict[str, str]:
    """Return what has the UI show the sweep's view, or its cells sorted, where an earlier version made no view."""
    if view_tag(experiment.name) in known.tags:
        return {"viewStateShareKey": view_key(experiment.name)}
    metric, ascending = order(experiment)
    ordered = {"orderByKey": f"metrics.`{metric}`", "orderByAsc": str(ascending).lower()}
    return {"searchFilter": CELLS_ALONE, **ordered}


def _query(fields: dict[str, str]) -> str:
    return urlencode(fields, quote_via=quote)
