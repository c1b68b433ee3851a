"""What an experiment file says, typed and frozen; `orchestrator.experiment.load` reads it.

The description of a field is what a user is told is allowed there.
"""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from augment import Backend
from orchestrator.credentials import NO_CREDENTIALS, PLACES, has_password
from orchestrator.data import Cache, default_cache_dir
from orchestrator.environment import DATA_DIR, TRACKING_URI
from orchestrator.experiment.augment_spec import AugmentSpec
from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.experiment.field_types import (
    TEXT_PATTERN,
    AbsolutePath,
    Count,
    Frozen,
    Integer,
    Real,
    Text,
    absolute,
    is_address,
    refuse,
)
from orchestrator.uris import is_sqlite


class TrainSettings(Frozen):
    """How every cell of an experiment is trained.

    Attributes:
        momentum: None where the optimizer has none (AdamW).
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
    optimizer: Literal["sgd", "adamw"] = Field(
        title="what steps the weights", default="sgd", description="sgd or adamw"
    )
    lr: Real = Field(title="the learning rate after warm-up", default=0.1, gt=0, description="a finite number above 0")
    momentum: Real | None = Field(
        title="of SGD; AdamW has none", default=0.9, ge=0, lt=1, description="a number from 0 to below 1"
    )
    weight_decay: Real = Field(
        title="the pull of the weights towards zero", default=5e-4, ge=0, description="a finite number, at least 0"
    )
    schedule: Literal["cosine", "multistep"] = Field(
        title="how the learning rate falls after warm-up", default="cosine", description="cosine or multistep"
    )
    warmup_epochs: Integer = Field(
        title="epochs in which the learning rate rises from near zero",
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
    precision: Literal["auto", "fp32", "bf16"] = Field(
        title="the arithmetic of the forward pass; auto is bf16 on a GPU and fp32 elsewhere",
        default="auto",
        description="auto, fp32 or bf16",
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
    best_by: Literal["error", "loss", "balanced_accuracy", "f1_macro", "auroc", "last"] | None = Field(
        title="the validation metric by which the tested epoch is chosen; last takes the last epoch",
        default=None,
        description="error, loss, balanced_accuracy, f1_macro, auroc or last; null is error",
    )

    @field_validator("momentum")
    @classmethod
    def _sgd_has_momentum(cls, momentum: float | None, info: ValidationInfo) -> float | None:
        if momentum is None and info.data.get("optimizer") == "sgd":
            raise refuse("a number from 0 to below 1", "Write 0 for SGD without momentum.")
        return momentum

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


class Resources(Frozen):
    """What one cell occupies and how many cells train at once; only `workers` changes a result."""

    workers: Count = Field(
        title="processes that train a cell together; they mix inside their own batches",
        default=1,
        description="an integer, at least 1",
    )
    cpus_per_worker: Real = Field(
        title="cores of a worker, and the threads that it computes with",
        default=1.0,
        ge=0.01,
        description="an integer, at least 1; with one worker also a fraction of a CPU, at least 0.01",
    )
    gpus_per_worker: Real = Field(
        title="GPUs of a worker; 0 trains on the CPU",
        default=0.0,
        ge=0,
        description="an integer, at least 0; with one worker also a fraction of a GPU",
    )
    slots: Literal["auto"] | Count = Field(
        title="cells that train at a time; auto takes as many as fit",
        default="auto",
        description="auto, or an integer, at least 1",
    )
    backend: Backend = Field(
        title="what mixes the batches",
        default="auto",
        description="what mixes the batches: auto, torch, or triton, which needs GPUs",
    )
    feed: Literal["auto", "resident", "streaming"] = Field(
        title="how images get to the device",
        default="auto",
        description="auto, resident (all images on the device) or streaming (batch by batch)",
    )
    resident_share: Real = Field(
        title="how much of the device's free memory may hold images",
        default=0.5,
        gt=0,
        le=1,
        description="the share of the device's free memory for images, above 0, at most 1",
    )
    max_failures: Count = Field(
        title="deaths of workers over one cell until it is given up",
        default=3,
        description="an integer, at least 1: a cell is given up when its workers have died so often",
    )
    start_timeout_s: Real = Field(
        title="how long workers may take to start, not counting how long they wait for CPUs and GPUs",
        default=600.0,
        ge=5,
        description="seconds, at least 5: workers that have not started by then are ended and started anew",
    )
    stall_timeout_s: Real = Field(
        title="silence after which workers are started again",
        default=600.0,
        ge=5,
        description="seconds, at least 5: workers that give no sign of life so long are restarted",
    )
    checkpoint_every_s: Real = Field(
        title="how often a checkpoint is written within a long epoch",
        default=600.0,
        ge=0,
        description="seconds, at least 0: longer epochs are saved so often, too",
    )

    @field_validator("cpus_per_worker", "gpus_per_worker")
    @classmethod
    def _whole_or_one_share(cls, value: float, info: ValidationInfo) -> float:
        # Two NCCL ranks cannot share a GPU, and Ray places whole units only above 1.
        if value > 1 and not value.is_integer():
            raise refuse("an integer, or with one worker a fraction below 1", "Round it.")
        workers = info.data.get("workers", 1)
        if workers > 1 and not value.is_integer():
            raise refuse(
                f"an integer with resources.workers={workers}: workers cannot share one",
                "Give each worker a whole one or set resources.workers to 1.",
            )
        return value

    @field_validator("backend")
    @classmethod
    def _triton_has_gpus(cls, backend: Backend, info: ValidationInfo) -> Backend:
        if backend == "triton" and info.data.get("gpus_per_worker") == 0:
            raise refuse("auto or torch with resources.gpus_per_worker=0", "Give the workers GPUs, or remove it.")
        return backend


# For editors, as a JSON schema says it: no password, and of a store a SQLite file with an absolute path.
_ADDRESS_PATTERN = r"^(?!.*//[^/@\s]*:[^/@\s]+@)" + TEXT_PATTERN.removeprefix("^")
_URI_PATTERN = r"^(?:sqlite:////|(?![Ss][Qq][Ll][Ii][Tt][Ee][+:]))" + _ADDRESS_PATTERN.removeprefix("^")


class Tracking(Frozen):
    """Where MLflow keeps the runs, and under which name; None means the experiment's."""

    uri: Annotated[Text, Field(json_schema_extra={"pattern": _URI_PATTERN})] | None = Field(
        title="the MLflow store",
        default=None,
        description="an MLflow tracking URI without a password; null for MLFLOW_TRACKING_URI or else sqlite in storage",
    )
    experiment: Text | None = Field(
        title="MLflow's experiment that takes the runs",
        default=None,
        max_length=500,
        description="a name of at most 500 characters, or null for that of the experiment",
    )
    artifacts: Annotated[Text, Field(json_schema_extra={"pattern": _ADDRESS_PATTERN})] | None = Field(
        title="where a new MLflow experiment keeps its files; one that there is keeps its place",
        default=None,
        description="the path of a folder or an address without a password, e.g. s3://BUCKET/FOLDER; null leaves it to "
        "a server, and to storage where there is none",
    )

    @field_validator("uri")
    @classmethod
    def _absolute_database(cls, uri: str | None) -> str | None:
        if uri is not None and is_sqlite(uri) and not uri.startswith("sqlite:////"):
            # Another folder would be another, empty store: everything would look missing.
            raise refuse("a SQLite file with an absolute path", "Write sqlite:////PATH, with four slashes.")
        return uri

    @field_validator("artifacts")
    @classmethod
    def _absolute_folder(cls, artifacts: str | None) -> str | None:
        # The folder of a submitted job is deleted, and another command may start in another one.
        return artifacts if artifacts is None or is_address(artifacts) else absolute(artifacts)

    @field_validator("uri", "artifacts")
    @classmethod
    def _no_password(cls, uri: str | None) -> str | None:
        if uri is not None and has_password(uri):
            raise refuse(NO_CREDENTIALS, f"{PLACES} Or leave the whole address to {TRACKING_URI}.")
        return uri


