"""Where MLflow's artifacts lie: chosen for a new experiment, tried before it is made, and looked for afterwards."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from mlflow.entities import Experiment as MlflowExperiment
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.uri import append_to_uri_path, is_local_uri

from orchestrator.environment import AWS_ENDPOINTS, MLFLOW_S3_ENDPOINT
from orchestrator.errors import TrackingError, UserError
from orchestrator.objects import Address
from orchestrator.tracking.errors import kind_and_message
from orchestrator.tracking.store import Store

logger = logging.getLogger(__name__)

# What every run of a cell has.
OF_CELL = "cell.json"
# What every model has: its description, and the folder of its weights.
DESCRIPTION, DATA = "MLmodel", "data"


def new_location(artifacts: Path | str | Address, name: str) -> str:
    """Return the address of the artifacts of an MLflow experiment that is to be made.

    Args:
        artifacts: The folder of all experiments, or the address of one.
        name: Of the experiment.
    """
    if isinstance(artifacts, Address):
        # MLflow knows the other one of the two that Azure has.
        base = str(replace(artifacts, scheme="abfss") if artifacts.scheme == "abfs" else artifacts)
    else:
        base = artifacts if isinstance(artifacts, str) and not artifacts.startswith("/") else Path(artifacts).as_uri()
    return str(append_to_uri_path(base, name))


def check_location(store: Store, location: str, artifacts: Path | str | Address) -> None:
    """Try to write there, before MLflow has an experiment that stays there for ever.

    Args:
        store: That is to have the experiment.
        location: Where.
        artifacts: What that was made of: see `new_location`.

    Raises:
        UserError: It cannot; says what the key that named it is to be.
    """
    origin = "tracking.artifacts" if isinstance(artifacts, str) else "storage"
    if isinstance(artifacts, Address):
        _check_server(artifacts, location)
    try:
        repository = get_artifact_repository(location, tracking_uri=store.uri)
        with tempfile.TemporaryDirectory() as folder:
            probe = Path(folder) / "zetasweep-probe.txt"
            probe.write_text("written to see whether it is possible", encoding="utf-8")
            repository.log_artifact(str(probe))
    except Exception as error:
        # Which errors, is the artifact store's: a bucket's library may be missing, or its credentials.
        raise UserError(
            f"{origin}: MLflow's artifacts cannot be written to {shown(location)} ({kind_and_message(error)})",
            remedy="mend it, or name another place with -o tracking.artifacts=PLACE",
        ) from error
    try:
        repository.delete_artifacts(probe.name)
    except Exception:
        logger.exception("%s stays in %s", probe.name, shown(location))


def _check_server(address: Address, location: str) -> None:
    """Raise UserError if MLflow would look for a bucket of storage on another server: an address of it names none."""
    named = next(filter(os.environ.get, (MLFLOW_S3_ENDPOINT, *AWS_ENDPOINTS)), "")
    asked, wanted = (os.environ.get(named, "") or "Amazon").rstrip("/"), (address.endpoint or "Amazon").rstrip("/")
    if address.scheme != "s3" or asked == wanted:
        return
    mend = f"set {MLFLOW_S3_ENDPOINT}={wanted}" if address.endpoint else f"unset {named}"
    raise UserError(
        f"storage: MLflow's artifacts would lie in {location}, and MLflow asks {asked} for that bucket"
        f"{f' ({named})' if named else ''}, not {wanted}",
        remedy=f"{mend}; also where MLflow's own page runs\nor name another place with -o tracking.artifacts=PLACE",
    )


def shown(location: str) -> str:
    """Return the place of artifacts for people: a folder of this machine as its path."""
    return local_file_uri_to_path(location) if is_local_uri(location) else location


def describe_location(store: Store, experiment: MlflowExperiment, wanted: str | None) -> Iterator[tuple[str, str]]:
    """Yield where an experiment's artifacts are, and what is to be known of that; each text with its style.

    Args:
        store: That has the experiment.
        experiment: As MLflow has it.
        wanted: Where a new one would have them; None if the server decides.
    """
    location = experiment.artifact_location
    yield f"artifacts: {shown(location)}", ""
    if wanted is not None and shown(wanted) != shown(location):
        named = f"MLflow's experiment {experiment.name} was made with that place and keeps it"
        yield f"{named}; a new one, -o tracking.experiment=NAME, would have {shown(wanted)}", "yellow"
    if is_local_uri(location) and store.is_server:
        what = f"{store.shown_uri} leaves artifacts to this machine, in {shown(location)}"
        yield f"warning: {what}: the server shows them only if it sees the same folder", "yellow"


def missing_of_run(store: Store, run_id: str) -> list[str]:
    """Return which of the files that every cell's run has are not there.

    Raises:
        TrackingError: They cannot be looked for.
    """
    with _looking(store):
        found = {item.path for item in store.client.list_artifacts(run_id)}
    return [] if OF_CELL in found else [OF_CELL]


def missing_of_model(store: Store, model_uri: str) -> list[str]:
    """Return what is not there of a logged model: itself, or its files.

    Raises:
        TrackingError: They cannot be looked for.
    """
    model_id, list_files = model_uri.removeprefix("models:/"), store.client.list_logged_model_artifacts
    with _looking(store):
        try:
            store.client.get_logged_model(model_id)  # what is in a deleted one is listed all the same
            missing = {DESCRIPTION, DATA} - {item.path for item in list_files(model_id)}
            if DATA not in missing and not any(item.file_size for item in list_files(model_id, DATA)):
                missing.add(DATA)
        except MlflowException as error:
            if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
                raise
            return [model_uri]
    return [f"{model_uri}/{name}" for name in sorted(missing)]


@contextmanager
def _looking(store: Store) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise TrackingError(
            f"MLflow at {store.shown_uri}: its artifacts cannot be looked at ({kind_and_message(error)})"
        ) from error
