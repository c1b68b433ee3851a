"""Train one cell: a plain function that knows neither Ray nor MLflow.

It runs in whatever process group it finds (a Ray worker's, torchrun's, a test's) or in none. From a shell::

    torchrun --nproc-per-node 2 -m orchestrator.train experiments/quickstart.yaml --cell KEY

With the same cell and number of ranks on the same machine the numbers are the same, interrupted or not. One thing must
not differ for that: the number of threads per rank, since it decides in which order a CPU sums.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from augment import Normalization, check_backend, one_hot
from orchestrator import audit, checkpoint
from orchestrator.batches import AUGMENT, MODEL, balanced_class_weights, derive_seed, epoch_order, shard_batches
from orchestrator.data import Dataset, Split
from orchestrator.errors import CellError
from orchestrator.feed import Feed, make_feed
from orchestrator.metrics import compute_metrics
from orchestrator.models import build_model
from orchestrator.optimizers import build_optimizer
from orchestrator.records import EpochResult

if TYPE_CHECKING:
    from augment import Augmentation, Backend
    from orchestrator.cells import Cell

Report = Callable[[EpochResult], None]
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class CellResult:
    """What a finished cell leaves.

    Attributes:
        metrics: ``test/<metric>`` of the weights that were best on validation, ``best/<metric>`` their validation
            metrics and ``best/epoch``.
        timestamp_ms: When the test ended, Unix milliseconds.
        first_step_ms: When the process that finished the training began its first step, Unix milliseconds; None if no
            step was left to do, only the test.
    """

    metrics: dict[str, float]
    timestamp_ms: int
    first_step_ms: int | None = None


def train_cell(
    cell: Cell,
    dataset: Dataset,
    *,
    checkpoint_dir: Path,
    device: torch.device,
    report: Report,
    feed: Feed | None = None,
    backend: Backend = "auto",
) -> CellResult:
    """Train, validate after every epoch and test once, from the weights best on validation (lowest error, then lowest
    loss).

    Every rank of the process group calls it with the same cell and gets the same results. Rank 0 writes an audit of the
    first batch (`orchestrator.audit`), and at the end of each epoch a checkpoint, before it reports the epoch. A
    training that finds a checkpoint of its own reports the epochs in it again, unchanged, and goes on after them.

    Args:
        cell: The training; its augmentation mixes inside each rank's batch.
        dataset: Its data, the same on every rank.
        checkpoint_dir: The cell's own folder; only rank 0 touches it.
        device: Where to train; the process group must be able to reduce tensors there.
        report: Called on every rank with each finished epoch; on rank 0 after its checkpoint is on disk.
        feed: Of the images of `dataset`, on `device`; None makes one.
        backend: What is to mix the batches.

    Raises:
        CellError: The loss is not finite, the model or the batch does not suit the data, or the checkpoint was made
            from other data; raised on every rank at once.
    """
    feed = feed or make_feed(dataset.images, device)
    trainer = _Trainer(cell, dataset, checkpoint_dir=checkpoint_dir, feed=feed, backend=backend)
    result = trainer.resume(report)
    if result is None:
        for epoch in range(trainer.epoch + 1, cell.train.epochs + 1):
            trainer.run_epoch(epoch)
            report(trainer.history[-1])
        result = trainer.test()
    return result


class _Trainer:
    """The state of one training on one rank."""

    def __init__(self, cell: Cell, dataset: Dataset, *, checkpoint_dir: Path, feed: Feed, backend: Backend) -> None:
        self.cell, self.dataset, self.checkpoint_dir = cell, dataset, checkpoint_dir
        self.feed, self.device = feed, feed.device
        device = feed.device
        self.image_size = cell.dataset.image_size or dataset.stored_size
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.world_size = dist.get_world_size() if dist.is_initialized() else 1
        on_cuda = device.type == "cuda"
        if on_cuda and device.index is not None:
            # NCCL's barrier and the exchange of objects take the current device, whatever the tensors are on.
            torch.cuda.set_device(device)
        # Same seed, same numbers: no algorithm is chosen by how fast it happened to be.
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
        self.augment, self.module = self._build(backend)
        # Faster on tensor cores, and on the CPU, too (convnet, one core: a step takes 0.7 of the time).
        self.module.to(device).to(memory_format=torch.channels_last)
        self.model: nn.Module = self.module
        if self.world_size > 1:
            self.model = DistributedDataParallel(self.module, device_ids=[device] if on_cuda else None)
        self.normalization = Normalization(dataset.mean, dataset.std, device=device)
        # What autocast would make of the images in the first layer.
        self.image_dtype = torch.bfloat16 if cell.train.precision == "bf16" else torch.float32
        self.train_labels = dataset.train.labels.to(device)
        class_weights = balanced_class_weights(dataset.train.labels, dataset.num_classes)
        self.loss_weights = class_weights.to(device) if cell.train.class_weights == "balanced" else None
        self.sample_weights = class_weights[dataset.train.labels] if cell.train.sampling == "balanced" else None
        steps = len(self._order(epoch=1))
        self.optimizer, self.schedule = build_optimizer(self.module, cell.train, steps_per_epoch=steps)
        if self.world_size > 2:
            self._settle_buckets()
        self.epoch = 0
        self.history: list[EpochResult] = []
        self.first_step_ms: int | None = None

    def _build(self, backend: Backend) -> tuple[Augmentation, nn.Module]:
        # torch initialises weights from the global generator; dropout draws from it, too (see `run_epoch`).
        torch.manual_seed(derive_seed(self.cell.seed, MODEL))
        try:
            augment = self.cell.augment.build(backend=backend)
            check_backend(self.device, backend)
            self.transform = self.cell.dataset.transform()
            # Says what images of this size cannot be cropped to.
            stored = (2, *self.dataset.images.shape[1:])
            self.transform.draw(stored, generator=torch.Generator(self.device))
            return augment, build_model(
                self.cell.model,
                num_classes=self.dataset.num_classes,
                num_channels=self.dataset.num_channels,
                image_size=self.image_size,
            )
        except ValueError as error:
            raise CellError(str(error)) from error

    def _settle_buckets(self) -> None:
        """Make DDP sort its gradients into the buckets of the second step before the first.

        It sorts them anew after the first backward pass. The place in a bucket decides in which order the ranks are
        summed, which three or more ranks see in the last bit: the first step of a resumed training would differ.
        """
        buffers = [buffer.clone() for buffer in self.module.buffers()]
        shape = (2, self.dataset.num_channels, self.image_size, self.image_size)
        self.model(torch.zeros(shape, device=self.device)).sum().backward()
        self.module.zero_grad(set_to_none=True)
        for buffer, before in zip(self.module.buffers(), buffers, strict=True):
            buffer.copy_(before)

    def resume(self, report: Report) -> CellResult | None:
        """Take up the checkpoint, if there is one, and report its epochs; return the result if nothing is left."""
        # Rank 0 decides for all: on network storage the ranks might see different files.
        state = self._from_rank_0(checkpoint.load(self.checkpoint_dir / checkpoint.LAST) if self.rank == 0 else None)
        if state is None:
            return None
        if state["split_hash"] != self.dataset.split_hash:
            raise CellError(
                f"the checkpoint in {self.checkpoint_dir} was made when {self.dataset.name} consisted of other files: "
                "restore them, or remove that folder to train from the start"
            )
        self.epoch = state["epoch"]
        self.history = [EpochResult(**entry) for entry in state["history"]]
        self.module.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        for entry in self.history:
            report(entry)
        return CellResult(**state["result"]) if state["result"] is not None else None

    def run_epoch(self, epoch: int) -> None:
        """Train one epoch, validate, remember the best and write the checkpoint."""
        generator = torch.Generator(self.device).manual_seed(derive_seed(self.cell.seed, AUGMENT, epoch, self.rank))
        torch.manual_seed(derive_seed(self.cell.seed, MODEL, epoch, self.rank))
        order = self._order(epoch=epoch)
        if epoch == 1:
            self._audit(order[0], generator)
        # The learning rate of the epoch's first step: after the last one the schedule stands at the next epoch's.
        metrics = {"train/lr": float(self.schedule.get_last_lr()[0])}
        self.first_step_ms = self.first_step_ms or _now_ms()
        started = time.perf_counter()
        mean_loss = self._train(order, generator)
        seconds = time.perf_counter() - started
        if not math.isfinite(mean_loss):
            raise CellError(
                f"the training loss became {mean_loss} in epoch {epoch}: lower train.lr (now {self.cell.train.lr:g}) "
                "or set train.clip_grad_norm"
            )
        metrics |= {"train/loss": mean_loss, "train/images_per_s": order.numel() * self.world_size / seconds}
        # After a step each rank has its own running statistics; all must judge the model that rank 0 saves.
        self._broadcast(list(self.module.buffers()))
        metrics |= {f"val/{name}": value for name, value in self._evaluate(self.dataset.val).items()}
        self.epoch = epoch
        self.history.append(self._from_rank_0(EpochResult(epoch=epoch, metrics=metrics, timestamp_ms=_now_ms())))
        if self.rank == 0:
            if self._best() is self.history[-1]:
                best = {"model": self.module.state_dict(), "epoch": epoch}
                checkpoint.save(self.checkpoint_dir / checkpoint.BEST, best)
            self._save(result=None)

    def test(self) -> CellResult:
        """Evaluate the best weights on the test split, once, and write the result to the checkpoint."""
        best = self._best()
        state = checkpoint.load(self.checkpoint_dir / checkpoint.BEST) if self.rank == 0 else None
        found = self._from_rank_0(state["epoch"] if state is not None else None)
        if found != best.epoch:
            raise CellError(
                f"{self.checkpoint_dir / checkpoint.BEST} holds epoch {found} instead of {best.epoch}: something else "
                "wrote there; remove that folder to train from the start"
            )
        if state is not None:
            self.module.load_state_dict(state["model"])
        self._broadcast(list(self.module.state_dict().values()))
        metrics = {f"test/{name}": value for name, value in self._evaluate(self.dataset.test, per_class=True).items()}
        metrics |= {
            name.replace("val/", "best/"): value for name, value in best.metrics.items() if name.startswith("val/")
        }
        metrics["best/epoch"] = float(best.epoch)
        result = self._from_rank_0(
            CellResult(metrics=metrics, timestamp_ms=_now_ms(), first_step_ms=self.first_step_ms)
        )
        if self.rank == 0:
            self._save(result=result)
        return result

    def _train(self, order: Tensor, generator: torch.Generator) -> float:
        """Take one optimizer step per row of `order`; return the mean loss over all ranks."""
        settings = self.cell.train
        self.model.train()
        total = torch.zeros((), device=self.device)
        labels = self.train_labels[order.to(self.device)]
        pixels_of = self.feed.batches(self.dataset.train.rows[order].unbind())
        for pixels, batch_labels in zip(pixels_of, labels, strict=True):
            images, targets = self._mixed(pixels, batch_labels, self.dataset.num_classes, generator)
            with self._autocast():
                logits = self.model(images)
            loss = F.cross_entropy(logits.float(), targets, weight=self.loss_weights)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            if settings.clip_grad_norm is not None:
                nn.utils.clip_grad_norm_(self.module.parameters(), settings.clip_grad_norm)
            self.optimizer.step()
            self.schedule.step()
            total += loss.detach()
        if self.world_size > 1:
            dist.all_reduce(total)
        return float(total) / (len(order) * self.world_size)

    def _mixed(
        self, pixels: Tensor, labels: Tensor, num_classes: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return the images and targets of one step: cropped, mirrored, normalised and mixed."""
        pixels, window = self.transform.apply(pixels, self.transform.draw(pixels.shape, generator=generator))
        return self.augment.apply_to_pixels(
            pixels,
            one_hot(labels, num_classes),
            self.augment.draw(pixels.shape, generator=generator),
            window=window,
            normalization=self.normalization,
            dtype=self.image_dtype,
        )

    def _audit(self, indices: Tensor, generator: torch.Generator) -> None:
        """Write down what the augmentation is going to make of the cell's first batch."""
        folder = self.checkpoint_dir / audit.FOLDER
        if self.rank != 0 or folder.exists():
            return
        (pixels,) = self.feed.batches([self.dataset.train.rows[indices]])
        found = audit.audit_batch(
            lambda *arguments: self._mixed(pixels, *arguments),
            self.train_labels[indices.to(self.device)],
            num_classes=self.dataset.num_classes,
            generator=generator,
            backend=self.augment.backend_on(self.device),
        )
        shown = self.normalization.inverse(found.images)
        audit.write_audit(folder, found, pixels=shown, class_names=self.dataset.class_names)

    @torch.inference_mode()
    def _evaluate(self, split: Split, *, per_class: bool = False) -> dict[str, float]:
        """Return the metrics of `split` over all ranks, and on demand the recall of each class."""
        self.module.eval()
        shard = list(shard_batches(
            len(split),
            batch_size=self.cell.train.batch_size_per_worker,
            rank=self.rank,
            world_size=self.world_size,
        ))  # fmt: skip
        logits = []
        for pixels in self.feed.batches([split.rows[indices] for indices in shard]):
            images = self.normalization(self.transform.for_evaluation(pixels))
            with self._autocast():
                logits.append(self.module(images).float())
        labels = split.labels[torch.cat(shard)].to(self.device)
        names = self.dataset.class_names if per_class else None
        return compute_metrics(torch.cat(logits), labels, num_classes=self.dataset.num_classes, class_names=names)

    def _best(self) -> EpochResult:
        return min(self.history, key=lambda entry: (entry.metrics["val/error"], entry.metrics["val/loss"]))

    def _save(self, *, result: CellResult | None) -> None:
        state: dict[str, Any] = {
            "split_hash": self.dataset.split_hash,
            "epoch": self.epoch,
            "history": [asdict(entry) for entry in self.history],
            "model": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "result": asdict(result) if result is not None else None,
        }
        checkpoint.save(self.checkpoint_dir / checkpoint.LAST, state)

    def _order(self, *, epoch: int) -> Tensor:
        """Return this rank's batches of an epoch, int64 ``[steps, batch_size_per_worker]`` on the CPU."""
        return epoch_order(
            len(self.dataset.train),
            batch_size_per_worker=self.cell.train.batch_size_per_worker,
            seed=self.cell.seed,
            epoch=epoch,
            rank=self.rank,
            world_size=self.world_size,
            sample_weights=self.sample_weights,
        )

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.cell.train.precision == "bf16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return nullcontext()

    def _broadcast(self, tensors: list[Tensor]) -> None:
        if self.world_size > 1:
            for tensor in tensors:
                dist.broadcast(tensor, src=0)

    def _from_rank_0(self, value: _Value) -> _Value:
        """Return rank 0's `value` on every rank."""
        payload = [value]
        if self.world_size > 1:
            dist.broadcast_object_list(payload, src=0)
        return payload[0]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    from orchestrator.train_cli import main

    sys.exit(main(train_cell))
