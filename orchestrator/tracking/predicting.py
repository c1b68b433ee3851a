"""What a model that MLflow has says of images in files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

from orchestrator.errors import TrackingError, UserError, first_line
from orchestrator.tracking.errors import kind_and_message
from orchestrator.tracking.registry import ALIAS
from orchestrator.tracking.store import Store

AT_A_TIME = 64
Row = dict[str, Any]
"""``file``; and ``class``, ``probability`` and ``probabilities`` by class, or ``error``: why it cannot be read."""


def registered_uri(store: Store, name: str) -> str:
    """Return the address of a registered model.

    Args:
        store: Has it.
        name: ``NAME`` for the version with the alias ``best``, or else the newest, ``NAME/VERSION`` or ``NAME@ALIAS``.

    Raises:
        UserError: There is none; says which names there are.
        TrackingError: The store does not answer.
    """
    asked, client = name.removeprefix("models:/"), store.client
    plain = asked.partition("@")[0].partition("/")[0]
    with store.answering():
        model = _registered(client, plain)
        if model is None:
            known = [each.name for each in client.search_registered_models()]
            raise UserError(
                f"{name}: MLflow at {store.shown_uri} has no model that is registered so",
                allowed=f"e.g. {', '.join(known[:10])}" if known else "none is registered there",
                remedy="register one: zetasweep select EXPERIMENT --register NAME\n"
                "or name a cell of --experiment FILE by its key, which zetasweep status shows",
            )
        if asked != plain:
            return f"models:/{asked}"
        if ALIAS in model.aliases:
            return f"models:/{plain}@{ALIAS}"
        versions = [int(each.version) for each in client.search_model_versions(f"name = '{plain}'")]
        if not versions:
            raise UserError(
                f"{name}: MLflow at {store.shown_uri} has this name, and no version of it any more",
                remedy=f"register one: zetasweep select EXPERIMENT --register {plain}",
            )
        return f"models:/{plain}/{max(versions)}"


def is_registered(store: Store, name: str) -> bool:
    """Return whether a model is registered under a name; raises TrackingError where the store does not answer."""
    with store.answering():
        return _registered(store.client, name) is not None


def _registered(client: MlflowClient, name: str) -> RegisteredModel | None:
    try:
        found: RegisteredModel = client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            raise
        return None
    return found


def predict_files(model_uri: str, files: Sequence[Path]) -> Iterator[Row]:
    """Yield a row for each file.

    Raises:
        UserError: The model takes no files: an earlier version has logged it, or something else.
        TrackingError: It cannot be loaded.
    """
    try:
        model = mlflow.pyfunc.load_model(model_uri)
    except (MlflowException, OSError, RuntimeError) as error:
        raise TrackingError(f"{model_uri} cannot be loaded ({kind_and_message(error)})") from error
    if "preparation" not in (model.metadata.metadata or {}):
        raise UserError(
            f"{model_uri}: it takes arrays and no files, as models of earlier versions of zetasweep do",
            remedy="train the cell again with another storage, or prepare the images: mlflow.pyfunc.load_model has it",
        )
    for first in range(0, len(files), AT_A_TIME):
        yield from _rows(model, files[first : first + AT_A_TIME])


def _rows(model: Any, files: Sequence[Path]) -> Iterator[Row]:
    try:
        table = model.predict([str(file) for file in files])
    except ValueError as error:
        if len(files) == 1:
            # Of one alone its number says nothing.
            yield {"file": str(files[0]), "error": first_line(error).removeprefix("image 0: ")}
        else:
            for file in files:
                yield from _rows(model, [file])
        return
    for file, (_, row) in zip(files, table.iterrows(), strict=True):
        of_class = {str(name).partition("/")[2]: float(row[name]) for name in table.columns[2:]}
        yield {"file": str(file), "class": row["class"], "probability": row["probability"], "probabilities": of_class}
