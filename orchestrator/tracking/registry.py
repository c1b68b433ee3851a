"""MLflow's registry of models: a name for a logged model, under which others load it."""

from __future__ import annotations

import io
from contextlib import redirect_stderr

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.models import get_model_info
from mlflow.protos.databricks_pb2 import (
    ALREADY_EXISTS,
    INVALID_PARAMETER_VALUE,
    RESOURCE_ALREADY_EXISTS,
    ErrorCode,
)

from orchestrator.errors import UserError
from orchestrator.results import markdown_text
from orchestrator.tracking.artifacts import missing_of_model
from orchestrator.tracking.errors import kind_and_message
from orchestrator.tracking.store import Store

ALIAS = "best"
# Of a description: PostgreSQL and MySQL refuse more, SQLite does not.
MOST_CHARACTERS = 5000
# Which of the two a registry says is its own.
_THERE = tuple(map(ErrorCode.Name, (ALREADY_EXISTS, RESOURCE_ALREADY_EXISTS)))


def register_model(store: Store, model_uri: str, name: str, *, description: str) -> str:
    """Register a logged model as the newest version of `name`, with the alias ``best``; return the version.

    Args:
        store: Has the model.
        model_uri: Its address.
        name: In the registry.
        description: What the version is, in markdown; which classes it knows and what it takes is added.

    Raises:
        UserError: The model's files are not there, or MLflow refuses the name.
        TrackingError: MLflow or the artifact store does not answer, or refuses something else.
    """
    if missing := missing_of_model(store, model_uri):
        raise UserError(
            f"--register {name}: the model is not there: {', '.join(missing)}",
            remedy="bring its files back; zetasweep doctor says where they should be",
        )
    # It prints its success, also where nobody asked; the caller says it in one line.
    with store.answering(), redirect_stderr(io.StringIO()):
        _take_name(store, name)
        version = mlflow.register_model(model_uri, name, await_registration_for=0).version
        store.client.set_registered_model_alias(name, ALIAS, version)
        store.client.update_model_version(name, version, _cut(f"{description}\n\n{_of_model(model_uri)}"))
    return str(version)


def _take_name(store: Store, name: str) -> None:
    """Have the registry a model of that name; raises UserError where no model can have it."""
    try:
        store.client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code == ErrorCode.Name(INVALID_PARAMETER_VALUE):
            raise UserError(
                f"--register {name}: MLflow refuses the name ({kind_and_message(error)})", remedy="use another name"
            ) from error
        if error.error_code not in _THERE:
            raise


def _cut(text: str) -> str:
    """Return what a database takes of a description."""
    end = "\n\n… The model itself has the rest."
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - len(end)] + end


def _of_model(model_uri: str) -> str:
    """Return what a logged model says of itself, in markdown; of earlier versions that is less."""
    said = get_model_info(model_uri).metadata or {}
    classes = ", ".join(said.get("class_names", ()))
    parts = {"Classes": classes, "Input": said.get("input", ""), "Output": said.get("output", "")}
    return "\n\n".join(markdown_text(f"{name}: {part}") for name, part in parts.items())
