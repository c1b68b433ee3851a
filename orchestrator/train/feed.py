"""How the images of a data set get to the device: all of them once, or batch by batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Literal, Protocol

import torch
from torch import Tensor

from orchestrator.amounts import bytes_text
from orchestrator.errors import CellError
from orchestrator.machine import free_memory_bytes
from orchestrator.train.gpu_share import own_bytes

Mode = Literal["resident", "streaming"]

# Batches that are on their way while one is trained on; two threads, so that one can wait for the disk.
BATCHES_AHEAD = 3
THREADS = 2


class Feed(Protocol):
    """The images of one data set, for one device.

    Attributes:
        mode: ``resident`` or ``streaming``.
        device: Where the batches are.
    """

    @property
    def mode(self) -> Mode: ...  # noqa: D102

    @property
    def device(self) -> torch.device: ...  # noqa: D102

    def batches(self, rows: Sequence[Tensor]) -> Iterator[Tensor]:
        """Yield the images of each batch.

        Args:
            rows: int64 [n] on the CPU for each batch: places in the data set's ``images``.

        Yields:
            uint8 [n, C, S, S] on the device.
        """
        ...


class ResidentFeed:
    """All images on the device: a batch is formed there by index, and no step waits for the host.

    On the CPU they are not copied: the map of the cache is what all processes of the machine share.

    Args:
        images: uint8 [N, C, S, S] on the CPU.
        device: Where to keep them.
    """

    mode: Mode = "resident"

    def __init__(self, images: Tensor, device: torch.device) -> None:
        self.device = device
        self._images = images.to(device)

    def batches(self, rows: Sequence[Tensor]) -> Iterator[Tensor]:
        """See `Feed`."""
        if not rows:
            return
        # One copy for the whole epoch.
        on_device = torch.cat(list(rows)).to(self.device)
        for of_batch in torch.split(on_device, [len(of_batch) for of_batch in rows]):
            yield self._images[of_batch]


class StreamingFeed:
    """Images stay in the cache; threads gather the batches that come next and send them ahead of the training.

    Args:
        images: uint8 [N, C, S, S] on the CPU.
        device: Where the batches go; to a GPU through pinned memory, on a stream of their own.
    """

    mode: Mode = "streaming"

    def __init__(self, images: Tensor, device: torch.device) -> None:
        self.device = device
        self._images = images
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]

    def batches(self, rows: Sequence[Tensor]) -> Iterator[Tensor]:
        """See `Feed`."""
        pending: deque[Future[tuple[Tensor, torch.cuda.Event | None]]] = deque()
        # A thread that leaves the side stream would else go back to, and take memory on, the node's first GPU.
        start = partial(torch.cuda.set_device, self.device) if self._stream is not None else None
        with ThreadPoolExecutor(THREADS, thread_name_prefix="feed", initializer=start) as pool:
            for of_batch in rows:
                pending.append(pool.submit(self._fetch, of_batch))
                if len(pending) > BATCHES_AHEAD:
                    yield self._arrived(pending.popleft())
            while pending:
                yield self._arrived(pending.popleft())

    def _fetch(self, rows: Tensor) -> tuple[Tensor, torch.cuda.Event | None]:
        pinned = self._stream is not None
        shape = (len(rows), *self._images.shape[1:])
        # PyTorch keeps pinned memory and gives it out again only when the copy out of it is over.
        batch = torch.empty(shape, dtype=torch.uint8, pin_memory=pinned)
        torch.index_select(self._images, 0, rows, out=batch)
        if self._stream is None:
            return batch, None
        with torch.cuda.stream(self._stream):
            sent = batch.to(self.device, non_blocking=True)
            arrived = self._stream.record_event()
        return sent, arrived

    def _arrived(self, future: Future[tuple[Tensor, torch.cuda.Event | None]]) -> Tensor:
        batch, arrived = future.result()
        if arrived is not None:
            # The training's stream waits, not the host; and the memory is not given out again before it has used it.
            current = torch.cuda.current_stream(self.device)
            current.wait_event(arrived)
            batch.record_stream(current)
        return batch


def make_feed(
    images: Tensor,
    device: torch.device,
    *,
    mode: Literal["auto"] | Mode = "auto",
    resident_share: float = 0.5,
    gpu_share: float = 1.0,
) -> Feed:
    """Return the feed of a data set.

    Args:
        images: uint8 [N, C, S, S] on the CPU.
        device: Where it is trained.
        mode: ``auto``: resident if the images take at most `resident_share` of the memory that is free on the device.
        resident_share: Above 0, at most 1.
        gpu_share: What of a GPU the training has, above 0 and at most 1: of its memory it has no more than that.

    Raises:
        CellError: ``resident`` is asked for, and the images do not fit into the memory that is free.
    """
    needed, free = images.numel(), free_bytes_on(device, gpu_share=gpu_share)
    if mode == "auto":
        mode = "resident" if needed <= resident_share * free else "streaming"
    if mode == "streaming":
        return StreamingFeed(images, device)
    if needed > free:
        of_share = "" if gpu_share == 1 else f" for a cell with resources.gpus_per_worker={gpu_share:g}"
        raise CellError(
            f"the decoded images take {bytes_text(needed)}, and {bytes_text(free)} are free on {device}{of_share}",
            remedy="set resources.feed to streaming or auto",
        )
    return ResidentFeed(images, device)


def free_bytes_on(device: torch.device, *, gpu_share: float = 1.0) -> int:
    """Return what is free on a GPU, for one that has such a share of it, or what the machine gives without swapping."""
    if device.type != "cuda":
        return free_memory_bytes()
    free, total = torch.cuda.mem_get_info(device)
    return free if gpu_share == 1 else min(free, own_bytes(total, gpu_share))
