"""What an experiment file says, typed and frozen; `orchestrator.experiment.load` reads it.

The description of a field is what a user is told is allowed there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, InstanceOf, PrivateAttr, ValidationInfo, field_validator

from augment import Backend
from orchestrator.credentials import NO_CREDENTIALS, PLACES, has_password
from orchestrator.data import Cache, default_cache_dir
from orchestrator.environment import DATA_DIR, TRACKING_URI
from orchestrator.experiment.arithmetic_spec import USUAL_TF32, ArithmeticSpec, Compile, Tf32, arithmetic_of
from orchestrator.experiment.augment_spec import AugmentSpec
from orchestrator.experiment.branch import TRAIN, DrawnColumn
from orchestrator.experiment.code_spec import Name, check_still_in_use, plugins_of
from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.experiment.field_types import (
    TEXT_PATTERN,
    AbsolutePath,
    Bool,
    Count,
    Frozen,
    Real,
    Text,
    absolute,
    is_address,
    refuse,
)
from orchestrator.experiment.model_spec import ModelSpec
from orchestrator.experiment.search_settings import SearchSettings
from orchestrator.experiment.train_settings import TrainSettings
from orchestrator.plugins import Kind, Plugin
from orchestrator.uris import is_sqlite


class Resources(Frozen):
    """What one cell occupies, how many train at once, and how fast; results change with `workers`, `deterministic`,
    `tf32` and `compile` alone.
    """

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
    deterministic: Bool = Field(
        title="whether a seed gives the same numbers again: else cuDNN tries its algorithms, and takes the fastest",
        default=True,
        description="true, or false for whatever is fastest at the moment",
    )
    tf32: Tf32 = Field(
        title="what of float32 a GPU rounds to TensorFloat-32, which has 10 bits: convolutions, as torch does by "
        "default, all, products of matrices too, or none; with bf16 little is left in float32",
        default=USUAL_TF32,
        description="convolutions, all or none",
    )
    compile: Compile = Field(
        title="whether torch.compile makes kernels of the step, mixing included: once for each shape, kept from cell "
        "to cell; max-autotune tries more of them",
        default="off",
        description="off, default, or max-autotune, which needs deterministic: false",
    )
    cuda_graphs: Bool = Field(
        title="whether the compiled step is launched as one CUDA graph",
        default=False,
        description="true, with resources.compile and GPUs, or false",
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

    @field_validator("compile")
    @classmethod
    def _tuning_is_no_repetition(cls, compile: Compile, info: ValidationInfo) -> Compile:
        if compile == "max-autotune" and info.data.get("deterministic"):
            raise refuse(
                "off or default with resources.deterministic=true: max-autotune takes the kernels that were fastest",
                "Set resources.deterministic to false, or take default.",
            )
        return compile

    @field_validator("cuda_graphs")
    @classmethod
    def _graphs_are_compiled(cls, cuda_graphs: bool, info: ValidationInfo) -> bool:
        if cuda_graphs and info.data.get("compile") == "off":
            raise refuse("false with resources.compile=off", "Set resources.compile to default, or leave it out.")
        if cuda_graphs and info.data.get("gpus_per_worker") == 0:
            raise refuse("false with resources.gpus_per_worker=0", "Give the workers GPUs, or leave it out.")
        return cuda_graphs

    @field_validator("backend")
    @classmethod
    def _triton_has_gpus(cls, backend: Backend, info: ValidationInfo) -> Backend:
        if backend == "triton" and info.data.get("gpus_per_worker") == 0:
            raise refuse("auto or torch with resources.gpus_per_worker=0", "Give the workers GPUs, or remove it.")
        return backend

    @property
    def gpu_share(self) -> float:
        """What of a GPU a worker has: below 1 where cells share one."""
        return min(self.gpus_per_worker, 1.0) or 1.0

    @property
    def arithmetic(self) -> ArithmeticSpec | None:
        """What of the arithmetic is not as usual: part of the keys of the cells."""
        return arithmetic_of(
            on_gpu=self.gpus_per_worker > 0, compile=self.compile, deterministic=self.deterministic, tf32=self.tf32
        )


# For editors, as a JSON schema says it: no password, and of a store a SQLite file with an absolute path.
_ADDRESS_PATTERN = r"^(?!.*//[^/@\s]*:[^/@\s]+@)" + TEXT_PATTERN.removeprefix("^")
_URI_PATTERN = r"^(?:sqlite:////|(?![Ss][Qq][Ll][Ii][Tt][Ee][+:]))" + _ADDRESS_PATTERN.removeprefix("^")


Models = Literal["best", "all", "none"]


class Tracking(Frozen):
    """Where MLflow keeps the runs, and under which name, and of which cells the model; None means the experiment's."""

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
    models: Models = Field(
        title="of which cells MLflow keeps the model: of each row and column the best seed, all, or none",
        default="best",
        description="best, all or none; any other one is exported when select or predict is asked for it",
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
    family: Literal["column", "table"] = Field(
        title="what is wrong at all in one of twenty tables at most: each column by itself, or all of them together",
        default="column",
        description="column or table",
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
    max_cells: Count = Field(
        title="how many cells the lists may multiply to; a list too many is said before anything starts",
        default=10_000,
        description="an integer, at least 1",
    )
    names: dict[str, Text] = Field(
        title="what rows, augmentations, data sets and models are called in tables and reports",
        default={},
        description="{what it is called here: text}: a row as the table shows it, or the name of an augmentation, a "
        "data set or a model",
    )

    @field_validator("names", mode="before")
    @classmethod
    def _empty_is_none(cls, names: object) -> object:
        return {} if names is None else names


class Configuration(NamedTuple):
    """What the seeds of a cell share, as the file says it."""

    dataset: DatasetSpec
    model: ModelSpec
    augment: AugmentSpec
    train: TrainSettings


class Experiment(General):
    """A whole experiment file, checked: the lists are what is swept, in the order of the file.

    Attributes:
        data_dir: Absolute.
        storage: Absolute.
        train: All that cells are trained with; one stands for a tuple of it.
        configurations: Which combinations of the lists are trained, where it is not each. Of a search that draws, the
            ends of its ranges: what they all have in common is what all that is drawn has.
        search: None for all combinations to the end.
        drawn: What a search draws from, for each data set and model; empty where nothing is drawn.
        file: Where it was read from.
    """

    dataset: tuple[DatasetSpec, ...] = Field(
        title="the data sets; a list is swept", description="a name, {name: {option: value}}, or a list of these"
    )
    model: tuple[ModelSpec, ...] = Field(
        title="the networks; ResNets from scratch have CIFAR's stem below 64 px; a list is swept, also one inside",
        description="convnet, resnet18, resnet50, another of torchvision's classification models or, after timm/, "
        "timm's, {name: {option: value or list}}, or a list of these",
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
    train: tuple[TrainSettings, ...] = (TrainSettings(),)
    configurations: tuple[Configuration, ...] = Field(default=(), exclude=True, repr=False)
    resources: Resources = Resources()
    tracking: Tracking = Tracking()
    cache: CacheSettings = Field(default_factory=CacheSettings)
    compare: Comparing = Comparing()
    search: SearchSettings | None = None
    drawn: tuple[InstanceOf[DrawnColumn], ...] = Field(default=(), exclude=True, repr=False)
    file: Path
    _plugins: dict[Name, Plugin] = PrivateAttr(default_factory=dict)

    def model_post_init(self, _: object) -> None:
        """Remember whose code its names mean."""
        datasets, models, augments = self.dataset, self.model, self.augment
        specs: dict[Kind, Iterable[DatasetSpec | ModelSpec | AugmentSpec]]
        specs = {"dataset": datasets, "model": models, "augment": augments}
        self._plugins = plugins_of((kind, each.name) for kind, found in specs.items() for each in found)

    def check_plugins(self) -> None:
        """Raise UserError if its names mean other code than when it was read: another call may use other plug-ins."""
        check_still_in_use(self.file, self._plugins)

    @field_validator("train", mode="before")
    @classmethod
    def _one_is_all(cls, train: object) -> object:
        return (train,) if isinstance(train, TrainSettings | dict) else train

    @property
    def grid(self) -> Sequence[Configuration]:
        """What is trained, or stands for it, the augmentation changing fastest, then the training."""
        lists = (self.dataset, self.model, self.train, self.augment)
        return self.configurations or [
            Configuration(dataset, model, augment, train) for dataset, model, train, augment in product(*lists)
        ]

    @property
    def drawn_settings(self) -> tuple[str, ...]:
        """The settings that a search draws, as `Cell.settings` has them."""
        axes = (axis for column in self.drawn for branch in column.branches for axis in branch.axes)
        return tuple(dict.fromkeys(axis for axis in axes if axis.startswith(TRAIN)))

    def place_of(self, spec: DatasetSpec) -> str:
        """Return where a data set stands, as messages begin; by its label, since one entry may stand for several."""
        return f"{self.file}: dataset = {spec.label}"

    @property
    def tracked_in(self) -> str:
        """The name of the MLflow experiment that takes the runs."""
        return self.tracking.experiment or self.name
