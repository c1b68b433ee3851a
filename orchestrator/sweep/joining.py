"""Whether a cluster answers at ``RAY_ADDRESS``, and what to do where it cannot be joined: a remedy for each cause."""

from __future__ import annotations

import ipaddress
import os
import socket
from contextlib import suppress

from orchestrator.errors import UserError
from orchestrator.sweep.ray_token import is_about_token

ANSWER_TIMEOUT_S = 10.0
DEFAULT_PORT = 6379

# What both sides of an HTTP/2 connection begin with, and so of gRPC: a magic line, and a frame of settings (RFC 9113).
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_SETTINGS = 4


def check_address(address: str) -> None:
    """Raise UserError if no cluster listens at ``host:port``: Ray would try for minutes, and then end the process."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "://" in address:
        return  # Ray knows more of addresses, and says what is wrong with one
    host = host.strip("[]")
    try:
        _check_answer(address, host, int(port))
    except (OSError, UnicodeError) as error:
        raise _refused(address, str(error), _remedy_for(error)) from error
    if not _is_loopback(host):
        return
    import ray.util

    # Ray replaces it by this.
    reachable = ray.util.get_node_ip_address()
    try:
        _check_answer(address, reachable, int(port))
    except OSError as error:
        raise _refused(
            address,
            f"it listens on {host} alone, and Ray joins clusters at {reachable}",
            "a cluster that zetasweep run started is its own alone; start one to be shared by ray start --head",
        ) from error


def not_joined(address: str, error: Exception) -> UserError:
    """Return what is to be said of a cluster that answers and is not joined: all that Ray says, and a remedy."""
    said = str(error).strip() or type(error).__name__
    if is_about_token(said):
        remedy = "put the cluster's token into ~/.ray/auth_token or RAY_AUTH_TOKEN"
    elif "version mismatch" in said.lower():
        remedy = "install the same Ray and Python here as there"
    elif "failed to merge" in said.lower():
        remedy = "submit the job without py_modules of its own: --plugin has Ray bring what it needs"
    elif isinstance(error, ValueError):
        remedy = "write HOST:PORT, as ray start --head says it; http://... is for ray job submit"
    else:
        remedy = "look whether it runs, with ray status; its logs are in /tmp/ray/session_latest/logs on its head"
    return _refused(address, said, remedy)


def _check_answer(address: str, host: str, port: int) -> None:
    with socket.create_connection((host, port), timeout=ANSWER_TIMEOUT_S) as connection:
        if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
            return  # it says nothing before the keys are exchanged
        header = b""
        with suppress(OSError):
            connection.sendall(_PREFACE)
            header = connection.recv(9, socket.MSG_WAITALL)
    if len(header) < 9 or header[3] != _SETTINGS:
        raise _refused(
            address,
            "something listens there that is no Ray cluster",
            f"mend the port: it is the one that ray start --head says, {DEFAULT_PORT} unless told otherwise",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _remedy_for(error: OSError | UnicodeError) -> str:
    # A label that is empty, or longer than 63 letters, is no name to ask for.
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return "mend the name of the host"
    if isinstance(error, ConnectionRefusedError):
        return "start the cluster, or mend the port"
    return "see whether that machine is up, and whether a firewall lets the port through"


def _refused(address: str, said: str, remedy: str) -> UserError:
    return UserError(
        f"RAY_ADDRESS = {address}: the cluster cannot be joined: {said}",
        remedy=f"{remedy}\nor unset RAY_ADDRESS to run on this machine",
    )
