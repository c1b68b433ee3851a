"""A cell is one fully resolved training; an experiment is a grid of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import groupby, product
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.errors import UserError
from orchestrator.experiment.arithmetic_spec import ArithmeticSpec
from orchestrator.experiment.augment_spec import OF_IMAGES, AugmentSpec
from orchestrator.experiment.code_spec import CodeSpec, code_in_use
from orchestrator.experiment.dataset_spec import SHOWN_AS, DatasetSpec
from orchestrator.experiment.model_spec import WEIGHTS_FILE, ModelSpec
from orchestrator.experiment.optimizer_info import OPTIMIZERS
from orchestrator.experiment.resources import Resources
from orchestrator.experiment.settings import Configuration, Experiment
from orchestrator.experiment.train_settings import TrainSettings
from orchestrator.plugins import Kind

# Goes into every key: raise it when a cell would give other numbers than before, lest old results are taken for new.
KEY_VERSION = 3
_KEY_DIGITS = 16
_OFF_BY_ZERO = ("nesterov", "no_decay_norm_bias", "label_smoothing", "mixing_off_epochs")


class Replicate(NamedTuple):
    """One of the cells of a configuration: they differ in nothing else.

    Attributes:
        seed: Of the initial weights and of all that is drawn.
        fold: The one that is tested on; None where the data set is not cut into folds.
    """

    seed: int
    fold: int | None = None

    @property
    def label(self) -> str:
        """``seed=0`` or ``seed=0 fold=1``."""
        return f"seed={self.seed}" + ("" if self.fold is None else f" fold={self.fold}")

    @property
    def short(self) -> str:
        """``0`` or ``0/1``: the seed, and the fold if there is one."""
        return f"{self.seed}" + ("" if self.fold is None else f"/{self.fold}")


class Cell(BaseModel):
    """Everything that determines the result of one training, and nothing else.

    Attributes:
        train: Resolved by `expand`: precision is ``fp32`` or ``bf16``; what optimizer or schedule ignore is neutral.
        workers: They mix inside their own batches and together form the global batch.
        apart: For people: what tells it from others of its sweep beside the other fields, e.g. ``lr=0.05``.
        code: Of the plug-ins that its parts come from; None if none does.
        arithmetic: What of it is not as usual; None if all is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: DatasetSpec
    model: ModelSpec
    augment: AugmentSpec
    seed: int
    train: TrainSettings
    workers: int
    apart: tuple[str, ...] = Field(default=(), exclude=True)
    code: CodeSpec | None = None
    arithmetic: ArithmeticSpec | None = None

    @property
    def key(self) -> str:
        """16 hexadecimal digits, the same for the same training in whichever experiment it stands.

        What is None is left out: a new option that is off changes no key.
        """
        return self._digest(seed_and_fold=True)

    @property
    def config_key(self) -> str:
        """Like `key`, but the same for all replicates of a configuration."""
        return self._digest(seed_and_fold=False)

    @property
    def mixed_epochs(self) -> int:
        """In how many epochs, from the first on, it mixes: but for ``train.mixing_off_epochs`` in all."""
        return self.train.epochs - (self.train.mixing_off_epochs or 0)

    def augment_in(self, epoch: int) -> AugmentSpec:
        """Return the augmentation as it is in an epoch, counted from 1: schedules run over all epochs of a training."""
        return self.augment.at(epoch, of=self.train.epochs)

    def scheduled_in(self, epoch: int) -> dict[str, float]:
        """Return what changes from epoch to epoch, as it is in one; what has no effect where nothing is mixed is not
        there then.
        """
        mixes, schedules = epoch <= self.mixed_epochs, self.augment.schedules
        found = {name: each for name, each in schedules.items() if mixes or name.startswith(OF_IMAGES)}
        return {name: float(each.at(epoch, of=self.train.epochs)) for name, each in found.items()}

    @property
    def is_below_gamma_min(self) -> bool | None:
        """Whether in some epoch a γ is so small that the first sample does not outweigh the others; None without γ."""
        epochs = range(1, self.mixed_epochs + 1) if self.augment.schedules else (1,)
        found = {self.augment_in(epoch).is_below_gamma_min for epoch in epochs}
        return None if found == {None} else True in found

    @property
    def key_without_code(self) -> str:
        """Like `key`, but the same whatever code its plug-ins have: the same setting, of another time."""
        return self.key if self.code is None else self.model_copy(update={"code": None}).key

    @property
    def names(self) -> dict[Kind, str]:
        """What its parts are called in the registries."""
        return {"model": self.model.name, "augment": self.augment.name, "dataset": self.dataset.name}

    @property
    def replicate(self) -> Replicate:
        """What tells it from the other cells of its configuration."""
        return Replicate(self.seed, self.dataset.fold)

    @property
    def settings(self) -> dict[str, str]:
        """What it has beside data set, model, augmentation and seed, under the names of the experiment file.

        Together with those, and with `code`, it determines the key: what is None is left out.
        """
        return _settings(self.train, self.workers) | _texts(self._arithmetic_values)

    @property
    def label(self) -> str:
        """One line for people."""
        parts = (self.dataset.label, self.model.label, self.augment.label, *self.apart, self.replicate.label)
        return " ".join(parts)

    @property
    def variant(self) -> str:
        """How it is augmented, and what else is its own, e.g. ``erm, lr=0.05``."""
        return ", ".join((self.augment.label, *self.apart))

    @property
    def setting(self) -> str:
        """What cells have in common that differ in seed or fold alone, and others have not, for people.

        E.g. ``ζ2.8 N4 · digits · convnet · train 3fa2``: how it is trained, and with how many workers, is in four
        digits of a hash, which the cells of a sweep share. The same for equal keys.
        """
        rest = {"train": self.train.model_dump(mode="json", exclude_none=True), "workers": self.workers}
        rest |= self._arithmetic_values
        dataset = self.dataset.model_copy(update={SHOWN_AS: None}).label
        code = "" if self.code is None else f" · code {self.code.short}"
        return f"{self.augment.short} · {dataset} · {self.model.without_place.label} · train {_digest(rest)[:4]}{code}"

    @property
    def _arithmetic_values(self) -> dict[str, str | bool]:
        return {} if self.arithmetic is None else self.arithmetic.values

    def _digest(self, *, seed_and_fold: bool) -> str:
        content = self.model_dump(mode="json", exclude_none=True)
        content["dataset"].pop(SHOWN_AS, None)  # another name is the same training
        if isinstance(content["model"], dict):
            content["model"].pop(WEIGHTS_FILE, None)  # so is another place
        if not seed_and_fold:
            del content["seed"]
            content["dataset"].pop("fold", None)
        return _digest(content)

    def params(self) -> dict[str, str]:
        """Return `values` as texts: what is none is written as JSON."""
        return _texts(self.values())

    def values(self) -> dict[str, Any]:
        """Return flat values under the names of the experiment file; those that do not apply are left out.

        The same for equal keys: MLflow keeps a parameter for ever, while a cell may be continued under another name.
        """
        dataset = self.dataset.model_dump(exclude={"name", SHOWN_AS}, exclude_none=True)
        train = self.train.model_dump(exclude_none=True)
        if self.train.schedule != "multistep":
            del train["milestones"], train["lr_decay"]
        values: dict[str, Any] = {"dataset": self.dataset.name, "model": self.model.name, "augment": self.augment.name}
        values |= {f"model.{option}": value for option, value in self.model.beside.items()}
        values |= self.augment.values
        values |= {"seed": self.seed, "resources.workers": self.workers, **self._arithmetic_values}
        values |= {f"dataset.{option}": value for option, value in dataset.items()}
        values |= {f"train.{setting}": value for setting, value in train.items()}
        if self.code is not None:
            values |= {f"code.{kind}": code for kind, code in self.code.model_dump(exclude_none=True).items()}
        return values


