"""What an experiment file says of the training, typed and frozen; `settings` has it beside the rest.

The description of a field is what a user is told is allowed there.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from orchestrator.experiment.field_types import Beta, Bool, Count, Frozen, Integer, Real, refuse
from orchestrator.experiment.optimizer_info import OPTIMIZERS, OptimizerName


class TrainSettings(Frozen):
    """How every cell of an experiment is trained.

    Attributes:
        momentum: None where the optimizer has none.
        betas: None stands for the optimizer's own, which a cell leaves out.
        milestones: Epochs after which ``multistep`` multiplies the learning rate by `lr_decay`.
        precision: ``auto`` is bf16 on a GPU and fp32 elsewhere; a cell holds what it stands for.
        class_weights: ``balanced`` weighs the loss of class k by n / (K n_k), over the training split.
        sampling: ``balanced`` draws images with replacement, so that each class is as frequent as any other.
        best_by: None stands for ``error``, which a cell leaves out.
    """

    epochs: Count = Field(
        title="passes over the training split", default=5, le=1_000_000, description="an integer from 1 to 1000000"
    )
    batch_size_per_worker: Count = Field(
        title="images that one worker mixes and steps on at a time", default=64, description="an integer, at least 1"
    )
    accumulate: Count | None = Field(
        title="batches whose gradients are averaged to one step of the optimizer; mixing stays inside each of them",
        default=None,
        description="an integer, at least 1 and at most the batches of an epoch, or null for a step with each batch",
    )
    optimizer: OptimizerName = Field(
        title="what steps the weights, as torch, or timm, has it",
        default="sgd",
        description="sgd, adam, adamw, nadam, radam, rmsprop, adagrad or adafactor; with the extra zetasweep[timm] "
        "also lamb, lars, lion or madgrad",
    )
    lr: Real = Field(title="the learning rate after warm-up", default=0.1, gt=0, description="a finite number above 0")
    momentum: Real | None = Field(
        title="of sgd, rmsprop, lars and madgrad; the others have none",
        default=0.9,
        ge=0,
        lt=1,
        description="a number from 0 to below 1",
    )
    nesterov: Bool | None = Field(
        title="Nesterov's momentum, of sgd and lars",
        default=None,
        description="true, or false or null for the usual momentum",
    )
    betas: tuple[Beta, Beta] | None = Field(
        title="how slowly the optimizer forgets gradients, and their squares: of adam, adamw, nadam, radam, lamb, lion",
        default=None,
        description="two numbers from 0 to below 1, or null for those that torch, or timm, has for the optimizer",
    )
    weight_decay: Real = Field(
        title="the pull of the weights towards zero", default=5e-4, ge=0, description="a finite number, at least 0"
    )
    no_decay_norm_bias: Bool | None = Field(
        title="no weight decay on what has one dimension: weights of norms, and biases, as in timm",
        default=None,
        description="true, or false or null for the same decay everywhere",
    )
    schedule: Literal["cosine", "multistep", "linear", "onecycle", "constant"] = Field(
        title="how the learning rate goes on after warm-up: cosine and linear fall to zero; onecycle rises first, as "
        "torch's OneCycleLR does, and leaves the momentum alone",
        default="cosine",
        description="cosine, multistep, linear, onecycle or constant",
    )
    warmup_epochs: Integer = Field(
        title="epochs in which the learning rate rises from near zero; onecycle has a rise of its own",
        default=0,
        ge=0,
        description="an integer from 0 to train.epochs",
    )
    milestones: tuple[Count, ...] = Field(
        title="epochs after which multistep multiplies the learning rate by lr_decay",
        default=(),
        validate_default=True,
        description="a list of rising epochs, each at least 1 and below train.epochs",
    )
    lr_decay: Real = Field(
        title="the factor at each milestone", default=0.1, gt=0, le=1, description="a number above 0, at most 1"
    )
    clip_grad_norm: Real | None = Field(
        title="the largest norm of the gradient",
        default=None,
        gt=0,
        description="a finite number above 0, or null for no clipping",
    )
    ema_decay: Real | None = Field(
        title="of the exponential moving average of the weights, about the last 1 / (1 - ema_decay) steps, which is "
        "then validated, tested and exported in place of the weights",
        default=None,
        gt=0,
        lt=1,
        description="a number above 0 and below 1, or null for no average",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        title="the arithmetic of the forward pass; auto is bf16 on a GPU and fp32 elsewhere",
        default="auto",
        description="auto, fp32 or bf16",
    )
    label_smoothing: Real | None = Field(
        title="the share of each training label, mixed or not, that all classes get alike",
        default=None,
        ge=0,
        lt=1,
        description="a number from 0 to below 1, or null for none",
    )
    class_weights: Literal["balanced"] | None = Field(
        title="balanced weighs the loss of class k by n / (K n_k), over the training split",
        default=None,
        description="balanced, or null for equal weights",
    )
    sampling: Literal["balanced"] | None = Field(
        title="balanced draws images with replacement, each class as often as any other",
        default=None,
        description="balanced, or null for each image once per epoch",
    )
    mixing_off_epochs: Integer | None = Field(
        title="the last epochs, so many, in which nothing is mixed",
        default=None,
        ge=0,
        description="an integer from 0 to below train.epochs, or null to mix in all of them",
    )
    best_by: Literal["error", "loss", "balanced_accuracy", "f1_macro", "auroc", "last"] | None = Field(
        title="the validation metric by which the tested epoch is chosen; last takes the last epoch",
        default=None,
        description="error, loss, balanced_accuracy, f1_macro, auroc or last; null is error",
    )

    @property
    def tested_by(self) -> str:
        """What chooses the tested epoch, see `orchestrator.records.best_epoch`."""
        return self.best_by or "error"

    @field_validator("momentum")
    @classmethod
    def _momentum_is_said(cls, momentum: float | None, info: ValidationInfo) -> float | None:
        optimizer: OptimizerName | None = info.data.get("optimizer")
        if momentum is None and optimizer is not None and OPTIMIZERS[optimizer].momentum:
            raise refuse("a number from 0 to below 1", f"Write 0 for {optimizer} without momentum.")
        return momentum

    @field_validator("nesterov")
    @classmethod
    def _nesterov_has_momentum(cls, nesterov: bool | None, info: ValidationInfo) -> bool | None:
        optimizer: OptimizerName | None = info.data.get("optimizer")
        if nesterov and info.data.get("momentum") == 0 and optimizer is not None and OPTIMIZERS[optimizer].nesterov:
            raise refuse("false or null with train.momentum=0", "Raise the momentum, or leave nesterov out.")
        return nesterov

    @field_validator("warmup_epochs")
    @classmethod
    def _warmup_ends(cls, warmup_epochs: int, info: ValidationInfo) -> int:
        epochs = info.data.get("epochs", warmup_epochs)
        if warmup_epochs > epochs:
            raise refuse(f"0 to train.epochs={epochs}", "Shorten the warm-up or raise train.epochs.")
        return warmup_epochs

    @field_validator("milestones")
    @classmethod
    def _milestones_are_reached(cls, milestones: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        if info.data.get("schedule") == "multistep" and not milestones:
            raise refuse("at least one epoch with train.schedule=multistep", "List the epochs or use cosine.")
        for index, (before, epoch) in enumerate(pairwise(milestones), start=1):
            if epoch <= before:
                places = f"milestones[{index}] = {epoch} after milestones[{index - 1}] = {before}"
                raise refuse(f"rising epochs, each once, instead of {places}", "Sort the list and remove repetitions.")
        epochs = info.data.get("epochs")
        if milestones and epochs is not None and milestones[-1] >= epochs:
            raise refuse(f"epochs below train.epochs={epochs}", "Lower the last milestone or raise train.epochs.")
        return milestones

    @field_validator("mixing_off_epochs")
    @classmethod
    def _something_is_mixed(cls, mixing_off_epochs: int | None, info: ValidationInfo) -> int | None:
        epochs = info.data.get("epochs")
        if mixing_off_epochs and epochs is not None and mixing_off_epochs >= epochs:
            remedy = "Raise train.epochs or lower it; without any mixing it is augment: erm."
            raise refuse(f"0 to below train.epochs={epochs}", remedy)
        return mixing_off_epochs