class CacheSettings(Frozen):
    """Where decoded images are kept, on each machine."""

    dir: AbsolutePath = Field(
        title="where decoded images lie, on each machine",
        default_factory=default_cache_dir,
        validate_default=True,
        description="a path on a disk of the machine",
    )
    limit_gib: Real | None = Field(
        title="what all decoded images together may take",
        default=None,
        gt=0,
        description="a finite number above 0: what all of it may take; null for no limit",
    )

    def open(self) -> Cache:
        """Return the cache."""
        return Cache(self.dir, self.limit_gib)


class Comparing(Frozen):
    """How the rows of a table are compared."""

    metric: Text = Field(
        title="the metric that decides; what is said by any other is exploratory",
        default="test/error",
        description="a metric as zetasweep compare --metric takes it",
    )
    baseline: Text | None = Field(
        title="the row that the others are compared with",
        default=None,
        description="a row as the table shows it, or an augmentation's name that one row has; null for erm",
    )
    margin: Real | None = Field(
        title="differences of less are as good as none, and called so",
        default=None,
        ge=0,
        description="a finite number, at least 0, in points for shares such as errors; or null",
    )


class General(Frozen):
    """The entries of an experiment file that are neither swept nor sections of their own."""

    name: str = Field(
        title="of the experiment; its sweep and its files are found again by it",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        description="1 to 100 letters, digits, dots, underscores and hyphens, the first a letter or digit",
    )
    data_dir: AbsolutePath = Field(
        default_factory=lambda: Path(os.environ.get(DATA_DIR) or "data"),
        validate_default=True,
        description="the path of the folder that holds the data sets",
        title="where the data sets lie",
    )
    storage: AbsolutePath = Field(
        title="where checkpoints, results and logs lie; a relative path starts at the folder of the command",
        default=Path("runs"),
        validate_default=True,
        description="the path of the folder for checkpoints and results",
    )


class Experiment(General):
    """A whole experiment file, checked: the lists are what is swept, in the order of the file.

    Attributes:
        data_dir: Absolute.
        storage: Absolute.
        file: Where it was read from.
    """

    dataset: tuple[DatasetSpec, ...] = Field(
        title="the data sets; a list is swept", description="a name, {name: {option: value}}, or a list of these"
    )
    model: tuple[str, ...] = Field(
        title="the networks, from scratch; ResNets have CIFAR's stem below 64 px; a list is swept",
        description="convnet, resnet18, resnet50 or another of torchvision's classification models, or a list",
    )
    augment: tuple[AugmentSpec, ...] = Field(
        title="the alternatives to compare; a list is swept, and so is a list inside one",
        description="a name, {name: {parameter: value or list}}, or a list of these",
    )
    seed: tuple[int, ...] = Field(
        title="of initial weights, order and augmentation; a list is swept",
        default=(0,),
        description="an integer from 0 to 4294967295, or a list",
    )
    train: TrainSettings = TrainSettings()
    resources: Resources = Resources()
    tracking: Tracking = Tracking()
    cache: CacheSettings = Field(default_factory=CacheSettings)
    compare: Comparing = Comparing()
    file: Path

    def place_of(self, spec: DatasetSpec) -> str:
        """Return where a data set stands, as messages begin; by its label, since one entry may stand for several."""
        return f"{self.file}: dataset = {spec.label}"

    @property
    def tracked_in(self) -> str:
        """The name of the MLflow experiment that takes the runs."""
        return self.tracking.experiment or self.name
