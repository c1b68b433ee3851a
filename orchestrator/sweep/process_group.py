"""How the workers of a slot form their process group: where all of them are on one machine, without the network.

Ray Train has rank 0 open a ``TCPStore``, which listens on every address of the machine and lets anyone write: whoever
puts its own address there in place of a rank's receives, and sends, what the ranks unpickle. A ``FileStore`` in a
folder of the sweep does the same for ranks of one machine.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import ray
import ray.train
import ray.util
import torch.distributed as dist
from ray.train.torch import TorchConfig

from orchestrator.environment import set_for


def torch_config(backend: str, *, folder: str) -> TorchConfig:
    """Return what Ray Train needs to make a process group.

    Args:
        backend: ``gloo`` or ``nccl``.
        folder: Absolute, of the sweep alone; a file in it is used if this node cannot have workers elsewhere.
    """
    if ipaddress.ip_address(ray.util.get_node_ip_address()).is_loopback:
        return _FileConfig(backend=backend, folder=folder)
    return TorchConfig(backend=backend)


@dataclass
class _FileConfig(TorchConfig):  # type: ignore[misc]
    folder: str = ""

    @property
    def backend_cls(self) -> type:
        return _FileBackend


class _FileBackend(TorchConfig().backend_cls):  # type: ignore[misc]
    """Ray Train's own, but for how a group begins."""

    def on_start(self, worker_group: Any, backend_config: _FileConfig) -> None:
        """Make the process group of workers that have just started."""
        # A name for each start: what an earlier group has left in its file would mislead the next.
        path = Path(backend_config.folder) / f"rendezvous-{uuid4().hex}"
        worker_group.execute(_join, backend_config.backend, str(path), backend_config.timeout_s)


def _join(backend: str, path: str, timeout_s: int) -> None:
    set_for("group")
    context = ray.train.get_context()
    rank, world_size = context.get_world_rank(), context.get_world_size()
    store = dist.FileStore(path, world_size)  # type: ignore[attr-defined]  # documented, but not in __all__
    timeout = timedelta(seconds=timeout_s)
    dist.init_process_group(backend, store=store, rank=rank, world_size=world_size, timeout=timeout)
