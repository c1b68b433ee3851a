"""A cluster's job server, asked through Ray's client; what it refuses is said with a remedy for the cause."""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import os
import secrets
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from orchestrator.credentials import without_secrets
from orchestrator.environment import JOB_SERVER, RAY_ADDRESS, RAY_AUTH_MODE, has_ray_token, values_for
from orchestrator.errors import ClusterError, UserError, first_line, nearest
from orchestrator.jobs.address import DASHBOARD_PORT, Address
from orchestrator.waiting import waiting_for

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobSubmissionClient

    from orchestrator.jobs.parcel import Parcel

ANSWER_TIMEOUT_S = 10.0
# After so long without a word a connection may have been given up by the other side, e.g. while a laptop slept.
SILENT_S = 30.0
# Ray's modules that tell of each file that they pack and each connection that they close.
_TALKATIVE = ("ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk", "ray._private.runtime_env")
# Of a job's metadata: which experiment it is of, and what it does.
_EXPERIMENT, _COMMAND = "zetasweep_experiment", "zetasweep_command"
_NO_DASHBOARD = (
    "start the head with a dashboard that is reached from here: pip install 'ray[default]' there, and ray start --head "
    "--dashboard-host=0.0.0.0 in a network that you trust\n"
    "or forward its port: ssh -L 8265:127.0.0.1:8265 HEAD, ray dashboard cluster.yaml, or kubectl port-forward "
    "service/NAME-head-svc 8265, and name http://127.0.0.1:8265"
)
_TOKEN = "put the cluster's token into ~/.ray/auth_token or RAY_AUTH_TOKEN; on its head, ray get-auth-token shows it"


@dataclass(frozen=True)
class Ended:
    """How a job is, or has ended.

    Attributes:
        status: In Ray's words: PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED.
        exit_code: Of its driver; None if that has not ended by itself.
        message: What Ray says of it.
    """

    status: str
    exit_code: int | None
    message: str

    @property
    def is_over(self) -> bool:
        """Whether nothing of it runs any more."""
        return self.status not in ("PENDING", "RUNNING")


@dataclass(frozen=True)
class Listed:
    """A job, as a list shows it.

    Attributes:
        name: That others are told.
        status: As of `Ended`.
        began: When; None if it has not.
        ended: When; None if it has not.
        what: The experiment and how it was called, or what it does if it is none of ours.
        has_time_to_stop: Whether Ray waits for its driver when it is told to stop.
    """

    name: str
    status: str
    began: datetime | None
    ended: datetime | None
    what: str
    has_time_to_stop: bool


def connected(address: Address) -> JobServer:
    """Return the job server at an address.

    Raises:
        UserError: Nobody answers there, it is no job server, or it does not take this machine's token.
    """
    with waiting_for(f"the job server at {address.url}"):
        _check_answer(address)
        with _told_by_address_alone():
            from ray.exceptions import AuthenticationError

            for talkative in _TALKATIVE:
                logging.getLogger(talkative).setLevel(logging.WARNING)
            try:
                return JobServer(address, _client(address.url))
            except AuthenticationError as error:
                raise _not_let_in(address) from error
            except (RuntimeError, ConnectionError, OSError, ValueError) as error:
                raise UserError(
                    f"{address}: it takes no jobs: {first_line(without_secrets(str(error)))}", remedy=_NO_DASHBOARD
                ) from error


