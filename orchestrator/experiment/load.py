"""Reads an experiment file into an `Experiment`, or says everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from orchestrator.credentials import NO_CREDENTIALS, PLACES, take_secrets
from orchestrator.experiment.augments import read_augments
from orchestrator.experiment.axes import read_datasets, read_models, read_seeds
from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.experiment.overrides import Key, apply_overrides
from orchestrator.experiment.problems import NOT_GIVEN, Problems
from orchestrator.experiment.settings import (
    CacheSettings,
    Comparing,
    Experiment,
    General,
    Resources,
    Tracking,
    TrainSettings,
)
from orchestrator.experiment.yaml_reader import read_yaml

_KEYS = [name for name in Experiment.model_fields if name != "file"]
_Section = TypeVar("_Section", bound=BaseModel)


def load_experiment(path: Path, overrides: Sequence[str] = ()) -> Experiment:
    """Return the experiment in `path`.

    Args:
        path: A YAML file; see ``experiments/``.
        overrides: ``key=value`` each, as after ``-o`` on the command line; the last one for a key wins.

    Raises:
        ConfigError: Anything is wrong with file or overrides; holds all of it. Names are checked against the
            registries, values against their ranges; neither data nor cluster is looked at.
    """
    path = Path(path)
    problems = Problems(str(path))
    data = apply_overrides(read_yaml(path, problems), overrides, problems, written_out=_with_dataset_name)
    for key in take_secrets(data):
        problems.add(key, NOT_GIVEN, allowed=NO_CREDENTIALS, remedy=PLACES)
    for key in [key for key in data if key not in _KEYS]:
        problems.add_unknown(str(key), data[key], word=str(key), known=_KEYS, what="one of the keys")
    # Each part on its own: a mistake in one hides none in another.
    general = _section(problems, General, {key: data[key] for key in General.model_fields if key in data})
    parts: dict[str, Any] = {
        "train": _section(problems, TrainSettings, data.get("train"), key="train"),
        "resources": _section(problems, Resources, data.get("resources"), key="resources"),
        "tracking": _section(problems, Tracking, data.get("tracking"), key="tracking"),
        "cache": _section(problems, CacheSettings, data.get("cache"), key="cache"),
        "compare": _section(problems, Comparing, data.get("compare"), key="compare"),
        "dataset": read_datasets(problems, data.get("dataset")),
        "model": read_models(problems, data.get("model")),
        "augment": read_augments(problems, data.get("augment"), batch_size=_batch_size(data.get("train"))),
        "seed": read_seeds(problems, data.get("seed", 0)),
    }
    problems.raise_if_any()
    assert general is not None, "a section that could not be read has left a problem"
    return Experiment(**general.model_dump(), **parts, file=path)


def _with_dataset_name(data: dict[str, Any], key: Key) -> Key:
    """Write ``dataset.image_size`` out as ``dataset.NAME.image_size``, where there is one data set."""
    dataset = data.get("dataset")
    place: Key = ["dataset"]
    if isinstance(dataset, list) and len(dataset) == 1:
        dataset, place = dataset[0], ["dataset", 0]
    names = [dataset] if isinstance(dataset, str) else list(dataset) if isinstance(dataset, dict) else []
    if key[0] == "dataset" and len(key) > 1 and key[1] in DatasetSpec.model_fields and len(names) == 1:
        return [*place, names[0], *key[1:]]
    return key


def _section(problems: Problems, model: type[_Section], raw: object, *, key: str = "") -> _Section | None:
    """Return `raw` as a `model`, or None with the problems noted; an empty section means its defaults."""
    if not isinstance(raw, dict | None):
        allowed = f"a mapping with the keys {', '.join(model.model_fields)}"
        problems.add(key, raw, allowed=allowed, remedy=f"Write {key}: {{key: value}}.")
        return None
    try:
        return model.model_validate(raw or {})
    except ValidationError as error:
        problems.add_validation(error, model, prefix=key)
        return None


def _batch_size(raw_train: object) -> int | None:
    """Return the batch size even of a ``train`` section that is invalid elsewhere; None if it is invalid itself."""
    name = "batch_size_per_worker"
    given = {name: raw_train[name]} if isinstance(raw_train, dict) and name in raw_train else {}
    try:
        return TrainSettings.model_validate(given).batch_size_per_worker
    except ValidationError:
        return None
