"""One training on one rank: its epochs, its checkpoints, and what it does when something is wanted of it."""

from __future__ import annotations

import errno
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from augment import Backend
from orchestrator.data import Dataset, Split
from orchestrator.errors import CellError
from orchestrator.experiment.cells import Cell
from orchestrator.records import CellResult, EpochResult
from orchestrator.storage.cell_folder import Point
from orchestrator.storage.checkpoints import Checkpoints
from orchestrator.train import audit
from orchestrator.train.batches import AUGMENT, MODEL, balanced_class_weights, derive_seed, epoch_order, shard_batches
from orchestrator.train.feed import Feed
from orchestrator.train.learner import Learner
from orchestrator.train.metrics import compute_metrics
from orchestrator.train.ranks import Ranks
from orchestrator.train.requests import Demand, Lookout, StoppedError

Report = Callable[[EpochResult], None]

# How often a training that waits for space tries again.
SPACE_POLL_S = 2.0
FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


class BestLostError(Exception):
    """The weights of the best epoch are not on disk any more; raised on every rank at once."""


@dataclass
class _Underway:
    """The epoch that is being trained, on one rank.

    Attributes:
        lr: The learning rate of its first step.
        generator: What its augmentation is drawn from.
        loss_sum: Of its steps so far.
        step: How many those are.
        seconds: How long they took.
    """

    lr: float
    generator: torch.Generator
    loss_sum: Tensor
    step: int = 0
    seconds: float = 0.0


