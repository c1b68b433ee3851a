"""An alternative of a search, some values of which are open, and how it is read once they are settled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from orchestrator.experiment.augment_spec import AugmentSpec
from orchestrator.experiment.augments import read_augments
from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.experiment.model_spec import ModelSpec
from orchestrator.experiment.problems import Problems
from orchestrator.experiment.schedule_checks import check_schedules
from orchestrator.experiment.train_entries import Recipe, read_train
from orchestrator.experiment.train_settings import TrainSettings
from orchestrator.search import Axis, Scalar

TRAIN = "train."


@dataclass(frozen=True, eq=False)
class Branch:
    """An alternative, some values of which are open.

    Attributes:
        file: Of the experiment.
        name: No other of its column has it.
        augment: The augmentation.
        options: What the file says of it, but of its training.
        train: What the file says of its training, by setting.
        axes: What is open: ``gamma``, ``combine.rand_augment.num_ops``, ``train.lr``.
        keys: Where in the file each of them stands.
        meant: What stands for values that are no scalars, by axis and text.
    """

    file: str
    name: str
    augment: str
    options: Mapping[str, Any]
    train: Mapping[str, Any]
    axes: Mapping[str, Axis] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    meant: Mapping[tuple[str, Scalar], Any] = field(default_factory=dict)

    def read(self, values: Mapping[str, Scalar]) -> tuple[AugmentSpec, TrainSettings]:
        """Return what the alternative is with a value for each axis, read like a file that has these values.

        Raises:
            ConfigError: They are not allowed.
        """
        fixed = self._with(values)
        problems = Problems(self.file)
        said = read_train(problems, "train", dict(fixed.train))
        recipe = Recipe(said)
        trainings = recipe.trainings(problems)
        written = {fixed.augment: dict(fixed.options)}
        augments = read_augments(problems, written, batch_sizes=lambda _: recipe.batch_sizes, limit=1)
        problems.raise_if_any()
        (training,), (augment,) = trainings, augments
        spec = augment.spec[training.settings.batch_size_per_worker]
        check_schedules(problems, [(spec, training.settings)], {spec: augment.at})
        problems.raise_if_any()
        return spec, training.settings

    def fixing(self, values: Mapping[str, Scalar], *, called: str = "") -> Branch:
        """Return the branch with some values settled, which are no axes any more."""
        axes = {name: axis for name, axis in self.axes.items() if name not in values}
        return replace(self._with(values), axes=axes, name=self.name + called)

    def _with(self, values: Mapping[str, Scalar]) -> Branch:
        options: Any = self.options
        train = dict(self.train)
        for name, value in values.items():
            raw = self.meant.get((name, value), value)
            if name.startswith(TRAIN):
                train[name.removeprefix(TRAIN)] = raw
            else:
                options = _replaced(options, name.split("."), raw)
        return replace(self, options=options, train=train)


def _replaced(node: Mapping[str, Any], steps: Sequence[str], value: Any) -> dict[str, Any]:
    first, *rest = steps
    return {**node, first: _replaced(node[first], rest, value) if rest else value}


@dataclass(frozen=True, eq=False)
class DrawnColumn:
    """What is drawn for a data set and a model.

    Attributes:
        dataset: The data set.
        model: The model.
        branches: In the order of the file.
    """

    dataset: DatasetSpec
    model: ModelSpec
    branches: tuple[Branch, ...]