def expand(experiment: Experiment, configurations: Sequence[Configuration] | None = None) -> list[Cell]:
    """Return every cell of `experiment`, the augmentation changing fastest, then the training, then the seed.

    So an interrupted sweep has compared all augmentations on its first seeds, instead of having finished some of them.

    Args:
        experiment: To be expanded.
        configurations: Those that are known, of a search that draws; those of a data set and model stand together.

    Raises:
        UserError: It is such a search, and they are not given: see `orchestrator.experiment.known_from_start`. Or its
            names mean other code than when it was read.
    """
    experiment.check_plugins()
    if configurations is None and experiment.drawn:
        raise UserError(
            f"{experiment.file}: which configurations there are is known of its search alone",
            remedy="zetasweep.results(file).cells has the cells that it has asked for",
        )
    resources, grid = experiment.resources, experiment.grid if configurations is None else configurations
    trainings = {train: resolved(train, resources) for train in dict.fromkeys(each.train for each in grid)}
    differing, arithmetic = _differing(grid, trainings, resources.workers), resources.arithmetic
    # What is drawn is said also of the first cell, when no other is known.
    differing += [name for name in experiment.drawn_settings if name not in differing]
    return [
        Cell(
            dataset=each.dataset,
            model=each.model,
            augment=each.augment,
            seed=seed,
            train=train,
            workers=resources.workers,
            apart=_apart(train, differing, resources.workers),
            code=code_in_use({"dataset": each.dataset.name, "model": each.model.name, "augment": each.augment.name}),
            arithmetic=arithmetic,
        )
        for _, group in groupby(grid, key=lambda each: (each.dataset, each.model))
        for seed, each in product(experiment.seed, list(group))
        for train in (resolved_for(each.augment, trainings[each.train]),)
    ]


