"""Processes of this machine that are the ranks of one process group."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch.distributed as dist
import torch.multiprocessing as mp


def run_ranks(function: Callable[[int, Path], None], folder: Path, *, world_size: int) -> None:
    """Call `function(rank, folder)` in `world_size` processes that share a gloo group; what one raises is raised here.

    Args:
        function: Of a module's top level: the processes import it.
        folder: Where the ranks find each other, and may leave what they found.
        world_size: How many.
    """
    # One process imports what takes seconds, and the ranks are copies of it.
    mp.set_forkserver_preload([function.__module__, "torch._dynamo", "torchmetrics.functional.classification"])
    mp.start_processes(_on_rank, (function, folder, world_size), nprocs=world_size, start_method="forkserver")


def _on_rank(rank: int, function: Callable[[int, Path], None], folder: Path, world_size: int) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=world_size)
    function(rank, folder)
    dist.barrier()
    # Not through the interpreter's end: gloo's threads abort a process there now and then.
    os._exit(0)