class JobServer:
    """A job server that answers.

    Attributes:
        address: Where it is.
    """

    def __init__(self, address: Address, client: JobSubmissionClient) -> None:
        self.address, self._client = address, client

    def submit(self, parcel: Parcel, command: str, *, experiment: str, variables: Mapping[str, str]) -> str:
        """Hand a job in, and return its name.

        Args:
            parcel: What it carries.
            command: What it does, for a shell.
            experiment: The name of the experiment: that of the job begins with it.
            variables: Of its environment, no secrets among them: Ray's dashboard shows them.

        Raises:
            ClusterError: It is refused.
        """
        name = f"{experiment}-{secrets.token_hex(4)}"
        environment = {"working_dir": str(parcel.folder), "env_vars": {**values_for("job"), **variables}}
        metadata = {_EXPERIMENT: experiment, _COMMAND: command}
        with self._answering(), waiting_for(f"{self.address.url} to take the job"):
            self._client.submit_job(entrypoint=command, submission_id=name, runtime_env=environment, metadata=metadata)
        return name

    def state(self, job: str) -> Ended:
        """Return how a job is.

        Raises:
            UserError: There is no such job.
            ClusterError: The server does not answer.
        """
        found = self._details(job)
        return Ended(str(found.status), found.driver_exit_code, found.message or "")

    def jobs(self) -> list[Listed]:
        """Return all jobs that were handed in, the latest last."""
        with self._answering():
            found = [job for job in self._client.list_jobs() if job.submission_id is not None]
        return sorted(map(_listed, found), key=lambda job: (job.began is None, job.began or datetime.min))

    def listed(self, job: str) -> Listed:
        """Return one of them; raises like `state`."""
        return _listed(self._details(job))

    def stop(self, job: str) -> None:
        """Have a job told to stop; it goes on until what it trains is saved."""
        with self._answering():
            self._client.stop_job(job)

    def log(self, job: str) -> str:
        """Return what a job has printed so far."""
        with self._answering():
            return str(self._client.get_job_logs(job))

    async def log_as_it_grows(self, job: str) -> AsyncIterator[str]:
        """Yield what a job prints, from the first line to its end, and nothing, ``""``, where none comes for a while.

        Raises:
            ClusterError: The connection is lost.
        """
        from aiohttp import ClientError  # what Ray's client follows logs with

        pieces = aiter(self._client.tail_job_logs(job))
        try:
            coming = asyncio.ensure_future(anext(pieces, None))
            while True:
                if not (await asyncio.wait({coming}, timeout=SILENT_S))[0]:
                    yield ""
                elif (text := coming.result()) is None:
                    return
                else:
                    yield text
                    coming = asyncio.ensure_future(anext(pieces, None))
        except (RuntimeError, ClientError, OSError) as error:
            raise self._no_answer(error) from error

    def _details(self, job: str) -> JobDetails:
        try:
            with self._answering():
                return self._client.get_job_info(job)
        except ClusterError as error:
            if "status code 404" not in str(error):
                raise
            names = [each.name for each in self.jobs()]
            meant = nearest(job, names)
            raise UserError(
                f"job {job}: {self.address.url} knows none of this name",
                remedy=f"did you mean {meant}?" if meant else f"zetasweep jobs --address {self.address.url} lists them",
            ) from error

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Raise ClusterError if the server does not answer within it, or refuses."""
        from ray.exceptions import AuthenticationError

        try:
            yield
        except AuthenticationError as error:
            # It was let in before: the head was started again, with another token.
            refused = _not_let_in(self.address)
            raise ClusterError(refused.args[0], remedy=refused.remedy) from error
        except (RuntimeError, OSError, ValueError) as error:  # those of requests are OSErrors
            raise self._no_answer(error) from error

    def _no_answer(self, error: Exception) -> ClusterError:
        said = without_secrets(str(error)).strip() or type(error).__name__
        return ClusterError(
            f"{self.address.url}: {first_line(said, at_most=500)}",
            remedy="see whether the head of the cluster runs; what a job has trained is in its storage, and the same "
            "zetasweep submit goes on with it",
        )


def _client(url: str) -> JobSubmissionClient:
    """Return Ray's client of the server at an address, which waits for no answer for ever."""
    from ray.job_submission import JobSubmissionClient

    class Client(JobSubmissionClient):  # type: ignore[misc]
        # Not public. Should Ray stop calling it, it waits as long as the network does.
        def _do_request(self, method: str, endpoint: str, **options: Any) -> Any:
            # What a job carries is taken in whatever time that needs, which is said.
            if method == "GET" or endpoint.endswith("/stop"):
                options["timeout"] = SILENT_S
            return super()._do_request(method, endpoint, **options)

    return Client(url)


def _listed(job: Any) -> Listed:
    metadata, variables = job.metadata or {}, (job.runtime_env or {}).get("env_vars") or {}
    return Listed(
        name=job.submission_id,
        status=str(job.status),
        began=_time(job.start_time),
        ended=_time(job.end_time),
        what=metadata.get(_COMMAND, job.entrypoint),
        has_time_to_stop=not (values_for("job").keys() - variables.keys()),
    )


def _time(since_1970_ms: int | None) -> datetime | None:
    return datetime.fromtimestamp(since_1970_ms / 1000).astimezone() if since_1970_ms else None


@contextmanager
def _told_by_address_alone() -> Iterator[None]:
    """Have Ray's client go to the address that it is given: its variables would go before that.

    It also says there whether there is a token, which Ray sends to no server unless it is told to.
    """
    before = {name: os.environ.pop(name, None) for name in (JOB_SERVER, RAY_ADDRESS, RAY_AUTH_MODE)}
    os.environ[RAY_AUTH_MODE] = "token" if has_ray_token() else "disabled"
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _check_answer(address: Address) -> None:
    """Refuse an address where no dashboard answers in time: Ray's client would wait as long as the network does."""
    url = f"{address.url}/api/version"
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_TIMEOUT_S) as answer:
            status, text = answer.status, answer.read(10_000)
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            return  # it asks for a token, which is sent next
        status, text = error.code, b""
    except http.client.HTTPException as error:
        # What has answered is no text.
        raise UserError(
            f"{address}: what answers is no dashboard of Ray: it speaks no HTTP",
            remedy=f"name the dashboard's port, {DASHBOARD_PORT} unless the head has another (ray start "
            "--dashboard-port), not that where clusters are joined",
        ) from error
    except (OSError, ValueError) as error:
        raise UserError(f"{address}: nobody answers ({_reason_of(error)})", remedy=_NO_DASHBOARD) from error
    try:
        is_ray = "ray_version" in json.loads(text)
    except (ValueError, TypeError):
        is_ray = False
    if not is_ray:
        raise UserError(f"{address}: what answers is no dashboard of Ray (HTTP {status})", remedy=_NO_DASHBOARD)


def _reason_of(error: Exception) -> str:
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return f"not within {ANSWER_TIMEOUT_S:g} s"
    return str(getattr(reason, "strerror", None) or first_line(str(reason) or type(reason).__name__, at_most=200))


def _not_let_in(address: Address) -> UserError:
    if has_ray_token():
        return UserError(f"{address}: the cluster does not take the token that is here", remedy=_TOKEN)
    return UserError(f"{address}: the cluster asks for a token, and there is none here", remedy=_TOKEN)
