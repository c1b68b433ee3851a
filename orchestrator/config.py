"""What an experiment file says, typed and frozen; `orchestrator.experiment_file` reads it.

The description of a field is what a user is told is allowed there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from augment import AUGMENTATIONS, Augmentation, Backend, gamma_min
from orchestrator.data import DATASETS

# The data sets of a machine can lie in one place for all experiments; what a file says goes first.
DATA_DIR_VARIABLE = "ZETASWEEP_DATA"
IMAGE_FOLDER = "image_folder"
VAL_FRACTION = 0.1


def _absolute(value: object) -> Path:
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise ValueError("not a path")
    return Path(os.path.abspath(os.path.expanduser(value)))


def _refuse(allowed: str, remedy: str) -> PydanticCustomError:
    """Return the error of a check that spans fields; `orchestrator.findings` prints both texts."""
    return PydanticCustomError("cross_field", "allowed: {allowed}. {remedy}", {"allowed": allowed, "remedy": remedy})


# Strict: `epochs: true` and `epochs: "5"` are mistakes and not 1 and 5.
_Int = Annotated[int, Field(strict=True)]
_Float = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_Bool = Annotated[bool, Field(strict=True)]
_Text = Annotated[str, Field(min_length=1)]
_Count = Annotated[int, Field(strict=True, ge=1)]
_AbsolutePath = Annotated[Path, BeforeValidator(_absolute)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TrainSettings(_Frozen):
    """How every cell of an experiment is trained.

    Attributes:
        momentum: None where the optimizer has none (AdamW).
        milestones: Epochs after which ``multistep`` multiplies the learning rate by `lr_decay`.
        precision: ``auto`` is bf16 on a GPU and fp32 elsewhere; a cell holds what it stands for.
    """

    epochs: _Count = Field(default=5, description="an integer, at least 1")
    batch_size_per_worker: _Count = Field(default=64, description="an integer, at least 1")
    optimizer: Literal["sgd", "adamw"] = Field(default="sgd", description="sgd or adamw")
    lr: _Float = Field(default=0.1, gt=0, description="a finite number above 0")
    momentum: _Float | None = Field(default=0.9, ge=0, lt=1, description="a number from 0 to below 1")
    weight_decay: _Float = Field(default=5e-4, ge=0, description="a finite number, at least 0")
    schedule: Literal["cosine", "multistep"] = Field(default="cosine", description="cosine or multistep")
    warmup_epochs: _Int = Field(default=0, ge=0, description="an integer from 0 to train.epochs")
    milestones: tuple[_Count, ...] = Field(
        default=(), validate_default=True, description="a list of rising epochs, each at least 1 and below train.epochs"
    )
    lr_decay: _Float = Field(default=0.1, gt=0, le=1, description="a number above 0, at most 1")
    clip_grad_norm: _Float | None = Field(
        default=None, gt=0, description="a finite number above 0, or null for no clipping"
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(default="auto", description="auto, fp32 or bf16")

    @field_validator("momentum")
    @classmethod
    def _sgd_has_momentum(cls, momentum: float | None, info: ValidationInfo) -> float | None:
        if momentum is None and info.data.get("optimizer") == "sgd":
            raise _refuse("a number from 0 to below 1", "Write 0 for SGD without momentum.")
        return momentum

    @field_validator("warmup_epochs")
    @classmethod
    def _warmup_ends(cls, warmup_epochs: int, info: ValidationInfo) -> int:
        epochs = info.data.get("epochs", warmup_epochs)
        if warmup_epochs > epochs:
            raise _refuse(f"0 to train.epochs={epochs}", "Shorten the warm-up or raise train.epochs.")
        return warmup_epochs

    @field_validator("milestones")
    @classmethod
    def _milestones_are_reached(cls, milestones: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        if info.data.get("schedule") == "multistep" and not milestones:
            raise _refuse("at least one epoch with train.schedule=multistep", "List the epochs or use cosine.")
        if list(milestones) != sorted(set(milestones)):
            raise _refuse("rising epochs, each once", "Sort the list and remove repetitions.")
        epochs = info.data.get("epochs")
        if milestones and epochs is not None and milestones[-1] >= epochs:
            raise _refuse(f"epochs below train.epochs={epochs}", "Lower the last milestone or raise train.epochs.")
        return milestones


class Resources(_Frozen):
    """What one cell occupies and how many cells train at once; only `workers` changes a result."""

    workers: _Count = Field(default=1, description="an integer, at least 1")
    cpus_per_worker: _Float = Field(
        default=1.0,
        ge=0.01,
        description="an integer, at least 1; with one worker also a fraction of a CPU, at least 0.01",
    )
    gpus_per_worker: _Float = Field(
        default=0.0, ge=0, description="an integer, at least 0; with one worker also a fraction of a GPU"
    )
    slots: Literal["auto"] | _Count = Field(default="auto", description="auto, or an integer, at least 1")
    backend: Backend = Field(
        default="auto", description="what mixes the batches: auto, torch, or triton, which needs GPUs"
    )

    @field_validator("cpus_per_worker", "gpus_per_worker")
    @classmethod
    def _whole_or_one_share(cls, value: float, info: ValidationInfo) -> float:
        # Two NCCL ranks cannot share a GPU, and Ray places whole units only above 1.
        if value > 1 and not value.is_integer():
            raise _refuse("an integer, or with one worker a fraction below 1", "Round it.")
        workers = info.data.get("workers", 1)
        if workers > 1 and not value.is_integer():
            raise _refuse(
                f"an integer with resources.workers={workers}: workers cannot share one",
                "Give each worker a whole one or set resources.workers to 1.",
            )
        return value

    @field_validator("backend")
    @classmethod
    def _triton_has_gpus(cls, backend: Backend, info: ValidationInfo) -> Backend:
        if backend == "triton" and info.data.get("gpus_per_worker") == 0:
            raise _refuse("auto or torch with resources.gpus_per_worker=0", "Give the workers GPUs, or remove it.")
        return backend


class Tracking(_Frozen):
    """Where MLflow keeps the runs; None means inside `storage`, under the name of the experiment."""

    uri: _Text | None = Field(default=None, description="an MLflow tracking URI, or null for sqlite in storage")
    experiment: _Text | None = Field(default=None, description="a name, or null for the name of the experiment")

    @field_validator("uri")
    @classmethod
    def _absolute_database(cls, uri: str | None) -> str | None:
        if uri is not None and uri.startswith("sqlite:") and not uri.startswith("sqlite:////"):
            # Another folder would be another, empty store: everything would look missing.
            raise _refuse("a SQLite file with an absolute path", "Write sqlite:////PATH, with four slashes.")
        return uri


def _inside(folder: str) -> str:
    path = PurePosixPath(folder)
    if path.is_absolute() or ".." in path.parts:
        raise _refuse("a path below data_dir, relative and without ..", "Move the images or set data_dir.")
    return str(path)


class DatasetSpec(_Frozen):
    """A data set and what is done to it; the registry's defaults are filled in."""

    name: str = Field(description="the name of a data set")
    folder: Annotated[_Text, AfterValidator(_inside)] | None = Field(
        default=None, validate_default=True, description="a path below data_dir, for image_folder only"
    )
    image_size: _Count | None = Field(default=None, description="the side in pixels to resize to; null to keep it")
    val_fraction: _Float = Field(default=VAL_FRACTION, gt=0, lt=1, description="a number above 0 and below 1")
    num_train: _Count | None = Field(default=None, description="an integer, at least 1, or null for all images")
    crop_padding: _Int = Field(ge=0, description="an integer, at least 0")
    hflip: _Bool = Field(description="true or false")

    @model_validator(mode="before")
    @classmethod
    def _fill_defaults(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("name"), str) or data["name"] not in DATASETS:
            return data
        info = DATASETS[data["name"]]
        return {"crop_padding": info.crop_padding, "hflip": info.hflip, **data}

    @field_validator("folder")
    @classmethod
    def _folder_of_images(cls, folder: str | None, info: ValidationInfo) -> str | None:
        name = info.data.get("name")
        if name == IMAGE_FOLDER and folder is None:
            raise _refuse("the folder, below data_dir, that holds train/ and test/", "Add the option folder.")
        if name != IMAGE_FOLDER and folder is not None:
            raise _refuse("for image_folder only", f"Remove it: {name} lies in its own folder below data_dir.")
        return folder

    def load_options(self) -> dict[str, Any]:
        """What `orchestrator.data.load_dataset` needs beside the name."""
        return self.model_dump(include={"folder", "image_size", "val_fraction", "num_train"})

    @property
    def label(self) -> str:
        """The name with the options that differ from the defaults, e.g. ``cifar10(num_train=10000)``."""
        info = DATASETS.get(self.name)
        usual = {"val_fraction": VAL_FRACTION}
        if info is not None:
            usual |= {"crop_padding": info.crop_padding, "hflip": info.hflip}
        options = self.model_dump(exclude={"name"}, exclude_none=True)
        return _call(self.name, {option: value for option, value in options.items() if value != usual.get(option)})


