"""What a job would lose: results and files in its own folder, which Ray deletes; and what it may not be told."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import chdir
from pathlib import Path

from orchestrator.credentials import has_password, without_secrets
from orchestrator.data import DATASETS
from orchestrator.environment import (
    AWS_ENDPOINTS,
    AWS_REGIONS,
    AZURE_ACCOUNT,
    DATA_DIR,
    MLFLOW_S3_ENDPOINT,
    TRACKING_CREDENTIALS,
    TRACKING_URI,
)
from orchestrator.errors import ConfigError, UserError
from orchestrator.experiment import Experiment, load_experiment
from orchestrator.jobs.parcel import Parcel
from orchestrator.objects import is_object_address
from orchestrator.uris import is_server, is_sqlite

# The folders below which Ray keeps what jobs have uploaded, in whichever temporary folder.
_OF_JOBS = "runtime_resources"
_SHARED = "a folder that every node of the cluster sees under this path"


def check_places(parcel: Parcel, overrides: Sequence[str]) -> None:
    """Refuse an experiment whose results or files would lie in the folder of the job.

    It is read as the job reads it, from the parcel: whatever path is relative leads there.

    Raises:
        UserError: One does, or an address may not travel; says all of it.
    """
    with chdir(parcel.folder):
        try:
            experiment = load_experiment(Path(parcel.file), overrides)
        except ConfigError as error:
            # It was read before, in the folder of the user, and nothing was wrong.
            raise UserError(
                f"what is here is not where the job runs:\n{error}",
                remedy=f"write the absolute path of {_SHARED.replace('folder', 'file')}",
            ) from error
    problems = [*_lost(experiment, parcel.folder), *_not_to_be_told(experiment)]
    if problems:
        raise UserError("\n".join(str(problem) for problem in problems))


def variables_of(experiment: Experiment) -> dict[str, str]:
    """Return the variables of this environment that say where a job's data and runs are: they go with it."""
    wanted = [DATA_DIR, *_of_objects(experiment)]
    if not experiment.tracking.uri:
        wanted.append(TRACKING_URI)
    return {name: os.environ[name] for name in wanted if os.environ.get(name)}


def _of_objects(experiment: Experiment) -> list[str]:
    """Return the variables that say which server an address of the experiment means; no credentials are among them."""
    places = map(str, (experiment.storage, experiment.data_dir, experiment.tracking.artifacts))
    schemes = {text.partition("://")[0].lower() for text in places if is_object_address(text)}
    of_s3 = [*AWS_ENDPOINTS, *AWS_REGIONS, MLFLOW_S3_ENDPOINT] if "s3" in schemes else []
    return [*of_s3, *([AZURE_ACCOUNT] if schemes & {"abfs", "abfss"} else [])]


def kept_here(experiment: Experiment) -> str | None:
    """Return what is to be said of MLflow's credentials, which do not travel; None if there are none."""
    uri = experiment.tracking.uri or os.environ.get(TRACKING_URI, "")
    if not is_server(uri) or not (names := [name for name in TRACKING_CREDENTIALS if os.environ.get(name)]):
        return None
    return (
        f"{' and '.join(names)} stay here: Ray's dashboard shows the variables of a job. If {without_secrets(uri)} "
        "asks for them, the head node alone needs them: in ~/.mlflow/credentials there, or where ray start was called"
    )


def _lost(experiment: Experiment, folder: Path) -> Iterator[UserError]:
    """Yield what would lie in the folder of a job."""
    on_disk = [spec.name for spec in experiment.dataset if not DATASETS[spec.name].embedded]
    places: list[tuple[str, object, str]] = [("storage", experiment.storage, _SHARED)]
    places += [("data_dir", experiment.data_dir, f"{_SHARED}, with {', '.join(dict.fromkeys(on_disk))} in it")] * bool(
        on_disk
    )
    places += [("cache.dir", experiment.cache.dir, "a folder on a disk of each node")]
    places += [("tracking.artifacts", experiment.tracking.artifacts, f"{_SHARED}, or an address such as s3://BUCKET")]
    for key, place, allowed in places:
        path = Path(str(place))
        if place is not None and (path.is_relative_to(folder) or _OF_JOBS in path.parts):
            shown = path.relative_to(folder) if path.is_relative_to(folder) else path
            yield UserError(
                f"{key} = {shown}: it would lie in the folder of the job, which Ray deletes",
                allowed=f"the absolute path of {allowed}",
                remedy=f"-o {key}=/PATH",
            )


def _not_to_be_told(experiment: Experiment) -> Iterator[UserError]:
    """Yield what is wrong with the addresses of servers that the environment has, for another machine."""
    for name in _of_objects(experiment):
        if has_password(url := os.environ.get(name, "")):
            yield UserError(
                f"{name} = {without_secrets(url)}: it holds a password, and Ray shows what jobs are told",
                remedy="leave it out of the address; keys of a bucket belong into the environment of ray start",
            )
    uri = os.environ.get(TRACKING_URI, "")
    if experiment.tracking.uri or not uri:
        return
    if has_password(uri):
        yield UserError(
            f"{TRACKING_URI} = {without_secrets(uri)}: it holds a password, and Ray shows what jobs are told",
            remedy="-o tracking.uri=ADDRESS without it, and the password where the head node alone has it: in "
            "~/.mlflow/credentials, in ~/.pgpass, or in the environment of ray start",
        )
    if is_sqlite(uri) and not uri.startswith("sqlite:////"):
        yield UserError(
            f"{TRACKING_URI} = {uri}: it would lie in the folder of the job, which Ray deletes",
            remedy="write sqlite:////PATH, with four slashes\nor unset it: SQLite in storage",
        )
