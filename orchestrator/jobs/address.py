"""Where a cluster takes jobs: at its dashboard, by HTTP, and not where clusters are joined."""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from orchestrator.credentials import has_password, without_secrets
from orchestrator.environment import JOB_SERVER, RAY_ADDRESS, ray_address_is_found
from orchestrator.errors import UserError

DASHBOARD_PORT = 8265
_ALLOWED = f"http://HOST:{DASHBOARD_PORT}, where the cluster's dashboard answers; or https://"
# What else a cluster listens on, by the port that is Ray's default.
_OTHER_PORTS = {6379: "where clusters are joined", 10001: "that of Ray Client"}


@dataclass(frozen=True)
class Address:
    """The address of a job server.

    Attributes:
        url: ``http://HOST:PORT``, without a slash behind it.
        origin: What the user gave it in.
    """

    url: str
    origin: str

    def __str__(self) -> str:
        return f"{self.origin} = {self.url}"

    def link_to(self, job: str) -> str:
        """Return where the dashboard shows a job."""
        return f"{self.url}/#/jobs/{job}"


def address_of(given: str | None) -> Address:
    """Return where jobs are handed in.

    Args:
        given: What ``--address`` says; None for what the environment says.

    Raises:
        UserError: Nothing says it, or no job server is there by its form.
    """
    if given is not None:
        return _checked(given, "--address")
    if by_variable := os.environ.get(JOB_SERVER):
        return _checked(by_variable, JOB_SERVER)
    # One that nobody has named is no mistake in it.
    joined = "" if ray_address_is_found() else os.environ.get(RAY_ADDRESS, "")
    if joined.startswith(("http://", "https://")):
        return _checked(joined, RAY_ADDRESS)
    named = f": {RAY_ADDRESS} = {without_secrets(joined)} is where it is joined" if joined else ""
    raise UserError(
        f"no job server of a cluster is named{named}",
        allowed=_ALLOWED,
        remedy=f"--address {_suggested(joined)}, or set {JOB_SERVER}\nzetasweep run trains without a job",
    )


def _checked(given: str, origin: str) -> Address:
    if has_password(given):
        raise UserError(
            f"{origin} = {without_secrets(given)}: it holds a password, which lists of processes and logs would show",
            remedy="forward the port, e.g. ssh -L 8265:127.0.0.1:8265 HEAD, and name http://127.0.0.1:8265",
        )
    # A name alone is a host, and HOST:PORT no scheme.
    parts = _split(given if "://" in given else f"http://{given}")
    if parts is None or not parts.hostname or given in ("auto", "local"):
        raise _refused(given, origin, "no address of a job server", _suggested(given))
    if parts.scheme == "ray":
        raise _refused(given, origin, "Ray Client's, which takes no jobs", _suggested(given))
    if parts.scheme not in ("http", "https"):
        raise _refused(given, origin, "no address of a job server", _suggested(given))
    if parts.port in _OTHER_PORTS:
        raise _refused(given, origin, f"its port is {_OTHER_PORTS[parts.port]}", _suggested(given))
    has_port = parts.port is not None or parts.scheme == "https" or "://" in given
    netloc = parts.netloc if has_port else f"{parts.netloc}:{DASHBOARD_PORT}"
    return Address(parts._replace(netloc=netloc, query="", fragment="").geturl().rstrip("/"), origin)


def _split(url: str) -> SplitResult | None:
    """Return the parts of an address; None if it is none."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _suggested(given: str) -> str:
    parts = _split(given if "://" in given else f"http://{given}")
    host = parts.hostname if parts is not None and given not in ("auto", "local") else None
    return f"http://{f'[{host}]' if host and ':' in host else host or 'HOST'}:{DASHBOARD_PORT}"


def _refused(given: str, origin: str, why: str, suggested: str) -> UserError:
    return UserError(f"{origin} = {given}: {why}", allowed=_ALLOWED, remedy=f"name {suggested}")
