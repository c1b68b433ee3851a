"""MLflow's registry of models: a name for a logged model, under which others load it."""

from __future__ import annotations

import io
from contextlib import redirect_stderr

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.models import get_model_info

from orchestrator.errors import UserError
from orchestrator.tracking.artifacts import missing_of_model
from orchestrator.tracking.errors import kind_and_message
from orchestrator.tracking.store import Store
from orchestrator.waiting import waiting_for

ALIAS = "best"


def register_model(store: Store, model_uri: str, name: str, *, description: str) -> str:
    """Register a logged model as the newest version of `name`, with the alias ``best``; return the version.

    Args:
        store: Has the model.
        model_uri: Its address.
        name: In the registry.
        description: What the version is, in markdown; which classes it knows and what it takes is added.

    Raises:
        UserError: The model's files are not there, MLflow refuses the name, or does not answer.
        TrackingError: The artifact store does not answer.
    """
    if missing := missing_of_model(store, model_uri):
        raise UserError(
            f"--register {name}: the model is not there: {', '.join(missing)}",
            remedy="bring its files back; zetasweep doctor says where they should be",
        )
    try:
        # It prints its success, also where nobody asked; the caller says it in one line.
        with waiting_for("MLflow to register the model"), redirect_stderr(io.StringIO()):
            version = mlflow.register_model(model_uri, name, await_registration_for=0).version
            store.client.update_model_version(name, version, f"{description}\n\n{_of_model(model_uri)}")
        store.client.set_registered_model_alias(name, ALIAS, version)
    except MlflowException as error:
        raise UserError(
            f"--register {name}: MLflow refuses it ({kind_and_message(error)})", remedy="use another name"
        ) from error
    return str(version)


def _of_model(model_uri: str) -> str:
    """Return what a logged model says of itself, in markdown; of earlier versions that is less."""
    said = get_model_info(model_uri).metadata or {}
    classes = ", ".join(said.get("class_names", ()))
    return f"Classes: {classes}\n\nInput: {said.get('input', '')}\n\nOutput: {said.get('output', '')}"
