"""The largest batch that fits into the memory of a worker: found by taking steps with it."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from augment import Augmentation, Backend
from orchestrator.data import Dataset
from orchestrator.experiment import Cell
from orchestrator.train.feed import Feed
from orchestrator.train.learner import Learner
from orchestrator.train.timed import Timing, learner_of, plain_cell

# No batch is tried that is expected to take longer than what is left of this.
LIMIT_S = 60.0
# The second one has the state of the optimizer beside it.
STEPS = 2
_NO_MEMORY = (
    *("DefaultCPUAllocator", "can't allocate memory", "Cannot allocate memory"),
    # Of CUDA and its libraries, which have memory of their own beside torch's.
    *("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED"),
    # More elements than some kernels can number comes before that, where there is much memory.
    *("32BitIndexMath", "INT_MAX", "integer out of range", "CUDNN_STATUS_NOT_SUPPORTED"),
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that there was no memory, on a GPU or on the CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError | OSError) and any(words in str(error) for words in _NO_MEMORY)


def bracket(fits: Callable[[int], bool | None], *, first: int, at_most: int) -> tuple[int | None, int | None]:
    """Return the largest batch that fits and the smallest that does not, of those that were tried.

    They end within an eighth of each other. None stands for the one where nothing was met: all that were tried fit, or
    none did.

    Args:
        fits: Tries a batch; None where there is no time for it, which ends the search.
        first: The one that is tried first; then its doubles, or its halves.
        at_most: No larger one is tried.
    """
    largest: int | None = None
    too_large: int | None = None
    batch = min(first, at_most)
    while batch and (answer := fits(batch)) is not None:
        if answer:
            largest = batch
        else:
            too_large = batch
        if largest is None:
            batch //= 2
        elif too_large is None:
            batch = min(2 * largest, at_most) if largest < at_most else 0
        else:
            gap = too_large - largest
            batch = largest + gap // 2 if gap > max(1, largest // 8) else 0
    return largest, too_large


def largest_batch(
    timing: Timing,
    dataset: Dataset,
    *,
    feed: Feed,
    backend: Backend,
    weights: Path | None,
    on_try: Callable[[int, bool | None], None],
) -> tuple[int | None, int | None]:
    """Search the largest batch of one worker, as `bracket` returns it; the workers of a cell train alike.

    Args:
        timing: The batch of its cell is the first to be tried; steps are taken with each of its augmentations, and are
            not compiled: each batch would be anew.
        dataset: Its data.
        feed: Of the images.
        backend: What is to mix the batches.
        weights: The file of those that the model begins with, if it does not begin from scratch.
        on_try: Called with each batch before it is tried, and None; and after it, and whether it fits.
    """
    began_s, image_s, cell = time.perf_counter(), 0.0, timing.cell

    def fits(batch: int) -> bool | None:
        nonlocal image_s
        if STEPS * image_s * batch > LIMIT_S - (time.perf_counter() - began_s):
            return None
        on_try(batch, None)
        step_s = _step_s(timing, batch, dataset, feed=feed, backend=backend, weights=weights)
        if step_s is not None:
            image_s = step_s / batch
        on_try(batch, step_s is not None)
        return step_s is not None

    at_most = len(dataset.train) // cell.workers
    return bracket(fits, first=cell.train.batch_size_per_worker, at_most=at_most)


def _step_s(
    timing: Timing, batch: int, dataset: Dataset, *, feed: Feed, backend: Backend, weights: Path | None
) -> float | None:
    """Return the seconds of a step with each augmentation, together; None if one of them does not fit."""
    cell = timing.cell
    changed = {"batch_size_per_worker": batch, "accumulate": None}
    plain = plain_cell(cell.model_copy(update={"train": cell.train.model_copy(update=changed)}))
    arithmetic = cell.arithmetic and cell.arithmetic.model_copy(update={"compile": None})
    plain = plain.model_copy(update={"workers": 1, "arithmetic": arithmetic})
    augments = [augment.build(backend=backend) for augment in timing.augments.values()]
    try:
        return _steps_s(plain, augments, dataset, feed=feed, backend=backend, weights=weights)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return None
    finally:
        gc.collect()
        if feed.device.type == "cuda":
            torch.cuda.empty_cache()


def _steps_s(
    cell: Cell,
    augments: Sequence[Augmentation],
    dataset: Dataset,
    *,
    feed: Feed,
    backend: Backend,
    weights: Path | None,
) -> float:
    learner = learner_of(cell, dataset, feed=feed, backend=backend, weights=weights)
    return sum(_last_step_s(learner, augment, cell, dataset, feed) for augment in augments)


def _last_step_s(learner: Learner, augment: Augmentation, cell: Cell, dataset: Dataset, feed: Feed) -> float:
    learner.augment = augment
    generator = torch.Generator(feed.device).manual_seed(0)
    rows = torch.arange(cell.train.batch_size_per_worker)
    labels = dataset.train.labels[rows].to(feed.device)
    seconds = 0.0
    for pixels in feed.batches([dataset.train.rows[rows]] * STEPS):
        began_s = time.perf_counter()
        learner.step(pixels, labels, generator)
        if feed.device.type == "cuda":
            torch.cuda.synchronize(feed.device)
        seconds = time.perf_counter() - began_s
    return seconds
