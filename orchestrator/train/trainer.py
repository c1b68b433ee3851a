"""One training on one rank: its epochs, its checkpoints, and how it follows requests."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from augment import Backend
from orchestrator.data import Dataset
from orchestrator.errors import CellError
from orchestrator.experiment import Cell
from orchestrator.records import EPOCH_S, CellResult, EpochResult, Paused, best_epoch, now_ms
from orchestrator.storage import Point
from orchestrator.storage.checkpoints import Checkpoints
from orchestrator.train.accumulation import parts_of_epoch
from orchestrator.train.audit import audit_batch, write_audit
from orchestrator.train.batches import epoch_order
from orchestrator.train.class_weights import balanced_class_weights
from orchestrator.train.disk_full import PatientWriter
from orchestrator.train.epoch_progress import EpochProgress, begin_epoch, resume_epoch
from orchestrator.train.evaluation import Evaluator
from orchestrator.train.facts import dataset_facts
from orchestrator.train.feed import Feed
from orchestrator.train.learner import Learner
from orchestrator.train.predictions import predictions_of
from orchestrator.train.ranks import Ranks
from orchestrator.train.requests import Request, Requests, StoppedError
from orchestrator.train.snapshot import BestWeights, Finished, Snapshot, State, evaluated_weights, from_state
from orchestrator.train.tables import write_tables

Report = Callable[[EpochResult], None]

logger = logging.getLogger(__name__)


class BestLostError(Exception):
    """The weights of the best epoch are not on disk any more; raised on every rank at once."""


class Trainer:
    """The state of one training on one rank. Its public methods are called by all ranks.

    Args:
        cell: The training.
        dataset: Its data.
        checkpoints: Of the cell; only rank 0 touches them.
        feed: Of the images of `dataset`.
        backend: What is to mix the batches.
        ranks: Which train together.
        requests: What is requested of the training.
        on_full_disk: Told on rank 0, again and again, that the training waits for space.
        weights: The file of those that the model begins with, where it does not begin from scratch.
        cuda_graphs: Whether a compiled step is launched as a CUDA graph.

    Raises:
        CellError: The model or the batch does not suit the data, or what has the optimizer is not installed.
    """

    def __init__(
        self,
        cell: Cell,
        dataset: Dataset,
        *,
        checkpoints: Checkpoints,
        feed: Feed,
        backend: Backend,
        ranks: Ranks,
        requests: Requests,
        on_full_disk: Callable[[str], None],
        weights: Path | None = None,
        cuda_graphs: bool = False,
    ) -> None:
        self._cell, self._dataset = cell, dataset
        self._checkpoints, self._folder = checkpoints, checkpoints.folder
        self._feed, self._device = feed, feed.device
        self._ranks, self._rank, self._requests = ranks, ranks.rank, requests
        self._disk = PatientWriter(self._folder, ranks=ranks, requests=requests, on_full_disk=on_full_disk)
        self._labels = dataset.train.labels.to(feed.device)
        balanced = cell.train.sampling == "balanced"
        class_weights = balanced_class_weights(dataset.train.labels, dataset.num_classes)
        self._sample_weights = class_weights[dataset.train.labels] if balanced else None
        self._parts = parts_of_epoch(len(self._order(epoch=1)), cell.train.accumulate)
        self._learner = Learner(
            cell,
            dataset,
            device=feed.device,
            ranks=ranks,
            backend=backend,
            steps_per_epoch=sum(part.is_last for part in self._parts),
            weights_file=weights,
            cuda_graphs=cuda_graphs,
        )
        batch_size = cell.train.batch_size_per_worker
        self._evaluator = Evaluator(self._learner, feed, dataset, batch_size=batch_size, ranks=ranks)
        self._epoch = 0
        self._resumed: EpochProgress | None = None
        self._history: list[EpochResult] = []
        self._first_step_ms: int | None = None
        # Of the last epoch: how long its checkpoint took, which is reported before it is there.
        self._checkpoint_s = 0.0

    def run(self, report: Report, *, until_epoch: int | None = None) -> CellResult | Paused:
        """Train what is left and test, or train until an epoch; see `orchestrator.train.train_cell`."""
        result = self._resume(report)
        if result is not None:
            return result
        epochs = self._cell.train.epochs
        until = min(until_epoch or epochs, epochs)
        while self._epoch < until:
            self._run_epoch()
            report(self._history[-1])
        return self._test() if until == epochs else self._pause()

    def _pause(self) -> Paused:
        """Leave what a training needs to go on, and no more: it may be one of thousands that wait."""
        if self._resumed is None:  # else it is further, in the middle of an epoch
            best = Point(self._best().epoch)
            self._disk.write(lambda: self._checkpoints.keep({Point(self._epoch), best}))
        return Paused(self._history[-1].epoch, self._history[-1].timestamp_ms)

    def _resume(self, report: Report) -> CellResult | None:
        """Go on from the newest checkpoint, if there is one: report its epochs, and return the result if it has one.

        What is damaged counts as not there.
        """
        # Rank 0 decides for all: on network storage the ranks might see different files.
        state = self._ranks.from_rank_0(self._newest_state() if self._rank == 0 else None)
        if state is None:
            return None
        found = from_state(state)
        if found.split_hash != self._dataset.split_hash:
            raise CellError(
                f"the checkpoint in {self._folder.shown()} was made when {self._dataset.name} consisted of other files "
                "or labels",
                remedy="restore them, or remove that folder to train from the start",
            )
        self._history = list(found.history)
        for entry in self._history:
            report(entry)
        if isinstance(found, Finished):
            return found.result
        pixels = self._dataset.pixel_hash
        if self._rank == 0 and None not in (pixels, found.pixel_hash) and pixels != found.pixel_hash:
            logger.warning(
                "the images of %s have other pixels now than when %s was trained so far, under the same names: it goes "
                "on with what is there; remove that folder to train it from the start",
                self._dataset.name,
                self._folder.shown(),
            )
        self._epoch = found.epoch
        self._learner.load_state(found.learner)
        if found.underway is not None:
            self._resumed = resume_epoch(
                found.underway, seed=self._cell.seed, epoch=self._epoch + 1, rank=self._rank, device=self._device
            )
        return None

    def _newest_state(self) -> State | None:
        self._checkpoints.remove_temporaries()
        finished = self._checkpoints.load(self._folder.result)
        if finished is not None and self._checkpoints.load(self._folder.best) is not None:
            return finished
        newest: State | None = None
        for _, state in self._checkpoints.newest_first():
            newest = newest or state
            # A checkpoint may have come without that of its best epoch: where they are uploaded one after the other.
            history = from_state(state).history
            if not history or Point(best_epoch(history, by=self._best_by).epoch) in self._folder.points():
                return state
        return newest

    def _run_epoch(self) -> None:
        """Train one epoch or what is left of it, validate, and write the checkpoint."""
        epoch = self._epoch + 1
        # After the last step of an epoch the schedule stands at the next one's first.
        progress = self._resumed or begin_epoch(
            seed=self._cell.seed, epoch=epoch, rank=self._rank, lr=self._learner.lr, device=self._device
        )
        self._resumed = None
        self._learner.begin_epoch(epoch)
        if not self._learner.mixes and self._rank == 0:
            logger.info("%s: epoch %d is not mixed: train.mixing_off_epochs", self._cell.label, epoch)
        order = self._order(epoch=epoch)
        if epoch == 1 and progress.step == 0:
            self._disk.write(lambda: self._audit(order[0], progress.generator))
        self._first_step_ms = self._first_step_ms or now_ms()
        self._train(order, progress)
        metrics = self._training_metrics(epoch, progress, num_batches=len(order), num_images=order.numel())
        judging_since = time.perf_counter()
        # All must judge the model that rank 0 saves.
        self._learner.settle_buffers()
        validation = self._evaluator.validate(
            after_batch=lambda: self._follow(self._requests.after_step(), lambda: self._save_in_epoch(progress))
        )
        metrics |= {f"val/{name}": value for name, value in validation.items()}
        # What was interrupted, or waited for, between its steps is not in it.
        metrics[EPOCH_S] = progress.seconds + time.perf_counter() - judging_since + self._checkpoint_s
        self._epoch = epoch
        self._history.append(self._ranks.from_rank_0(EpochResult(epoch=epoch, metrics=metrics, timestamp_ms=now_ms())))
        saving_since = time.perf_counter()
        self._save(Point(epoch), progress=None)
        self._checkpoint_s = time.perf_counter() - saving_since

    def _training_metrics(
        self, epoch: int, progress: EpochProgress, *, num_batches: int, num_images: int
    ) -> dict[str, float]:
        """Return the metrics of an epoch's training over all ranks.

        Raises:
            CellError: The loss is not finite.
        """
        world_size = self._ranks.world_size
        mean_loss = float(self._ranks.sum(progress.loss_sum)) / (num_batches * world_size)
        if not math.isfinite(mean_loss):
            raise CellError(
                f"the training loss became {mean_loss} in epoch {epoch}",
                remedy=f"lower train.lr (now {self._cell.train.lr:g}) or set train.clip_grad_norm",
            )
        images_per_s = num_images * world_size / progress.seconds
        metrics = {"train/lr": progress.lr, "train/loss": mean_loss, "train/images_per_s": images_per_s}
        if self._cell.train.mixing_off_epochs is not None:
            metrics["train/mixed"] = float(self._learner.mixes)
        scheduled = {f"train/{name}": value for name, value in self._cell.scheduled_in(epoch).items()}
        return scheduled | metrics

    def _train(self, order: Tensor, progress: EpochProgress) -> None:
        """Train on each row of `order`, after those that the steps before were taken with.

        What is requested is followed between two optimizer steps: of a part of one, nothing is saved.
        """
        self._learner.train()
        done = progress.step * (self._cell.train.accumulate or 1)
        order, parts = order[done:], self._parts[done:]
        labels = self._labels[order.to(self._device)]
        pixels_of = self._feed.batches(self._dataset.train.rows[order].unbind())
        started, request = time.perf_counter(), Request.GO_ON
        for pixels, batch_labels, part in zip(pixels_of, labels, parts, strict=True):
            progress.loss_sum += self._learner.step(pixels, batch_labels, progress.generator, part)
            request = max(request, self._requests.after_step())
            if not part.is_last:
                continue
            progress.step += 1
            if request:
                progress.seconds += time.perf_counter() - started
                self._follow(request, lambda: self._save_in_epoch(progress))
                started, request = time.perf_counter(), Request.GO_ON
        if self._device.type == "cuda":
            # Before the clock is read: a GPU is behind the host.
            torch.cuda.synchronize(self._device)
        progress.seconds += time.perf_counter() - started

    def _test(self) -> CellResult:
        """Evaluate the best weights on the test split, once, and keep them and the result."""
        best = self._best()
        path = self._folder.point(Point(best.epoch))
        state = self._checkpoints.load(path) if self._rank == 0 else None
        if self._ranks.from_rank_0(state is None):
            if self._rank == 0:
                self._checkpoints.forget_points()
            raise BestLostError(f"{self._folder.shown(path.name)} is gone, with the best weights")
        self._learner.load_weights(evaluated_weights(state) if state is not None else None)
        class_names = self._dataset.class_names
        # Nothing is to be saved between two batches: the best weights are on disk.
        tested = self._evaluator.test(after_batch=lambda: self._follow(self._requests.after_step(), lambda: None))
        metrics = {f"test/{name}": value for name, value in tested.metrics(class_names).items()}
        metrics |= {
            name.replace("val/", "best/"): value for name, value in best.metrics.items() if name.startswith("val/")
        }
        metrics["best/epoch"] = float(best.epoch)
        result = self._ranks.from_rank_0(
            CellResult(metrics=metrics, timestamp_ms=now_ms(), first_step_ms=self._first_step_ms)
        )
        self._disk.write(lambda: write_tables(self._folder.test, tested, class_names))
        world_size = self._ranks.world_size
        self._disk.write(
            lambda: predictions_of(tested.logits, self._dataset, world_size=world_size).save(self._folder.predictions)
        )
        data = dataset_facts(self._cell, self._dataset)
        kept = BestWeights(self._learner.evaluated.state_dict(), best.epoch, data)
        finished = Finished(self._dataset.split_hash, self._history, result)
        self._disk.write(lambda: self._checkpoints.finish(kept.to_state(), finished.to_state()))
        return result

    def _follow(self, request: Request, save: Callable[[], None]) -> None:
        """Do what is requested.

        Raises:
            StoppedError: The training is to end here.
        """
        if request >= Request.SAVE:
            save()
        if request >= Request.STOP:
            raise StoppedError(request)

    def _save_in_epoch(self, progress: EpochProgress) -> None:
        self._save(Point(self._epoch, progress.step), progress=progress)

    def _save(self, point: Point, *, progress: EpochProgress | None) -> None:
        """Write a checkpoint, in the middle of an epoch if there is `progress` in one."""
        snapshot = Snapshot(
            split_hash=self._dataset.split_hash,
            history=self._history,
            epoch=point.epoch,
            underway=progress.underway(self._ranks) if progress is not None else None,
            learner=self._learner.state(),
            pixel_hash=self._dataset.pixel_hash,
        )
        best_epoch = self._best().epoch if self._history else None
        self._disk.write(lambda: self._checkpoints.save(point, snapshot.to_state(), best_epoch=best_epoch))
        self._requests.saved()

    def _audit(self, indices: Tensor, generator: torch.Generator) -> None:
        """Write down what the augmentation is going to make of the cell's first batch."""
        if self._folder.audit.exists():
            return
        (pixels,) = self._feed.batches([self._dataset.train.rows[indices]])
        cell = self._cell
        found = audit_batch(
            lambda *arguments: self._learner.mixed(pixels, *arguments),
            self._labels[indices.to(self._device)],
            num_classes=self._dataset.num_classes,
            generator=generator,
            backend=self._learner.augment.backend_on(self._device),
            mixed_epochs=cell.mixed_epochs if cell.train.mixing_off_epochs is not None else None,
            schedules=[cell.scheduled_in(epoch) for epoch in range(1, cell.train.epochs + 1)],
        )
        shown = self._learner.normalization.inverse(found.images)
        write_audit(self._folder.audit, found, pixels=shown, class_names=self._dataset.class_names)

    def _best(self) -> EpochResult:
        return best_epoch(self._history, by=self._best_by)

    @property
    def _best_by(self) -> str:
        return self._cell.train.tested_by

    def _order(self, *, epoch: int) -> Tensor:
        """Return this rank's batches of an epoch, int64 ``[steps, batch_size_per_worker]`` on the CPU."""
        return epoch_order(
            len(self._dataset.train),
            batch_size_per_worker=self._cell.train.batch_size_per_worker,
            seed=self._cell.seed,
            epoch=epoch,
            rank=self._rank,
            world_size=self._ranks.world_size,
            sample_weights=self._sample_weights,
        )
