"""The environment variables that count: one table of those that are set here, and one of those that are only read.

A value that the user has set stands, unless the row is `forced`.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

from orchestrator.ray_here import running_ray

RAY_ADDRESS, RAY_AUTH_MODE = "RAY_ADDRESS", "RAY_AUTH_MODE"
JOB_SERVER = "RAY_API_SERVER_ADDRESS"
RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH = "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
# What Ray reads whenever one of its processes starts, from the folder that it is started in.
RAY_FILES = (RAY_AUTH_TOKEN_PATH, "RAY_TLS_SERVER_CERT", "RAY_TLS_SERVER_KEY", "RAY_TLS_CA_CERT")
TRACKING_URI = "MLFLOW_TRACKING_URI"
TRACKING_CREDENTIALS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
DATA_DIR, CACHE_DIR = "ZETASWEEP_DATA", "ZETASWEEP_CACHE"
PLUGINS = "ZETASWEEP_PLUGINS"
GLOO_INTERFACE = "GLOO_SOCKET_IFNAME"
MPS_FOLDER = "CUDA_MPS_PIPE_DIRECTORY"
PREEMPTION_WATCHER = "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER"
# Of several, the first counts.
AWS_ENDPOINTS, AWS_REGIONS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"), ("AWS_REGION", "AWS_DEFAULT_REGION")
# The server of s3:// for MLflow, before those.
MLFLOW_S3_ENDPOINT = "MLFLOW_S3_ENDPOINT_URL"
AZURE_ACCOUNT = "AZURE_STORAGE_ACCOUNT_NAME"
# Any of them says where credentials for S3 are, or that none are needed.
AWS_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
)

Moment = Literal["program", "local", "joined", "store", "sweep", "local_sweep", "joined_sweep", "slot", "group", "job"]
MOMENTS: dict[Moment, str] = {
    "program": "before Ray and MLflow are imported",
    "local": "before Ray is imported, where no cluster is joined",
    "joined": "before Ray is imported, where a cluster is joined and there is a token",
    "store": "before an MLflow store is opened",
    "sweep": "before Ray Tune starts",
    "local_sweep": "before Ray Tune starts, where no cluster is joined",
    "joined_sweep": "before Ray Tune starts on a cluster that was joined",
    "slot": "in a slot, before Ray Train starts",
    "group": "in workers, before they join their process group; INTERFACE is the one by which Ray reaches the node",
    "job": "in a job that zetasweep submit makes, by Ray's runtime environment",
}


class Setting(NamedTuple):
    """A variable that is set here.

    Attributes:
        name: Of the variable.
        value: What it is set to.
        moment: When it is set: it is read after that.
        why: What would happen without it.
        forced: It is set whatever the user has set.
    """

    name: str
    value: str
    moment: Moment
    why: str
    forced: bool = False


SETTINGS: tuple[Setting, ...] = (
    # A cluster that asks for none takes it, too.
    Setting(RAY_AUTH_MODE, "token", "joined", "a cluster that asks for a token is not joined"),
    Setting(RAY_AUTH_MODE, "token", "local", "another user of the machine may run code in the cluster", forced=True),
    # By this variable Ray decides on every system whether a node is bound to the address that others reach it at, or to
    # loopback; it is named after the two systems where loopback is the default. `ray.init` has no option for it: an
    # address of 127.0.0.1 is replaced by the reachable one.
    Setting(
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0", "local", "Ray listens on the network, not on loopback", forced=True
    ),
    # Of processes that this one starts, e.g. those that decode images.
    Setting("PYTHONSAFEPATH", "1", "program", "a random.py where the user stands is taken for Python's own"),
    Setting("RAY_USAGE_STATS_ENABLED", "0", "program", "Ray reports to its makers how it is used"),
    Setting("MLFLOW_DISABLE_TELEMETRY", "true", "program", "MLflow reports to its makers how it is used"),
    Setting("MLFLOW_LOGGING_LEVEL", "WARNING", "program", "MLflow prints a line for each thing that it does"),
    Setting("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false", "program", "MLflow draws a bar for each file it reads"),
    Setting(
        "MLFLOW_HTTP_REQUEST_TIMEOUT", "10", "store", "MLflow waits two minutes for an answer before it tries again"
    ),
    Setting("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1", "store", "MLflow tries seven times where nobody answers"),
    Setting("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false", "store", "MLflow draws a bar for each file that it moves"),
    Setting("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1", "sweep", "Tune writes result files of its own, read by nobody"),
    Setting("TUNE_MAX_PENDING_TRIALS_PG", "1", "sweep", "Tune makes slots ahead, which are never stepped"),
    Setting("TUNE_FORCE_TRIAL_CLEANUP_S", "30", "sweep", "a slot that does not end holds its cores for ten minutes"),
    Setting(
        "TUNE_GLOBAL_CHECKPOINT_S", "inf", "sweep", "a full disk of Ray's folder, where Tune keeps a state, ends it"
    ),
    Setting("RAY_AIR_NEW_OUTPUT", "0", "sweep", "Tune draws tables over the sweep's own"),
    Setting(
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S",
        "0.5",
        "sweep",
        "a dead worker is noticed after two seconds, not half a one",
    ),
    Setting("TUNE_DISABLE_SIGINT_HANDLER", "1", "sweep", "Tune takes Ctrl-C, and the running cells are not saved"),
    Setting(
        "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S",
        "300",
        "sweep",
        "slots that start together on busy cores take too long",
    ),
    Setting(PREEMPTION_WATCHER, "0", "local_sweep", "each slot has one more process, for nodes that stay"),
    Setting(PREEMPTION_WATCHER, "1", "joined_sweep", "a cell is not saved when its node is about to be taken away"),
    Setting("RAY_TRAIN_METRICS_ENABLED", "0", "slot", "Ray Train gathers metrics of its own, read by nobody"),
    # On the cluster that is started here it is loopback.
    Setting(GLOO_INTERFACE, "INTERFACE", "group", "the ranks listen where the host's name leads, if anywhere"),
    # NCCL would take what begins with the name, too.
    Setting("NCCL_SOCKET_IFNAME", "=INTERFACE", "group", "the ranks listen on the first network that is found"),
    # Ray waits no longer than it takes.
    Setting("RAY_JOB_STOP_WAIT_TIME_S", "900", "job", "Ray kills a job 3 s after it is told to stop, cells unsaved"),
)


class Variable(NamedTuple):
    """A variable that is read here.

    Attributes:
        name: Of the variable.
        what: What it says.
    """

    name: str
    what: str


VARIABLES: tuple[Variable, ...] = (
    Variable(DATA_DIR, "where data sets lie, unless data_dir says it; `data` otherwise"),
    Variable(CACHE_DIR, "where decoded images lie, unless cache.dir says it; zetasweep in the user's caches otherwise"),
    Variable(PLUGINS, "code of your own, unless --plugin names some: files or modules, with : between them"),
    Variable(
        RAY_ADDRESS,
        "the Ray cluster to join: `HOST:PORT`, `auto` or `ray://HOST:PORT`; without it the one that you have started "
        "on this machine, if you have; else, and with `local`, one is started",
    ),
    Variable(JOB_SERVER, "the job server of zetasweep submit and the like, unless --address says it; or RAY_ADDRESS"),
    Variable(TRACKING_URI, "the MLflow store, unless tracking.uri says it; it may hold a password, which is taken out"),
    Variable(TRACKING_CREDENTIALS[0], "read by MLflow; set from the user in MLFLOW_TRACKING_URI"),
    Variable(TRACKING_CREDENTIALS[1], "read by MLflow; set from the password in MLFLOW_TRACKING_URI"),
    Variable(TRACKING_CREDENTIALS[2], "read by MLflow: a token in place of user and password"),
    Variable(RAY_AUTH_TOKEN, "read by Ray: the cluster's token; or RAY_AUTH_TOKEN_PATH, or ~/.ray/auth_token"),
    *(Variable(name, "read by Ray: a file; a relative path starts at the folder of the command") for name in RAY_FILES),
    Variable("RAY_TMPDIR", "where Ray keeps sockets and logs, if it can; or TMPDIR, or /tmp"),
    Variable(MPS_FOLDER, "read by CUDA: where NVIDIA's MPS is reached, if cells share a GPU; or /tmp/nvidia-mps"),
    Variable(AWS_CREDENTIALS[0], "with AWS_SECRET_ACCESS_KEY: the credentials of s3://; or ~/.aws, if boto3 is there"),
    *(Variable(name, "the server of s3://, where it is not Amazon's") for name in AWS_ENDPOINTS),
    Variable(MLFLOW_S3_ENDPOINT, "read by MLflow: the server of s3:// for its artifacts, before these two"),
    *(Variable(name, "the region of s3://; us-east-1 otherwise") for name in AWS_REGIONS),
    Variable("GOOGLE_APPLICATION_CREDENTIALS", "the file with the credentials of gs://"),
    Variable(AZURE_ACCOUNT, "the account of abfs://, unless the address names it"),
    Variable("AZURE_STORAGE_ACCOUNT_KEY", "its credentials; or AZURE_STORAGE_SAS_TOKEN, or AZURE_CLIENT_ID and others"),
    Variable("WORLD_SIZE", "set by torchrun: `python -m orchestrator.train` joins a process group"),
    Variable("LOCAL_RANK", "set by torchrun: which GPU of this machine `python -m orchestrator.train` takes"),
)


# Of this process: the cluster that was found where none is named, and whether one was refused.
_found: str | None = None
_starts_its_own = False


def ray_address() -> str | None:
    """Return the address of the Ray cluster to join; None if one is to be started on this machine."""
    address = os.environ.get(RAY_ADDRESS, "")
    return None if address in ("", "local") else address


def has_ray_token() -> bool:
    """Return whether there is a token where Ray looks for one."""
    if os.environ.get(RAY_AUTH_TOKEN):
        return True
    path = os.environ.get(RAY_AUTH_TOKEN_PATH)
    try:
        return (Path(path) if path else Path.home() / ".ray" / "auth_token").is_file()
    except (OSError, RuntimeError):  # a home that cannot be looked at, or none
        return False


def set_for(moment: Moment, *, interface: str = "") -> None:
    """Set what is read after `moment`; what the user has set stands unless the row is forced.

    Args:
        moment: It is now.
        interface: That the rows of a process group name.
    """
    for setting in SETTINGS:
        if setting.moment == moment and (setting.forced or setting.name not in os.environ):
            os.environ[setting.name] = setting.value.replace("INTERFACE", interface)


def values_for(moment: Moment) -> dict[str, str]:
    """Return what is set at `moment` for another process; what the user has set here goes with it."""
    return {each.name: os.environ.get(each.name, each.value) for each in SETTINGS if each.moment == moment}


def prepare_program() -> None:
    """Set what Ray and MLflow read once, when they are imported.

    A cluster that is started here is reached from this machine alone: whoever reaches one can run code in it. Where
    nothing is said, and the user has started a Ray on this machine, as ``ray symmetric-run`` does, that is joined.
    """
    global _found, _starts_its_own
    named = os.environ.get(RAY_ADDRESS, "")
    # Ray's own processes would take it for an address.
    _starts_its_own = _starts_its_own or named == "local"
    is_named = named not in ("", "local", _found)
    _found = None
    if not is_named:
        os.environ.pop(RAY_ADDRESS, None)
        here = None if _starts_its_own else running_ray()
        if here is not None and here.is_ours:
            _found = os.environ[RAY_ADDRESS] = here.address
    if ray_address() is None:
        set_for("local")
    elif has_ray_token():
        set_for("joined")
    set_for("program")
    _make_absolute()


def ray_address_is_found() -> bool:
    """Return whether nobody has named the cluster that is to be joined: it runs on this machine."""
    return _found is not None and os.environ.get(RAY_ADDRESS) == _found


def starts_its_own_ray() -> bool:
    """Return whether the user has said so."""
    return _starts_its_own


def _make_absolute() -> None:
    """Have the files that Ray is told of be found from every folder: it is started in another one than the user's."""
    for name in RAY_FILES:
        path = os.environ.get(name)
        if path:
            with suppress(OSError):  # the user's folder was deleted: nothing is found from it
                os.environ[name] = str(Path(path).absolute())
