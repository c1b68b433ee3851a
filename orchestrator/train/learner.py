"""The network of one training on one rank, with what turns pixels into steps and predictions."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from augment import Augmentation, Backend, Normalization, check_backend, one_hot
from orchestrator.data import Dataset
from orchestrator.errors import CellError
from orchestrator.experiment import Cell
from orchestrator.models import build_model
from orchestrator.train.class_weights import balanced_class_weights
from orchestrator.train.optimizers import build_optimizer
from orchestrator.train.ranks import Ranks
from orchestrator.train.seeds import MODEL, derive_seed
from orchestrator.train.snapshot import LearnerState, State


class Learner:
    """Model, optimizer and augmentation of a cell.

    Args:
        cell: The training.
        dataset: Its data.
        device: Where to train.
        ranks: Which train together.
        backend: What is to mix the batches.
        steps_per_epoch: How often `step` is called in an epoch.

    Raises:
        CellError: The model or the transform does not suit the images, or the backend the device.
    """

    def __init__(
        self,
        cell: Cell,
        dataset: Dataset,
        *,
        device: torch.device,
        ranks: Ranks,
        backend: Backend,
        steps_per_epoch: int,
    ) -> None:
        self._cell, self._dataset, self._device, self._ranks = cell, dataset, device, ranks
        self._image_size = cell.dataset.image_size or dataset.stored_size
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
        self._model: nn.Module = self.module
        if ranks.world_size > 1:
            self._model = DistributedDataParallel(self.module, device_ids=[device] if on_cuda else None)
        self.normalization = Normalization(dataset.mean, dataset.std, device=device)
        # What autocast would make of the images in the first layer.
        self._image_dtype = torch.bfloat16 if cell.train.precision == "bf16" else torch.float32
        weights = balanced_class_weights(dataset.train.labels, dataset.num_classes)
        self._loss_weights = weights.to(device) if cell.train.class_weights == "balanced" else None
        self._optimizer, self._schedule = build_optimizer(self.module, cell.train, steps_per_epoch=steps_per_epoch)
        if ranks.world_size > 2:
            self._settle_buckets()

    @property
    def lr(self) -> float:
        """The learning rate of the next step."""
        return float(self._schedule.get_last_lr()[0])

    def step(self, pixels: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Take one optimizer step and return its loss, a scalar on the device.

        Args:
            pixels: uint8 ``[B, C, S, S]`` on the device.
            labels: int64 ``[B]`` on the device.
            generator: What the augmentation is drawn from.
        """
        images, targets = self.mixed(pixels, labels, self._dataset.num_classes, generator)
        with self._autocast():
            logits = self._model(images)
        loss = F.cross_entropy(logits.float(), targets, weight=self._loss_weights)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self._cell.train.clip_grad_norm is not None:
            nn.utils.clip_grad_norm_(self.module.parameters(), self._cell.train.clip_grad_norm)
        self._optimizer.step()
        self._schedule.step()
        return loss.detach()

    def predict(self, pixels: Tensor) -> Tensor:
        """Return float32 logits ``[B, num_classes]`` of images as they are evaluated.

        Args:
            pixels: uint8 ``[B, C, S, S]`` on the device.
        """
        images = self.normalization(self._transform.for_evaluation(pixels))
        with self._autocast():
            logits: Tensor = self.module(images)
        return logits.float()

    def mixed(
        self, pixels: Tensor, labels: Tensor, num_classes: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return the images and targets of one step: cropped, mirrored, normalised and mixed."""
        pixels, window = self._transform.apply(pixels, self._transform.draw(pixels.shape, generator=generator))
        return self.augment.apply_to_pixels(
            pixels,
            one_hot(labels, num_classes),
            self.augment.draw(pixels.shape, generator=generator),
            window=window,
            normalization=self.normalization,
            dtype=self._image_dtype,
        )

    def settle_buffers(self) -> None:
        """Give all ranks the running statistics of rank 0, which it saves: after a step each has its own."""
        self._ranks.broadcast(list(self.module.buffers()))

    def state(self) -> LearnerState:
        """Return all that a training goes on from; its tensors are those that the next step changes."""
        return LearnerState(self.module.state_dict(), self._optimizer.state_dict(), self._schedule.state_dict())

    def load_state(self, state: LearnerState) -> None:
        """Take up what `state` returned."""
        self.module.load_state_dict(state.model)
        self._optimizer.load_state_dict(state.optimizer)
        self._schedule.load_state_dict(state.schedule)

    def load_weights(self, weights: State | None) -> None:
        """Take the weights that rank 0 has; the others give None."""
        if weights is not None:
            self.module.load_state_dict(weights)
        self._ranks.broadcast(list(self.module.state_dict().values()))

    def _build(self, backend: Backend) -> tuple[Augmentation, nn.Module]:
        # torch initialises weights from the global generator; dropout draws from it, too (see `Trainer`).
        torch.manual_seed(derive_seed(self._cell.seed, MODEL))
        try:
            augment = self._cell.augment.build(backend=backend)
            check_backend(self._device, backend)
            self._transform = self._cell.dataset.transform()
            # Says what images of this size cannot be cropped to.
            stored = (2, *self._dataset.images.shape[1:])
            self._transform.draw(stored, generator=torch.Generator(self._device))
            return augment, build_model(
                self._cell.model,
                num_classes=self._dataset.num_classes,
                num_channels=self._dataset.num_channels,
                image_size=self._image_size,
            )
        except ValueError as error:
            raise CellError(str(error)) from error

    def _settle_buckets(self) -> None:
        """Make DDP sort its gradients into the buckets of the second step before the first.

        It sorts them anew after the first backward pass. The place in a bucket decides in which order the ranks are
        summed, which three or more ranks see in the last bit: the first step of a resumed training would differ.
        """
        buffers = [buffer.clone() for buffer in self.module.buffers()]
        shape = (2, self._dataset.num_channels, self._image_size, self._image_size)
        self._model(torch.zeros(shape, device=self._device)).sum().backward()
        self.module.zero_grad(set_to_none=True)
        for buffer, before in zip(self.module.buffers(), buffers, strict=True):
            buffer.copy_(before)

    def _autocast(self) -> AbstractContextManager[Any]:
        if self._cell.train.precision == "bf16":
            return torch.autocast(self._device.type, dtype=torch.bfloat16)
        return nullcontext()
