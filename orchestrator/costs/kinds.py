"""Which cells take equally long: those of one kind."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from orchestrator.experiment import Cell

# Params of a cell that say nothing of how long a step takes. One that is not here makes a kind of its own: what is
# measured twice is right, what is taken for something else is not. The epochs of `mixing_off_epochs` are counted as
# long as the mixed ones, which take a little longer.
_IDLE = frozenset(
    {
        "setting",  # MLflow's, made of the others
        "seed",
        "gamma",
        "gamma_low",
        "gamma_high",
        "alpha",
        "dataset.fold",
        "model.head_lr",
        "model.weights",
        "train.best_by",
        "train.betas",
        "train.class_weights",
        "train.epochs",
        "train.label_smoothing",
        "train.lr",
        "train.lr_decay",
        "train.milestones",
        "train.mixing_off_epochs",
        "train.momentum",
        "train.nesterov",
        "train.no_decay_norm_bias",
        "train.sampling",
        "train.schedule",
        "train.warmup_epochs",
        "train.weight_decay",
    }
)
_OF_TRAINING = ("dataset", "model", "resources.", "train.", "code.dataset", "code.model")
Params = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Kind:
    """What cells have in common that take equally long on the same machine.

    Attributes:
        training: The params of data set, network, batch and workers, by name.
        augment: Those of the augmentation: what it costs is measured apart.
    """

    training: Params
    augment: Params

    @cached_property
    def training_id(self) -> str:
        """The same for all augmentations: 12 hexadecimal digits."""
        return _digest(self.training)

    @cached_property
    def augment_id(self) -> str:
        """Likewise of the augmentation."""
        return _digest(self.augment)

    @property
    def label(self) -> str:
        """The training for people, e.g. ``cifar10 resnet18, batch 128``; `labels_of` names what else differs."""
        params = dict(self.training)
        workers = int(params.get("resources.workers", "1"))
        batch = params.get("train.batch_size_per_worker", "?")
        return f"{params['dataset']} {params['model']}, batch {batch}" + (f" x {workers}" if workers > 1 else "")


def labels_of(kinds: Iterable[Kind]) -> dict[str, str]:
    """Return what trainings are called, by `Kind.training_id`: those of one label by all that tells them apart."""
    trainings = {kind.training_id: kind for kind in kinds}
    found = {}
    for training_id, kind in trainings.items():
        alike = [dict(other.training) for other in trainings.values() if other.label == kind.label]
        own = dict(kind.training)
        differing = sorted({name for params in alike for name in params if len({each.get(name) for each in alike}) > 1})
        # Of sections and of code, what is said is the last word.
        told = [f"{name.rpartition('.')[2]}={own.get(name, 'default')}" for name in differing]
        found[training_id] = ", ".join([kind.label, *told])
    return found


def kind_of(cell: Cell) -> Kind:
    """Return the kind of a cell."""
    return kind_of_params(cell.params())


def kind_of_params(params: Mapping[str, str]) -> Kind:
    """Return the kind of a cell whose params are known, e.g. from MLflow."""
    told = sorted((name, value) for name, value in params.items() if name not in _IDLE)
    training = tuple(pair for pair in told if pair[0].startswith(_OF_TRAINING))
    return Kind(training, tuple(pair for pair in told if pair not in training))


def _digest(params: Params) -> str:
    return hashlib.sha256(json.dumps(params).encode()).hexdigest()[:12]
