"""The Ray cluster that a sweep runs on: joined or started, and how many slots fit on it at once.

Ray takes seconds to import, which a plan for this machine need not pay: hence the imports inside functions.
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from orchestrator.environment import asks_for_token, ray_address
from orchestrator.errors import UserError, first_line
from orchestrator.experiment import Resources
from orchestrator.plan import Layout, Node, layout, local_layout, local_node, planned_local_layout
from orchestrator.signals import unheard_by_children
from orchestrator.waiting import waiting_for

ANSWER_TIMEOUT_S = 10.0
NO_TOKEN = (
    "the cluster is joined without a token: if it asks for none, whoever reaches it can run code in it "
    "(docs/security.md)"
)
OBJECT_STORE_BYTES = 128 * 1024**2


def planned_layout(resources: Resources, *, gpus: int | None = None) -> Layout:
    """Return the layout without starting anything; a cluster named by ``RAY_ADDRESS`` is asked.

    Args:
        resources: The experiment's.
        gpus: Plan for a machine with so many instead.
    """
    if gpus is not None or ray_address() is None:
        return planned_local_layout(resources, local_node(), gpus=gpus)
    with joined_or_started(resources) as placed:
        return placed


@contextmanager
def joined_or_started(resources: Resources) -> Iterator[Layout]:
    """Join the cluster that ``RAY_ADDRESS`` names, or start one on this machine, and leave or stop it at the end.

    `orchestrator.environment.prepare_program` comes before Ray is imported.

    Yields:
        Where the slots fit.

    Raises:
        UserError: Nobody answers at ``RAY_ADDRESS``, or the layout does not fit.
    """
    import ray

    address = ray_address()
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        placed = _start(resources) if address is None else _join(address, resources)
        # Ray's native handler would abort the process, with its runs left open.
        signal.signal(signal.SIGTERM, on_sigterm)
        yield placed
    finally:
        with waiting_for("Ray to end"):
            ray.shutdown()


def _start(resources: Resources) -> Layout:
    import ray

    # What does not fit is said before Ray starts.
    placed = local_layout(resources, local_node())
    (node,) = placed.nodes
    # Where Ray keeps a token that it makes, which it lets every user of the machine read.
    token = Path.home() / ".ray" / "auth_token"
    with suppress(OSError):  # Ray says it, if it needs the folder
        token.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        # A closed terminal or a batch system sends notices to the cluster, too, which must last until all is saved.
        with waiting_for("Ray to start on this machine"), unheard_by_children():
            ray.init(
                address="local",
                num_cpus=int(-(-placed.cpus_told // 1)),
                num_gpus=int(node.gpus),
                # Ray Train frees the placement group of a killed slot through the dashboard's state service.
                include_dashboard=True,
                dashboard_host="127.0.0.1",
                object_store_memory=OBJECT_STORE_BYTES,
                log_to_driver=False,
            )
    except Exception as error:
        raise UserError(
            f"Ray does not start on this machine ({first_line(error, at_most=300)})",
            remedy="again, when the machine is less busy; Ray's own logs are in /tmp/ray, or in RAY_TMPDIR",
        ) from error
    with suppress(OSError):  # the token is in a variable, or elsewhere
        token.chmod(0o600)
    return placed


def _join(address: str, resources: Resources) -> Layout:
    import ray

    try:
        with waiting_for(f"the Ray cluster at {address} to be joined"):
            _check_answer(address)
            ray.init(address=address, log_to_driver=False)
    except Exception as error:
        raise UserError(
            f"RAY_ADDRESS = {address}: the cluster cannot be joined ({first_line(error, at_most=300)})",
            remedy="look whether it runs; if it asks for a token, put that into ~/.ray/auth_token or RAY_AUTH_TOKEN; "
            "or unset RAY_ADDRESS to run on this machine",
        ) from error
    totals = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    placed = layout(resources, [Node(cpus=total.get("CPU", 0.0), gpus=total.get("GPU", 0.0)) for total in totals])
    return placed if asks_for_token() else replace(placed, warning=NO_TOKEN)


def _check_answer(address: str) -> None:
    """Raise OSError if nothing listens at ``host:port``: Ray would try for minutes, and then end the process."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "://" not in address:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_TIMEOUT_S).close()