def _differing(
    grid: Sequence[Configuration], trainings: Mapping[TrainSettings, TrainSettings], workers: int
) -> list[str]:
    """Return in which settings the trainings of one data set and model differ anywhere."""
    columns: dict[tuple[DatasetSpec, ModelSpec], dict[TrainSettings, None]] = {}
    for each in grid:
        columns.setdefault((each.dataset, each.model), {})[each.train] = None
    settings = {train: _settings(resolved, workers) for train, resolved in trainings.items()}
    return [
        name
        for name in dict.fromkeys(name for found in settings.values() for name in found)
        if any(len({settings[train].get(name) for train in column}) > 1 for column in columns.values())
    ]


def _apart(train: TrainSettings, differing: Sequence[str], workers: int) -> tuple[str, ...]:
    """Return what a training has of the settings that are not the same in all."""
    found = _settings(train, workers)
    return tuple(f"{name.rpartition('.')[2]}={found[name]}" for name in differing if name in found)


def resolved(train: TrainSettings, resources: Resources) -> TrainSettings:
    """Return `train` with ``auto`` resolved and ignored values made neutral: equal trainings have equal keys."""
    changes: dict[str, Any] = {}
    if train.precision == "auto":
        changes["precision"] = "bf16" if resources.gpus_per_worker > 0 else "fp32"
    if train.best_by == "error":
        changes["best_by"] = None
    optimizer = OPTIMIZERS[train.optimizer]
    if not optimizer.momentum:
        changes["momentum"] = None
    if not optimizer.nesterov:
        changes["nesterov"] = None
    if optimizer.betas is None or train.betas == optimizer.betas:
        changes["betas"] = None
    if train.weight_decay == 0:
        changes["no_decay_norm_bias"] = None
    if train.schedule != "multistep":
        changes |= {"milestones": (), "lr_decay": 1.0}
    if train.schedule == "onecycle":
        changes["warmup_epochs"] = 0
    if train.accumulate == 1:
        changes["accumulate"] = None
    # Off is off, whether it is written as 0, as false or not at all.
    changes |= {name: None for name in _OFF_BY_ZERO if not getattr(train, name)}
    return train.model_copy(update=changes)


def resolved_for(augment: AugmentSpec, train: TrainSettings) -> TrainSettings:
    """Return `train` as it is for cells of `augment`: where nothing is mixed, no end of that is an option."""
    if train.mixing_off_epochs is None or augment.mixes:
        return train
    return train.model_copy(update={"mixing_off_epochs": None})


@lru_cache(maxsize=16_384)
def _settings(train: TrainSettings, workers: int) -> dict[str, str]:
    """Return them once for the thousands of cells that have the same."""
    flat = {f"train.{name}": value for name, value in train.model_dump(mode="json", exclude_none=True).items()}
    flat["resources.workers"] = workers
    return _texts(flat)


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}


def _digest(content: dict[str, Any]) -> str:
    canonical = json.dumps({"version": KEY_VERSION, **content}, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:_KEY_DIGITS]
