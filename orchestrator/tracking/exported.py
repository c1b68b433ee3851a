"""The model of a finished cell, logged to its run."""

from __future__ import annotations

from pathlib import Path

from mlflow.entities import Run

from orchestrator.errors import TrackingError
from orchestrator.experiment import Cell
from orchestrator.storage import CellFolder
from orchestrator.tracking.errors import kind_and_message
from orchestrator.tracking.logged_model import saved_model, send_model
from orchestrator.tracking.names import MODEL_URI
from orchestrator.tracking.rows import OF_MODEL, Rows
from orchestrator.tracking.store import Store


def export_to(store: Store, cell: Cell, run_id: str, folder: CellFolder) -> str:
    """Log the model of a finished cell to its run, once, however often that is tried; return its address.

    Args:
        store: Has the run.
        cell: The cell.
        run_id: Its run.
        folder: With its best weights.

    Raises:
        UntellableError: No model can be made of them; says why.
        TrackingError: MLflow, or what keeps its artifacts, does not take it.
        OSError: There is no room for it, on disk or in memory.
    """
    with saved_model(cell, folder) as path:
        try:
            return _log_model(store, cell, store.client.get_run(run_id), path)
        except Exception as error:
            # Which errors, is the artifact store's.
            raise TrackingError(
                f"MLflow at {store.shown_uri} does not take the model of cell {cell.key} ({kind_and_message(error)})"
            ) from error


def _log_model(store: Store, cell: Cell, run: Run, path: Path) -> str:
    if known := run.data.tags.get(MODEL_URI):
        return str(known)
    client, at = store.client, run.info
    # One that another driver had begun with when it ended, or whose answer got lost.
    begun = client.search_logged_models([at.experiment_id], filter_string=f"source_run_id = '{at.run_id}'")
    model = (
        begun[0]
        if begun
        else client.create_logged_model(at.experiment_id, path.name, source_run_id=at.run_id, params=cell.params())
    )
    model = send_model(client, model, path, run=run)
    results = {name: value for name, value in run.data.metrics.items() if name.startswith(OF_MODEL)}
    Rows(client, at.run_id).log_of_model(results, model_id=model.model_id)
    client.set_tag(at.run_id, MODEL_URI, model.model_uri)
    return str(model.model_uri)
