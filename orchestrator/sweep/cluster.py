"""The Ray cluster that a sweep runs on: join it or start it, and compute how many slots fit on it at once."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from orchestrator.errors import UserError
from orchestrator.experiment.settings import Resources
from orchestrator.plan import Layout, Node, layout, local_layout, local_node

ANSWER_TIMEOUT_S = 10.0
OBJECT_STORE_BYTES = 128 * 1024**2


def prepare_environment() -> None:
    """Set what Ray reads once, when it is imported: a cluster is only joined or started with a token.

    A cluster that is started here is reached from this machine alone: whoever reaches one can run code in it.
    """
    if os.environ.get("RAY_ADDRESS", "local") not in ("", "local"):
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        return
    os.environ.pop("RAY_ADDRESS", None)
    os.environ["RAY_AUTH_MODE"] = "token"
    # By this variable Ray decides on every system whether a node is bound to the address that others reach it at, or to
    # loopback; it is named after the two systems where loopback is the default. `ray.init` has no option for it: an
    # address of 127.0.0.1 is replaced by the reachable one.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"


def planned_layout(resources: Resources) -> Layout:
    """Return the layout without starting anything; a cluster named by ``RAY_ADDRESS`` is asked."""
    if not os.environ.get("RAY_ADDRESS"):
        return local_layout(resources, local_node())
    with joined_or_started(resources) as placed:
        return placed


@contextmanager
def joined_or_started(resources: Resources) -> Iterator[Layout]:
    """Join the cluster that ``RAY_ADDRESS`` names, or start one on this machine, and leave or stop it at the end.

    `prepare_environment` comes before Ray is imported.

    Raises:
        UserError: Nobody answers at ``RAY_ADDRESS``, or the layout does not fit.
    """
    import ray

    address = os.environ.get("RAY_ADDRESS")
    placed = None if address else local_layout(resources, local_node())
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        if placed is not None:
            _start(placed.nodes[0])
        else:
            _join(str(address))
            placed = layout(resources, _nodes())
        # Ray's native handler would abort the process, with its runs left open.
        signal.signal(signal.SIGTERM, on_sigterm)
        yield placed
    finally:
        ray.shutdown()


def _start(node: Node) -> None:
    import ray

    # Where Ray keeps a token that it makes, which it lets every user of the machine read.
    token = Path.home() / ".ray" / "auth_token"
    with suppress(OSError):  # Ray says it, if it needs the folder
        token.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        ray.init(
            address="local",
            num_cpus=int(-(-node.cpus // 1)),
            num_gpus=int(node.gpus),
            # Ray Train frees the placement group of a killed slot through the dashboard's state service.
            include_dashboard=True,
            dashboard_host="127.0.0.1",
            object_store_memory=OBJECT_STORE_BYTES,
            log_to_driver=False,
        )
    except Exception as error:
        raise UserError(
            f"Ray does not start on this machine ({_first_line(error)})\n"
            "  remedy:  again, when the machine is less busy; Ray's own logs are in /tmp/ray, or in RAY_TMPDIR"
        ) from error
    with suppress(OSError):  # the token is in a variable, or elsewhere
        token.chmod(0o600)


def _join(address: str) -> None:
    import ray

    try:
        _check_answer(address)
        ray.init(address=address, log_to_driver=False)
    except Exception as error:
        raise UserError(
            f"RAY_ADDRESS = {address}: the cluster cannot be joined ({_first_line(error)})\n"
            "  remedy:  start it with RAY_AUTH_MODE=token ray start --head, share its token (~/.ray/auth_token), "
            "or unset RAY_ADDRESS to run on this machine"
        ) from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:300]


def _check_answer(address: str) -> None:
    """Raise OSError if nothing listens at ``host:port``: Ray would try for minutes, and then end the process."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "://" not in address:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_TIMEOUT_S).close()


def _nodes() -> list[Node]:
    import ray

    totals = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [Node(cpus=total.get("CPU", 0.0), gpus=total.get("GPU", 0.0)) for total in totals]
