"""The network of one training on one rank, with what turns pixels into steps and predictions."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from augment import Augmentation, Backend, Normalization, check_backend, one_hot, without_mixing
from orchestrator.data import Dataset
from orchestrator.errors import CellError, UserError
from orchestrator.experiment import Cell
from orchestrator.models import freeze_backbone, head_of, training_mode
from orchestrator.train.accumulation import WHOLE_STEP, Part
from orchestrator.train.arithmetic import set_arithmetic
from orchestrator.train.averaged import averaged_model
from orchestrator.train.class_weights import balanced_class_weights
from orchestrator.train.forward import Batch, ForwardPass, Objective, autocast, mixed_batch
from orchestrator.train.optimizers import build_optimizer
from orchestrator.train.ranks import Ranks
from orchestrator.train.seeds import MODEL, derive_seed
from orchestrator.train.snapshot import LearnerState, State
from orchestrator.train.starting_weights import images_of, network_of, scale_of


class Learner:
    """Model, optimizer and augmentation of a cell.

    Attributes:
        augment: What mixes the batches of the present epoch.
        module: The network that is trained.

    Args:
        cell: The training.
        dataset: Its data.
        device: Where to train.
        ranks: Which train together.
        backend: What is to mix the batches.
        steps_per_epoch: How many steps the optimizer takes in an epoch.
        weights_file: Of the weights that the model begins with, where it does not begin from scratch.
        built_as: The state of such a model, which is loaded next: `weights_file` is not needed then.
        cuda_graphs: Whether a compiled step is launched as a CUDA graph.

    Raises:
        CellError: The model or the transform does not suit the images, the backend the device, or the weights the
            model; or what has the optimizer is not installed.
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
        weights_file: Path | None = None,
        built_as: Mapping[str, Tensor] | None = None,
        cuda_graphs: bool = False,
    ) -> None:
        self._cell, self._dataset, self._device, self._ranks = cell, dataset, device, ranks
        self._image_size = cell.dataset.image_size or dataset.stored_size
        on_cuda = device.type == "cuda"
        if on_cuda and device.index is not None:
            # NCCL's barrier and the exchange of objects take the current device, whatever the tensors are on.
            torch.cuda.set_device(device)
        set_arithmetic(cell.arithmetic)
        self._backend: Backend = backend
        self._mixing, self.module, head = self._build(weights_file, built_as)
        self._mixing_spec, self._epoch = cell.augment, 1
        self.augment = self._mixing
        if cell.model.freeze:
            freeze_backbone(self.module, head)
        self.train()
        # Faster on tensor cores, and on the CPU, too (convnet, one core: a step takes 0.7 of the time).
        self.module.to(device).to(memory_format=torch.channels_last)
        self._model: nn.Module = self.module
        if ranks.world_size > 1:
            self._model = DistributedDataParallel(self.module, device_ids=[device] if on_cuda else None)
        scale = scale_of(cell.model, dataset.mean, dataset.std)
        self.normalization = Normalization(scale.mean, scale.std, device=device)
        weights = balanced_class_weights(dataset.train.labels, dataset.num_classes)
        self._objective = Objective(
            normalization=self.normalization,
            bf16_on=device.type if cell.train.precision == "bf16" else None,
            class_weights=weights.to(device) if cell.train.class_weights == "balanced" else None,
            label_smoothing=cell.train.label_smoothing or 0.0,
        )
        self._forward = ForwardPass(cell.arithmetic, cuda_graphs=cuda_graphs)
        self._optimizer, self._schedule = build_optimizer(
            self.module, cell.train, steps_per_epoch=steps_per_epoch, head=head, head_lr=cell.model.head_lr
        )
        if ranks.world_size > 2:
            self._settle_buckets()
        decay = cell.train.ema_decay
        self._average = averaged_model(self.module, decay) if decay is not None else None

    @property
    def evaluated(self) -> nn.Module:
        """The network that is judged and kept: the one that is trained, or the average of what it was."""
        averaged: nn.Module = self._average.module if self._average is not None else self.module
        return averaged

    @property
    def mixes(self) -> bool:
        """Whether the present epoch is one of those that are mixed, rather than of ``train.mixing_off_epochs``."""
        return self._epoch <= self._cell.mixed_epochs

    @property
    def lr(self) -> float:
        """The learning rate of the next step: of what is before the head, unless that is frozen."""
        return float(self._schedule.get_last_lr()[0])

    def begin_epoch(self, epoch: int) -> None:
        """Mix as it is done in an epoch, counted from 1; called before its first batch, also of a resumed training."""
        self._epoch = epoch
        # Made anew only where a schedule changes it: a compiled step is compiled for the one that it has.
        if (spec := self._cell.augment_in(epoch)) != self._mixing_spec:
            self._mixing_spec, self._mixing = spec, spec.build(backend=self._backend)
        self.augment = self._mixing if self.mixes else without_mixing(self._mixing)

    def train(self) -> None:
        """Put the model into training mode; what is frozen keeps its statistics."""
        training_mode(self.module, backbone_is_frozen=self._cell.model.freeze is not None)

    def step(self, pixels: Tensor, labels: Tensor, generator: torch.Generator, part: Part = WHOLE_STEP) -> Tensor:
        """Take one optimizer step, or a batch's part of one, and return the batch's loss, a scalar on the device.

        Args:
            pixels: uint8 ``[B, C, S, S]`` on the device.
            labels: int64 ``[B]`` on the device.
            generator: What the augmentation is drawn from.
            part: Which part of a step the batch is; its gradient counts 1 / `part.of`.

        Raises:
            CellError: It cannot be compiled.
        """
        batch = self._drawn(pixels, labels, self._dataset.num_classes, generator)
        with self._forward.explained(), self._summed_with_the_last(part):
            if part.number == 1:
                self._optimizer.zero_grad(set_to_none=True)
                self._forward.begin_step()
            loss = self._forward(self._model, self.augment, batch, self._objective)
            share = loss if part.of == 1 else loss / part.of
            share.backward()  # type: ignore[no-untyped-call]
        if part.is_last:
            self._take_step()
        return loss.detach()

    def _take_step(self) -> None:
        if self._cell.train.clip_grad_norm is not None:
            nn.utils.clip_grad_norm_(self.module.parameters(), self._cell.train.clip_grad_norm)
        self._optimizer.step()
        self._schedule.step()
        if self._average is not None:
            self._average.update_parameters(self.module)

    def _summed_with_the_last(self, part: Part) -> AbstractContextManager[Any]:
        """Return in what gradients stay on their ranks until the last part of a step, with which they are summed."""
        if isinstance(self._model, DistributedDataParallel) and not part.is_last:
            return self._model.no_sync()
        return nullcontext()

    def predict(self, pixels: Tensor) -> Tensor:
        """Return float32 logits ``[B, num_classes]`` of images as they are evaluated.

        Args:
            pixels: uint8 ``[B, C, S, S]`` on the device.
        """
        return self.predict_prepared(self._transform.for_evaluation(pixels))

    def predict_prepared(self, images: Tensor) -> Tensor:
        """Return what `predict` does of images that are cut already.

        Args:
            images: ``[B, C, S, S]`` in 0..255, of any dtype, on the device.
        """
        images = self.normalization(images)
        with autocast(self._objective):
            logits: Tensor = self.evaluated(images)
        return logits.float()

    def mixed(
        self, pixels: Tensor, labels: Tensor, num_classes: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return the images and targets of one step: cropped, mirrored, normalised and mixed."""
        batch = self._drawn(pixels, labels, num_classes, generator)
        return mixed_batch(self.augment, batch, self._objective)

    def _drawn(self, pixels: Tensor, labels: Tensor, num_classes: int, generator: torch.Generator) -> Batch:
        pixels, window = self._transform.apply(pixels, self._transform.draw(pixels.shape, generator=generator))
        draw = self.augment.draw(pixels.shape, generator=generator)
        return Batch(pixels, window, one_hot(labels, num_classes), draw)

    def settle_buffers(self) -> None:
        """Give all ranks the running statistics of rank 0, which it saves: after a step each has its own."""
        for module in dict.fromkeys((self.module, self.evaluated)):
            self._ranks.broadcast(list(module.buffers()))

    def state(self) -> LearnerState:
        """Return all that a training goes on from; its tensors are those that the next step changes."""
        average = self._average.state_dict() if self._average is not None else None
        optimizer, schedule = self._optimizer.state_dict(), self._schedule.state_dict()
        return LearnerState(self.module.state_dict(), optimizer, schedule, average)

    def load_state(self, state: LearnerState) -> None:
        """Take up what `state` returned."""
        self.module.load_state_dict(state.model)
        self._optimizer.load_state_dict(state.optimizer)
        for of_parameter in self._optimizer.state.values():
            # NAdam has this one on the host on purpose, and reads it; loading takes it to the parameter's device.
            if "mu_product" in of_parameter:
                of_parameter["mu_product"] = of_parameter["mu_product"].cpu()
        self._schedule.load_state_dict(state.schedule)
        if self._average is not None and state.average is not None:
            self._average.load_state_dict(state.average)

    def load_weights(self, weights: State | None) -> None:
        """Evaluate with the weights that rank 0 has; the others give None."""
        if weights is not None:
            self.evaluated.load_state_dict(weights)
        self._ranks.broadcast(list(self.evaluated.state_dict().values()))

    def _build(
        self, weights_file: Path | None, built_as: Mapping[str, Tensor] | None
    ) -> tuple[Augmentation, nn.Module, frozenset[str]]:
        # torch initialises weights from the global generator; dropout draws from it, too (see `Trainer`).
        torch.manual_seed(derive_seed(self._cell.seed, MODEL))
        try:
            augment = self._cell.augment.build(backend=self._backend)
            check_backend(self._device, self._backend)
            self._transform = self._cell.dataset.transform()
            # Says what images of this size cannot be cropped to.
            stored = (2, *self._dataset.images.shape[1:])
            self._transform.draw(stored, generator=torch.Generator(self._device))
            if self._cell.augment.combine is not None:
                self._cell.augment.combine.build().draw(stored, generator=torch.Generator(self._device))
            model, images = self._cell.model, images_of(self._dataset, self._cell)
            network = network_of(model, images, weights=weights_file, built_as=built_as)
            return augment, network, head_of(network) if model.freeze or model.head_lr else frozenset()
        except (UserError, ValueError) as error:
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
