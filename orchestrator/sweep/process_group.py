"""How the workers of a slot form their process group, and the one by which they agree: each in bounded time.

Ray Train has rank 0 open a ``TCPStore``, which listens on every address of the machine and lets anyone write: whoever
puts its own address there in place of a rank's receives, and sends, what the ranks unpickle. A ``FileStore`` in a
folder of the sweep does the same for ranks of one machine. Ranks of several machines have no other.

gloo listens at what the host's name means, which on Ubuntu is 127.0.1.1, and NCCL takes the first interface that it
finds. So each rank names the one that has the address by which Ray reaches its node.
"""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import ray
import ray.train
import ray.util
import torch.distributed as dist
from ray.train.torch import TorchConfig
from ray.train.v2._internal.exceptions import WorkerGroupStartupFailedError

from orchestrator.environment import GLOO_INTERFACE, set_for
from orchestrator.errors import first_line
from orchestrator.sweep.interface import interface_with

# Ranks that are there reach each other in a second. What does not in so long is in nobody's way but a firewall's.
CONNECT_TIMEOUT_S = 120.0
# What bounds the waits of the ranks for each other is the slot's watch, which knows who gives signs of life meanwhile.
# This is for ranks that have outlived slot and raylet. It must be longer than a machine takes for the largest data set,
# which the ranks of another wait for; gloo's default of 30 minutes is not.
CONTROL_TIMEOUT = timedelta(hours=12)
REMEDY = "let the nodes reach each other on all ports, or set GLOO_SOCKET_IFNAME and NCCL_SOCKET_IFNAME for ray start"

# Of this process: the server of the group's store, where rank 0 has it, and what `control_group` returns.
_server: Any = None
_control: dist.ProcessGroup | None = None


@dataclass
class GroupConfig(TorchConfig):  # type: ignore[misc]
    """What Ray Train needs to make a process group.

    Attributes:
        folder: Absolute, of the sweep alone; a file in it is used if no worker can be on another node. Empty if one
            can be.
        mailbox: Handle of the slot's `Mailbox`, which is told why a group could not be made.
    """

    folder: str = ""
    mailbox: Any = None

    @property
    def backend_cls(self) -> type:
        """Makes it."""
        return _Backend


def group_config(backend: str, *, folder: str, mailbox: Any) -> GroupConfig:
    """Return the config of a slot that is started on this node.

    Args:
        backend: ``gloo`` or ``nccl``.
        folder: Absolute, of the sweep alone.
        mailbox: Handle of the slot's.
    """
    is_alone = ipaddress.ip_address(ray.util.get_node_ip_address()).is_loopback
    return GroupConfig(backend=backend, folder=folder if is_alone else "", mailbox=mailbox)


def control_group() -> dist.ProcessGroup:
    """Return the group by which the ranks agree: it uses gloo, also where NCCL carries the gradients."""
    assert _control is not None
    return _control


class _Backend(TorchConfig().backend_cls):  # type: ignore[misc]
    """Ray Train's own, but for how a group begins."""

    _is_whole = False

    def on_start(self, worker_group: Any, backend_config: GroupConfig) -> None:
        """Make the process groups of workers that have just started.

        Raises:
            WorkerGroupStartupFailedError: They do not reach each other; Ray Train starts others.
        """
        self._is_whole = False
        try:
            _connect(worker_group, backend_config)
        except Exception:
            # Ray Train forgets workers that get no further, and what they hold.
            worker_group.shutdown()
            raise
        self._is_whole = True

    def on_shutdown(self, worker_group: Any, backend_config: GroupConfig) -> None:
        """Take the groups apart; where a rank still waits for others, nothing could."""
        if self._is_whole:
            super().on_shutdown(worker_group, backend_config)


def _connect(worker_group: Any, config: GroupConfig) -> None:
    seats = worker_group.execute(_take_seat)
    if config.folder:
        # A name for each start: what an earlier group has left in its file would mislead the next.
        where = str(Path(config.folder) / f"rendezvous-{uuid4().hex}")
    else:
        where = worker_group.execute_single(0, _open_store)
    joining = worker_group.execute_async(_join, config.backend, where, config.timeout_s)
    try:
        ray.get(joining, timeout=CONNECT_TIMEOUT_S)
        return
    except ray.exceptions.GetTimeoutError:
        done, _ = ray.wait(joining, num_returns=len(joining), timeout=0)
        silent = ", ".join(str(rank) for rank, joined in enumerate(joining) if joined not in done)
        reason = f"rank {silent} had not connected after {CONNECT_TIMEOUT_S:g} s"
    except ray.exceptions.RayTaskError as error:
        reason = first_line(error.cause or error, at_most=300)
    at = ", ".join(f"rank {rank} at {seat}" for rank, seat in enumerate(seats))
    text = f"the workers do not reach each other ({at}): {reason}: {REMEDY}"
    config.mailbox.could_not_start.remote(text)
    raise WorkerGroupStartupFailedError(text)


def _take_seat() -> str:
    """Have gloo and NCCL use the interface that has the address of Ray's node; return in words what they use."""
    address = ray.util.get_node_ip_address()
    interface = interface_with(address)
    # Behind a translation of addresses none has it: what the user sets, or else the libraries' own choice, stands.
    if interface is not None:
        set_for("group", interface=interface)
    return f"{address} by {os.environ.get(GLOO_INTERFACE, 'an interface that is not known')}"


def _open_store() -> tuple[str, int]:
    """Have rank 0 open the store at which all meet; return its address and port."""
    global _server
    address = ray.util.get_node_ip_address()
    _server = _store_at(address, 0, is_master=True)
    return address, int(_server.port)


def _join(backend: str, where: str | tuple[str, int], timeout_s: int) -> None:
    """Join the groups of all ranks, which meet in a file, or at an address and port."""
    global _control
    context = ray.train.get_context()
    rank, world_size = context.get_world_rank(), context.get_world_size()
    if isinstance(where, str):
        store: Any = dist.FileStore(where, world_size)  # type: ignore[attr-defined]  # documented, but not in __all__
    elif rank == 0:
        store = _server
    else:
        store = _store_at(*where, is_master=False)
    timeout = timedelta(seconds=timeout_s)
    dist.init_process_group(backend, store=store, rank=rank, world_size=world_size, timeout=timeout)
    _control = cast(dist.ProcessGroup, dist.new_group(backend="gloo", timeout=CONTROL_TIMEOUT))


def _store_at(address: str, port: int, *, is_master: bool) -> Any:
    patience = timedelta(seconds=CONNECT_TIMEOUT_S)
    # Documented, but not in __all__.
    return dist.TCPStore(  # type: ignore[attr-defined]
        address, port, is_master=is_master, wait_for_workers=False, timeout=patience
    )
