"""Times a few steps of a training, its evaluation and its checkpoint, as a cell has them: what a cell will take.

Nothing is kept of it. Every rank of the process group calls it, or a process without one.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, median

import torch

from augment import Augmentation, Backend
from orchestrator.costs import Measured
from orchestrator.data import Dataset, Split
from orchestrator.experiment import AugmentSpec, Cell
from orchestrator.storage import CellFolder, Point
from orchestrator.storage.checkpoints import Checkpoints
from orchestrator.train.accumulation import parts_of_epoch
from orchestrator.train.batches import epoch_order, shard_batches
from orchestrator.train.cell import train_cell
from orchestrator.train.evaluation import predicted
from orchestrator.train.feed import Feed
from orchestrator.train.learner import Learner
from orchestrator.train.memory import PeakMemory
from orchestrator.train.power import EnergyMeter
from orchestrator.train.ranks import Ranks
from orchestrator.train.snapshot import Snapshot
from orchestrator.train.stopwatch import MOST_TIMES, Stopwatch

# What is timed lasts so long, or a little longer.
STEPS_S, MIXING_S, EVALUATION_S = 2.5, 0.25, 1.0


@dataclass(frozen=True)
class Timing:
    """What is timed of a training.

    Attributes:
        cell: One of its cells; what does not matter for the time, such as the learning rate, is not used.
        augments: Whose mixing is timed, by `orchestrator.costs.Kind.augment_id`.
    """

    cell: Cell
    augments: dict[str, AugmentSpec]


def time_training(
    timing: Timing,
    dataset: Dataset,
    *,
    feed: Feed,
    backend: Backend,
    folder: Path,
    weights: Path | None = None,
    cuda_graphs: bool = False,
    together: Callable[[], None] = lambda: None,
) -> Measured:
    """Return how long the parts of a training take.

    Args:
        timing: What is timed.
        dataset: Its data, the same on every rank.
        feed: Of the images of `dataset`; what its device is, the training has.
        backend: What is to mix the batches.
        folder: Empty, on the disk that checkpoints go to; what is written there stays.
        weights: The file of those that the model begins with, if it does not begin from scratch.
        cuda_graphs: Whether a compiled step is launched as a CUDA graph.
        together: Called on every rank before the first step that counts.

    Raises:
        CellError: The training cannot be done.
        torch.OutOfMemoryError: It does not fit on the device.
    """
    cell = plain_cell(timing.cell)
    ranks, memory = Ranks(feed.device), PeakMemory(feed.device)
    first_s, whole_s = _short_trainings(
        cell, dataset, feed=feed, backend=backend, folder=folder, weights=weights, cuda_graphs=cuda_graphs
    )
    learner = learner_of(cell, dataset, feed=feed, backend=backend, weights=weights, cuda_graphs=cuda_graphs)
    order = _order(cell, dataset, ranks)
    stopwatch = Stopwatch(feed.device, ranks)
    energy = EnergyMeter(feed.device)

    def batch_s(augment: Augmentation) -> float:
        """Return the seconds of a batch, with its part of the optimizer's step."""
        learner.augment = augment
        return fmean(stopwatch.timed(_steps(learner, order, dataset, feed, cell), STEPS_S)) / _parts(cell)

    together()
    with energy:
        together_s = batch_s(learner.augment)
    compile_s: dict[str, float] = {}
    if is_compiled(cell):
        # What is compiled with the network costs something else than it does alone: each is timed as a whole.
        step_s, mixing_s = 0.0, {}
        for augment_id, augment in timing.augments.items():
            mixing_s[augment_id] = batch_s(augment.build(backend=backend))
            took_s = first_s - whole_s if augment.name == cell.augment.name else stopwatch.first_s
            compile_s[augment_id] = max(0.0, took_s - mixing_s[augment_id] * _parts(cell))
    else:
        unmixed_s = fmean(stopwatch.timed(_mixing(learner, learner.augment, order, dataset, feed), MIXING_S))
        step_s = max(0.0, together_s - unmixed_s)
        mixing_s = {
            augment_id: fmean(
                stopwatch.timed(_mixing(learner, augment.build(backend=backend), order, dataset, feed), MIXING_S)
            )
            for augment_id, augment in timing.augments.items()
        }
    evaluation = _Evaluation(learner, dataset, feed, ranks, cell.train.batch_size_per_worker, stopwatch)
    checkpoint_s = _checkpoint_s(learner, dataset, folder, ranks)
    # What the short training has of all that, it has once: the rest is what a cell takes beside it.
    once_s = together_s * _parts(cell) + 2 * evaluation.batch_s + checkpoint_s
    (peak,) = ranks.largest([memory.bytes()])
    return Measured(
        device=torch.cuda.get_device_name(feed.device) if feed.device.type == "cuda" else "cpu",
        step_s=step_s,
        mixing_s=mixing_s,
        batches=len(order),
        validation_s=evaluation.of(dataset.val),
        checkpoint_s=checkpoint_s,
        test_s=evaluation.of(dataset.test),
        build_s=max(0.0, whole_s - once_s),
        memory_bytes=peak,
        watts=energy.watts(workers=ranks.world_size),
        at=time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
        compile_s=compile_s,
        num_images=sum(map(len, (dataset.train, dataset.val, dataset.test))),
    )


