"""What an experiment file says, typed and frozen; `orchestrator.experiment.load` reads it.

The description of a field is what a user is told is allowed there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, InstanceOf, PrivateAttr, field_validator

from orchestrator.credentials import NO_CREDENTIALS, has_password
from orchestrator.credentials import PLACES as SECRET_PLACES
from orchestrator.data import Cache, DataDir, FetchedDir, default_cache_dir
from orchestrator.environment import CACHE_DIR, DATA_DIR, TRACKING_URI
from orchestrator.experiment.augment_spec import AugmentSpec
from orchestrator.experiment.branch import TRAIN, DrawnColumn
from orchestrator.experiment.code_spec import Name, check_still_in_use, plugins_of
from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.experiment.field_types import (
    PLACES,
    TEXT_PATTERN,
    AbsolutePath,
    Count,
    Frozen,
    Place,
    Real,
    Text,
    absolute,
    is_address,
    refuse,
)
from orchestrator.experiment.model_spec import ModelSpec
from orchestrator.experiment.problems import read_variable
from orchestrator.experiment.resources import Resources
from orchestrator.experiment.search_settings import SearchSettings
from orchestrator.experiment.train_settings import TrainSettings
from orchestrator.plugins import Kind, Plugin
from orchestrator.storage import Storage, storage_at
from orchestrator.uris import is_sqlite

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
            raise refuse(NO_CREDENTIALS, f"{SECRET_PLACES} Or leave the whole address to {TRACKING_URI}.")
        return uri


class CacheSettings(Frozen):
    """Where decoded images are kept, on each machine."""

    dir: AbsolutePath = Field(
        title="where decoded images lie, on each machine",
        default_factory=lambda: read_variable(
            CACHE_DIR, os.environ.get(CACHE_DIR) or default_cache_dir(), CacheSettings, "dir"
        ),
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
    data_dir: Place = Field(
        default_factory=lambda: read_variable(
            DATA_DIR, os.environ.get(DATA_DIR) or "data", General, "data_dir", name="any"
        ),
        description=f"the path of the folder that holds the data sets, or an address that begins with {PLACES}",
        title="where the data sets lie",
    )
    storage: Place = Field(
        title="where checkpoints, results and logs lie; a relative path starts at the folder of the command",
        default=Path("runs"),
        validate_default=True,
        description=f"the path of the folder for checkpoints and results, or an address that begins with {PLACES}",
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
        data_dir: An absolute path, or an address; `data_in` is where data sets are looked for.
        storage: Likewise; `kept_in` is what lies there.
        train: All that cells are trained with; one stands for a tuple of it.
        configurations: Which combinations of the lists are trained, where it is not each. Of a search that draws, the
            ends of its ranges: what they all have in common is what all that is drawn has.
        search: None for all combinations to the end.
        drawn: What a search draws from, for each data set and model; empty where nothing is drawn.
        compare_in_file: What the file alone says of comparing, before any ``-o``; None where that is not known.
        confirmed: Of a confirmation, the `Cell.config_key` of the baseline of each column that has one: it was written
            down before anything was trained. None for what is none.
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
    compare_in_file: Comparing | None = Field(default=None, exclude=True, repr=False)
    confirmed: frozenset[str] | None = Field(default=None, exclude=True, repr=False)
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
    def data_in(self) -> DataDir:
        """Where the data sets are looked for: `data_dir`, or what is fetched from there."""
        if isinstance(self.data_dir, Path):
            return self.data_dir
        return FetchedDir(self.data_dir.as_here(), self.cache.dir)

    @property
    def kept_in(self) -> Storage:
        """What lies in `storage`; nothing is asked or made yet."""
        return storage_at(self.storage, copies_in=self.cache.dir)

    @property
    def trained_by(self) -> str:
        """The command that trains and delivers its cells."""
        return "zetasweep run" if self.confirmed is None else "zetasweep confirm"

    @property
    def tracked_in(self) -> str:
        """The name of the MLflow experiment that takes the runs."""
        return self.tracking.experiment or self.name