class Trainer:
    """The state of one training on one rank.

    Args:
        cell: The training.
        dataset: Its data.
        checkpoints: Its folder; only rank 0 touches it.
        feed: Of the images of `dataset`.
        backend: What is to mix the batches.
        ranks: Which train together.
        lookout: Whether the training is to go on.
        on_full_disk: Told on rank 0, again and again, that the training waits for space.

    Raises:
        CellError: The model or the batch does not suit the data.
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
        lookout: Lookout,
        on_full_disk: Callable[[str], None],
    ) -> None:
        self._cell, self._dataset, self._checkpoints = cell, dataset, checkpoints
        self._feed, self._device = feed, feed.device
        self._ranks, self._rank, self._world_size = ranks, ranks.rank, ranks.world_size
        self._lookout, self._on_full_disk = lookout, on_full_disk
        self._labels = dataset.train.labels.to(feed.device)
        balanced = cell.train.sampling == "balanced"
        class_weights = balanced_class_weights(dataset.train.labels, dataset.num_classes)
        self._sample_weights = class_weights[dataset.train.labels] if balanced else None
        self._learner = Learner(
            cell,
            dataset,
            device=feed.device,
            ranks=ranks,
            backend=backend,
            steps_per_epoch=len(self._order(epoch=1)),
        )
        self._epoch = 0
        self._underway: _Underway | None = None
        self._history: list[EpochResult] = []
        self._first_step_ms: int | None = None

    def run(self, report: Report) -> CellResult:
        """Train what is left and test; see `orchestrator.train.train_cell`."""
        result = self._resume(report)
        if result is not None:
            return result
        while self._epoch < self._cell.train.epochs:
            self._run_epoch()
            report(self._history[-1])
        return self._test()

    def _resume(self, report: Report) -> CellResult | None:
        """Take up the newest checkpoint, if there is one, report its epochs and return the result if nothing is left.

        What is damaged counts as not there.
        """
        # Rank 0 decides for all: on network storage the ranks might see different files.
        state = self._ranks.from_rank_0(self._found() if self._rank == 0 else None)
        if state is None:
            return None
        if state["split_hash"] != self._dataset.split_hash:
            raise CellError(
                f"the checkpoint in {self._checkpoints.folder.path} was made when {self._dataset.name} consisted of "
                "other files or labels: restore them, or remove that folder to train from the start"
            )
        self._history = [EpochResult(**entry) for entry in state["history"]]
        for entry in self._history:
            report(entry)
        if state["result"] is not None:
            return CellResult(**state["result"])
        self._epoch = state["epoch"]
        self._learner.load_state(state)
        if state["underway"] is not None:
            self._underway = self._taken_up(state["underway"])
        return None

    def _found(self) -> dict[str, Any] | None:
        self._checkpoints.remove_temporaries()
        finished = self._checkpoints.load(self._checkpoints.folder.result)
        if finished is not None and self._checkpoints.load(self._checkpoints.folder.best) is not None:
            return finished
        newest = self._checkpoints.load_newest()
        return newest[1] if newest is not None else None

    def _taken_up(self, state: dict[str, Any]) -> _Underway:
        """Return the epoch that was under way, with this rank's generators where they were.

        Those of another kind of device have no such place: there the rest of the epoch is drawn anew.
        """
        own = state["ranks"][self._rank]
        generator = torch.Generator(self._device)
        on_cuda = self._device.type == "cuda"
        if on_cuda == (own["cuda"] is not None):
            generator.set_state(own["generator"])
            torch.set_rng_state(own["torch"])
            if on_cuda:
                torch.cuda.set_rng_state(own["cuda"], self._device)
        else:
            place = self._epoch + 1, self._rank, state["step"]
            generator.manual_seed(derive_seed(self._cell.seed, AUGMENT, *place))
            torch.manual_seed(derive_seed(self._cell.seed, MODEL, *place))
        return _Underway(
            lr=state["lr"],
            generator=generator,
            loss_sum=own["loss_sum"].to(self._device),
            step=state["step"],
            seconds=state["seconds"],
        )

    def _run_epoch(self) -> None:
        """Train one epoch or what is left of it, validate, and write the checkpoint."""
        epoch = self._epoch + 1
        underway = self._underway or self._begin(epoch)
        self._underway = None
        order = self._order(epoch=epoch)
        if epoch == 1 and underway.step == 0:
            self._to_disk(lambda: self._audit(order[0], underway.generator))
        self._first_step_ms = self._first_step_ms or _now_ms()
        self._train(order, underway)
        mean_loss = float(self._ranks.sum(underway.loss_sum)) / (len(order) * self._world_size)
        if not math.isfinite(mean_loss):
            raise CellError(
                f"the training loss became {mean_loss} in epoch {epoch}: lower train.lr (now {self._cell.train.lr:g}) "
                "or set train.clip_grad_norm"
            )
        images_per_s = order.numel() * self._world_size / underway.seconds
        metrics = {"train/lr": underway.lr, "train/loss": mean_loss, "train/images_per_s": images_per_s}
        # All must judge the model that rank 0 saves.
        self._learner.settle_buffers()
        validation = self._evaluate(self._dataset.val, save=lambda: self._save_underway(underway))
        metrics |= {f"val/{name}": value for name, value in validation.items()}
        self._epoch = epoch
        self._history.append(self._ranks.from_rank_0(EpochResult(epoch=epoch, metrics=metrics, timestamp_ms=_now_ms())))
        self._save(Point(epoch), underway=None)

    def _begin(self, epoch: int) -> _Underway:
        torch.manual_seed(derive_seed(self._cell.seed, MODEL, epoch, self._rank))
        seed = derive_seed(self._cell.seed, AUGMENT, epoch, self._rank)
        generator = torch.Generator(self._device).manual_seed(seed)
        # After the last step of an epoch the schedule stands at the next one's first.
        return _Underway(lr=self._learner.lr, generator=generator, loss_sum=torch.zeros((), device=self._device))

    def _test(self) -> CellResult:
        """Evaluate the best weights on the test split, once, and keep them and the result."""
        best = self._best()
        path = self._checkpoints.folder.point(Point(best.epoch))
        state = self._checkpoints.load(path) if self._rank == 0 else None
        if self._ranks.from_rank_0(state is None):
            if self._rank == 0:
                self._checkpoints.forget_points()
            raise BestLostError(f"{path} is gone, with the best weights")
        self._learner.load_weights(state["model"] if state is not None else None)
        tested = self._evaluate(self._dataset.test, per_class=True)
        metrics = {f"test/{name}": value for name, value in tested.items()}
        metrics |= {
            name.replace("val/", "best/"): value for name, value in best.metrics.items() if name.startswith("val/")
        }
        metrics["best/epoch"] = float(best.epoch)
        result = self._ranks.from_rank_0(
            CellResult(metrics=metrics, timestamp_ms=_now_ms(), first_step_ms=self._first_step_ms)
        )
        kept = {"model": self._learner.module.state_dict(), "epoch": best.epoch}
        finished = {**self._history_state(), "result": asdict(result)}
        self._to_disk(lambda: self._checkpoints.finish(kept, finished))
        return result

    def _train(self, order: Tensor, underway: _Underway) -> None:
        """Take one optimizer step per row of `order`, after those that were taken before."""
        self._learner.module.train()
        order = order[underway.step :]
        labels = self._labels[order.to(self._device)]
        pixels_of = self._feed.batches(self._dataset.train.rows[order].unbind())
        started = time.perf_counter()
        for pixels, batch_labels in zip(pixels_of, labels, strict=True):
            underway.loss_sum += self._learner.step(pixels, batch_labels, underway.generator)
            underway.step += 1
            if demand := self._lookout.look():
                underway.seconds += time.perf_counter() - started
                self._obey(demand, lambda: self._save_underway(underway))
                started = time.perf_counter()
        # Before the clock is read: a GPU is behind the host.
        self._finish_queued_work()
        underway.seconds += time.perf_counter() - started

    def _finish_queued_work(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def _audit(self, indices: Tensor, generator: torch.Generator) -> None:
        """Write down what the augmentation is going to make of the cell's first batch."""
        folder = self._checkpoints.folder.audit
        if folder.exists():
            return
        (pixels,) = self._feed.batches([self._dataset.train.rows[indices]])
        found = audit.audit_batch(
            lambda *arguments: self._learner.mixed(pixels, *arguments),
            self._labels[indices.to(self._device)],
            num_classes=self._dataset.num_classes,
            generator=generator,
            backend=self._learner.augment.backend_on(self._device),
        )
        shown = self._learner.normalization.inverse(found.images)
        audit.write_audit(folder, found, pixels=shown, class_names=self._dataset.class_names)

    @torch.inference_mode()
    def _evaluate(
        self, split: Split, *, per_class: bool = False, save: Callable[[], None] = lambda: None
    ) -> dict[str, float]:
        """Return the metrics of `split` over all ranks, and on demand the recall of each class.

        Args:
            split: Each rank takes its share of it.
            per_class: Whether to add the recalls.
            save: What makes a checkpoint of this moment.
        """
        self._learner.module.eval()
        batch_size = self._cell.train.batch_size_per_worker
        shard = list(shard_batches(len(split), batch_size=batch_size, rank=self._rank, world_size=self._world_size))
        # Only so many batches has every rank, and all have to look together.
        common = len(split) // self._world_size // batch_size
        logits = []
        for number, pixels in enumerate(self._feed.batches([split.rows[indices] for indices in shard]), start=1):
            logits.append(self._learner.predict(pixels))
            if number <= common:
                self._obey(self._lookout.look(), save)
        labels = split.labels[torch.cat(shard)].to(self._device)
        names = self._dataset.class_names if per_class else None
        return compute_metrics(torch.cat(logits), labels, num_classes=self._dataset.num_classes, class_names=names)

    def _best(self) -> EpochResult:
        return min(self._history, key=lambda entry: (entry.metrics["val/error"], entry.metrics["val/loss"]))

    def _obey(self, demand: Demand, save: Callable[[], None]) -> None:
        """Do what is wanted.

        Raises:
            StoppedError: The training is to end here.
        """
        if demand >= Demand.SAVE:
            save()
        if demand >= Demand.STOP:
            raise StoppedError(demand)

    def _save_underway(self, underway: _Underway) -> None:
        """Write a checkpoint in the middle of an epoch."""
        own = {
            "generator": underway.generator.get_state(),
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state(self._device) if self._device.type == "cuda" else None,
            "loss_sum": underway.loss_sum.cpu(),
        }
        state = {"lr": underway.lr, "step": underway.step, "seconds": underway.seconds}
        self._save(Point(self._epoch, underway.step), underway={**state, "ranks": self._ranks.of_all(own)})

    def _save(self, point: Point, *, underway: dict[str, Any] | None) -> None:
        state: dict[str, Any] = {
            **self._history_state(),
            "result": None,
            "epoch": point.epoch,
            "underway": underway,
            **self._learner.state(),
        }
        best_epoch = self._best().epoch if self._history else None
        self._to_disk(lambda: self._checkpoints.save(point, state, best_epoch=best_epoch))
        self._lookout.saved()

    def _history_state(self) -> dict[str, Any]:
        return {"split_hash": self._dataset.split_hash, "history": [asdict(entry) for entry in self._history]}

    def _to_disk(self, write: Callable[[], None]) -> None:
        """Have rank 0 write something; all wait while its disk is full.

        Raises:
            StoppedError: The training is to end, although it could not be saved.
        """
        while (problem := self._ranks.from_rank_0(self._full_disk(write) if self._rank == 0 else None)) is not None:
            if self._rank == 0:
                self._on_full_disk(problem)
            demand = self._lookout.ask()
            if demand >= Demand.STOP:
                raise StoppedError(demand)
            time.sleep(SPACE_POLL_S)

    def _full_disk(self, write: Callable[[], None]) -> str | None:
        """Write something and return None, or what to tell the user if there is no space for it."""
        try:
            write()
        except OSError as error:
            if error.errno not in FULL_DISK:
                raise
            # The error names a file only where one could not even be made.
            folder = self._checkpoints.folder.path
            return f"the disk of {folder} is full ({error.strerror}): training waits until there is space again"
        return None

    def _order(self, *, epoch: int) -> Tensor:
        """Return this rank's batches of an epoch, int64 ``[steps, batch_size_per_worker]`` on the CPU."""
        return epoch_order(
            len(self._dataset.train),
            batch_size_per_worker=self._cell.train.batch_size_per_worker,
            seed=self._cell.seed,
            epoch=epoch,
            rank=self._rank,
            world_size=self._world_size,
            sample_weights=self._sample_weights,
        )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