def is_compiled(cell: Cell) -> bool:
    """Return whether `torch.compile` makes the steps of a cell."""
    return cell.arithmetic is not None and cell.arithmetic.compile is not None


def _parts(cell: Cell) -> int:
    """Return how many batches make one step of the optimizer."""
    return cell.train.accumulate or 1


def plain_cell(cell: Cell) -> Cell:
    """Return a cell of one epoch without mixing that takes as long as this one does without its own."""
    train = cell.train.model_copy(
        update={
            "epochs": 1,
            "lr": 1e-4,  # so that no loss is infinite
            "schedule": "constant",
            "warmup_epochs": 0,
            "milestones": (),
            "mixing_off_epochs": None,
            "best_by": None,
            # With few images there may be none of a class.
            "class_weights": None,
            "sampling": None,
        }
    )
    return cell.model_copy(update={"train": train, "augment": AugmentSpec(name="erm")})


def learner_of(
    cell: Cell,
    dataset: Dataset,
    *,
    feed: Feed,
    backend: Backend,
    weights: Path | None,
    cuda_graphs: bool = False,
) -> Learner:
    """Return what takes the steps of a cell, on all ranks."""
    ranks = Ranks(feed.device)
    steps = sum(part.is_last for part in parts_of_epoch(len(_order(cell, dataset, ranks)), cell.train.accumulate))
    return Learner(
        cell,
        dataset,
        device=feed.device,
        ranks=ranks,
        backend=backend,
        steps_per_epoch=steps,
        weights_file=weights,
        cuda_graphs=cuda_graphs,
    )


def _short_trainings(
    cell: Cell, dataset: Dataset, *, feed: Feed, backend: Backend, folder: Path, weights: Path | None, cuda_graphs: bool
) -> tuple[float, float]:
    """Train on the batches of one step, validate and test on one, twice; return the seconds of each time.

    The first one imports, compiles, and has libraries choose their algorithms: a slot has that once.
    """
    num = cell.train.batch_size_per_worker * cell.workers
    few = replace(
        dataset,
        train=_first(dataset.train, num * _parts(cell)),
        val=_first(dataset.val, num),
        test=_first(dataset.test, num),
        test_groups=None,
    )
    seconds = []
    for number in range(2):
        began_s = time.perf_counter()
        train_cell(
            cell,
            few,
            checkpoint_dir=folder / f"short-{number}",
            device=feed.device,
            report=lambda _: None,
            feed=feed,
            backend=backend,
            weights=weights,
            cuda_graphs=cuda_graphs,
        )
        seconds.append(time.perf_counter() - began_s)
        gc.collect()  # the network, before the next one is made
    return seconds[0], seconds[1]


def _first(split: Split, num: int) -> Split:
    return Split(split.rows[:num], split.labels[:num])