class AugmentSpec(_Frozen):
    """An augmentation with the value of each of its parameters."""

    name: str
    params: dict[str, int | float] = Field(default_factory=dict)

    def __hash__(self) -> int:
        return hash((self.name, frozenset(self.params.items())))

    def build(self, *, backend: Backend = "auto") -> Augmentation:
        """Return the augmentation.

        Args:
            backend: What is to do its arithmetic.

        Raises:
            KeyError: There is none of this name.
            ValueError: A parameter is out of range.
        """
        make: Callable[..., Augmentation] = AUGMENTATIONS[self.name]
        return make(**self.params, backend=backend)

    @property
    def is_below_gamma_min(self) -> bool | None:
        """Whether a γ is so small that the first sample does not outweigh the others; None where there is no γ."""
        gamma = self.params.get("gamma", self.params.get("gamma_low"))
        return None if gamma is None else gamma < gamma_min(int(self.params.get("num_mixed", 2)))

    @property
    def label(self) -> str:
        """E.g. ``zeta_mixup(gamma=2.8, num_mixed=4)``."""
        return _call(self.name, self.params)


def _call(name: str, options: dict[str, Any]) -> str:
    return f"{name}({', '.join(f'{key}={options[key]}' for key in sorted(options))})" if options else name


class General(_Frozen):
    """The entries of an experiment file that are neither swept nor sections of their own."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        description="1 to 100 letters, digits, dots, underscores and hyphens, the first a letter or digit",
    )
    data_dir: _AbsolutePath = Field(
        default_factory=lambda: Path(os.environ.get(DATA_DIR_VARIABLE) or "data"),
        validate_default=True,
        description="the path of the folder that holds the data sets",
    )
    storage: _AbsolutePath = Field(
        default=Path("runs"), validate_default=True, description="the path of the folder for checkpoints and results"
    )


class Experiment(General):
    """A whole experiment file, checked: the lists are what is swept, in the order of the file.

    Attributes:
        data_dir: Absolute.
        storage: Absolute.
        file: Where it was read from.
    """

    dataset: tuple[DatasetSpec, ...]
    model: tuple[str, ...]
    augment: tuple[AugmentSpec, ...]
    seed: tuple[int, ...] = (0,)
    train: TrainSettings = TrainSettings()
    resources: Resources = Resources()
    tracking: Tracking = Tracking()
    file: Path
