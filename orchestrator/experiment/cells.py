"""A cell is one fully resolved training; an experiment is a grid of them."""

from __future__ import annotations

import hashlib
import json
from itertools import product
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from orchestrator.experiment.augment_spec import AugmentSpec
from orchestrator.experiment.dataset_spec import SHOWN_AS, DatasetSpec
from orchestrator.experiment.settings import Experiment, Resources, TrainSettings

# Goes into every key: raise it when a cell would give other numbers than before, lest old results are taken for new.
KEY_VERSION = 3
_KEY_DIGITS = 16


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
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: DatasetSpec
    model: str
    augment: AugmentSpec
    seed: int
    train: TrainSettings
    workers: int

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
    def replicate(self) -> Replicate:
        """What tells it from the other cells of its configuration."""
        return Replicate(self.seed, self.dataset.fold)

    @property
    def label(self) -> str:
        """One line for people."""
        return f"{self.dataset.label} {self.model} {self.augment.label} {self.replicate.label}"

    def _digest(self, *, seed_and_fold: bool) -> str:
        content = self.model_dump(mode="json", exclude_none=True)
        content["dataset"].pop(SHOWN_AS, None)  # another name is the same training
        if not seed_and_fold:
            del content["seed"]
            content["dataset"].pop("fold", None)
        return _digest(content)

    def params(self) -> dict[str, str]:
        """Return flat parameters under the names of the experiment file; those that do not apply are left out.

        The same for equal keys: MLflow keeps a parameter for ever, while a cell may be continued under another name.
        """
        dataset = self.dataset.model_dump(exclude={"name", SHOWN_AS}, exclude_none=True)
        train = self.train.model_dump(exclude_none=True)
        if self.train.schedule != "multistep":
            del train["milestones"], train["lr_decay"]
        values: dict[str, Any] = {"dataset": self.dataset.name, "model": self.model, "augment": self.augment.name}
        values |= self.augment.params
        values |= {"seed": self.seed, "resources.workers": self.workers}
        values |= {f"dataset.{option}": value for option, value in dataset.items()}
        values |= {f"train.{setting}": value for setting, value in train.items()}
        return {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}


def expand(experiment: Experiment) -> list[Cell]:
    """Return every cell of `experiment`, the augmentation changing fastest.

    So an interrupted sweep has compared all augmentations on its first seeds, instead of having finished some of them.
    """
    train = _resolved(experiment.train, experiment.resources)
    grid = product(experiment.dataset, experiment.model, experiment.seed, experiment.augment)
    return [
        Cell(
            dataset=dataset,
            model=model,
            augment=augment,
            seed=seed,
            train=train,
            workers=experiment.resources.workers,
        )
        for dataset, model, seed, augment in grid
    ]


def _resolved(train: TrainSettings, resources: Resources) -> TrainSettings:
    """Return `train` with ``auto`` resolved and ignored values made neutral: equal trainings have equal keys."""
    changes: dict[str, Any] = {}
    if train.precision == "auto":
        changes["precision"] = "bf16" if resources.gpus_per_worker > 0 else "fp32"
    if train.best_by == "error":
        changes["best_by"] = None
    if train.optimizer == "adamw":
        changes["momentum"] = None
    if train.schedule == "cosine":
        changes |= {"milestones": (), "lr_decay": 1.0}
    return train.model_copy(update=changes)


def _digest(content: dict[str, Any]) -> str:
    canonical = json.dumps({"version": KEY_VERSION, **content}, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:_KEY_DIGITS]