def _order(cell: Cell, dataset: Dataset, ranks: Ranks) -> torch.Tensor:
    return epoch_order(
        len(dataset.train),
        batch_size_per_worker=cell.train.batch_size_per_worker,
        seed=0,
        epoch=1,
        rank=ranks.rank,
        world_size=ranks.world_size,
    )


def _steps(learner: Learner, order: torch.Tensor, dataset: Dataset, feed: Feed, cell: Cell) -> Iterator[None]:
    """Take whole steps, as an epoch does, and yield after each: a shorter one of the end is left out."""
    order = order[: len(order) // _parts(cell) * _parts(cell)]
    generator = torch.Generator(feed.device).manual_seed(0)
    labels = dataset.train.labels.to(feed.device)[order.to(feed.device)]
    parts = parts_of_epoch(len(order), cell.train.accumulate)
    learner.train()
    while True:
        pixels_of = feed.batches(dataset.train.rows[order].unbind())
        for pixels, batch_labels, part in zip(pixels_of, labels, parts, strict=True):
            learner.step(pixels, batch_labels, generator, part)
            if part.is_last:
                yield


def _mixing(
    learner: Learner, augment: Augmentation, order: torch.Tensor, dataset: Dataset, feed: Feed
) -> Iterator[None]:
    """Prepare and mix one batch, again and again, and yield after each time."""
    generator = torch.Generator(feed.device).manual_seed(0)
    (pixels,) = feed.batches([dataset.train.rows[order[0]]])
    labels = dataset.train.labels[order[0]].to(feed.device)
    before, learner.augment = learner.augment, augment
    try:
        while True:
            learner.mixed(pixels, labels, dataset.num_classes, generator)
            yield
    finally:
        learner.augment = before


class _Evaluation:
    """How long it takes to judge splits.

    Attributes:
        batch_s: Seconds of one batch on each rank.
    """

    def __init__(
        self,
        learner: Learner,
        dataset: Dataset,
        feed: Feed,
        ranks: Ranks,
        batch_size: int,
        stopwatch: Stopwatch,
    ) -> None:
        self._dataset, self._device, self._ranks, self._batch_size = dataset, feed.device, ranks, batch_size
        shard = self._shard(dataset.val)
        one_batch = shard[:1] * MOST_TIMES

        def evaluate() -> Iterator[None]:
            for _ in predicted(learner, feed, dataset.val, one_batch):
                yield

        self.batch_s = fmean(stopwatch.timed(evaluate(), EVALUATION_S) or [0.0])

    def of(self, split: Split) -> float:
        """Return the seconds of a split: its predictions, and what is computed of them."""
        from orchestrator.train.metrics import compute_metrics  # as `Evaluator` does

        shard = self._shard(split)
        own = torch.cat(shard)
        logits = torch.randn(len(own), self._dataset.num_classes, device=self._device)
        labels = split.labels[own].to(self._device)
        began_s = time.perf_counter()
        compute_metrics(logits, labels, num_classes=self._dataset.num_classes)
        judged_s = time.perf_counter() - began_s
        return len(own) / max(1, len(shard[0])) * self.batch_s + judged_s

    def _shard(self, split: Split) -> list[torch.Tensor]:
        rank, world_size = self._ranks.rank, self._ranks.world_size
        return list(shard_batches(len(split), batch_size=self._batch_size, rank=rank, world_size=world_size))


def _checkpoint_s(learner: Learner, dataset: Dataset, folder: Path, ranks: Ranks) -> float:
    """Return the seconds of a checkpoint, for which the other ranks wait."""
    snapshot = Snapshot(dataset.split_hash, history=[], epoch=1, underway=None, learner=learner.state())
    checkpoints = Checkpoints(CellFolder(folder / "checkpoint"))

    def save(number: int) -> float:
        began_s = time.perf_counter()
        checkpoints.save(Point(number), snapshot.to_state(), best_epoch=None)
        return time.perf_counter() - began_s

    return ranks.from_rank_0(_median_of(save) if ranks.rank == 0 else 0.0)


def _median_of(take: Callable[[int], float]) -> float:
    return median(take(number) for number in range(1, 4))
