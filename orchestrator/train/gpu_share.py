"""Several cells on one GPU: what of its memory each may take, so that none ends its neighbours."""

from __future__ import annotations

import torch

# What CUDA, cuDNN and the kernels take of a GPU beside all tensors, for each process: half of it, and to spare.
CONTEXT_BYTES = 2**30


def own_bytes(total: int, share: float) -> int:
    """Return how many of a GPU's bytes are for the tensors of one that has a share of it; at least a tenth of that."""
    return int(max(share * total - CONTEXT_BYTES, share * total / 10))


def workers_on_gpu(each: float) -> int:
    """Return how many workers have a GPU of which each has a share; one where it has a whole one or more."""
    return max(1, int((1 + 1e-6) // each))


def gpu_of(number: int, each: float) -> int:
    """Return the first GPU of a worker: no share is of two.

    Args:
        number: Which worker of this machine, from 0.
        each: How many GPUs a worker has, or which share of one.
    """
    return int(number * each) if each >= 1 else number // workers_on_gpu(each)


def held_by_others(device: torch.device) -> int:
    """Return how many bytes of a GPU other processes hold, about: what is neither free nor this one's; 0 of a CPU."""
    if device.type != "cuda":
        return 0
    free, total = torch.cuda.mem_get_info(device)
    return max(0, total - free - torch.cuda.memory_reserved(device) - CONTEXT_BYTES)


def claim_share(device: torch.device, share: float) -> None:
    """Have this process take no more of a GPU's memory than its share: what is more is out of memory, here alone.

    Args:
        device: Where it trains; a CPU is not shared like that.
        share: Of the GPU, above 0; 1 is all of it.
    """
    if device.type == "cuda" and share < 1:
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(own_bytes(total, share) / total, device)
