"""Whether a key of an experiment file is in the cells' keys: tried, by changing it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from orchestrator.experiment.augment_spec import AugmentSpec
from orchestrator.experiment.cells import expand
from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.experiment.layout_spec import ColumnNames, SplitNames
from orchestrator.experiment.model_spec import ModelSpec
from orchestrator.experiment.search_settings import Budget, Confirming, SearchSettings
from orchestrator.experiment.settings import CacheSettings, Experiment
from orchestrator.experiment.train_settings import TrainSettings
from orchestrator.experiment.transform_spec import ColorJitterSpec, ResizedCropSpec

# Nothing in it is without effect: milestones count, and padding, crop and jitter are there.
BASE = Experiment(
    name="base",
    file=Path("base.yaml"),
    data_dir=Path("data"),
    cache=CacheSettings(dir=Path("cache")),
    dataset=(
        DatasetSpec.model_validate({"name": "digits"}).model_copy(
            update={
                "crop_padding": 1,
                "random_resized_crop": ResizedCropSpec(),
                "color_jitter": ColorJitterSpec(brightness=0.1),
                "columns": ColumnNames(label="label"),
                "splits": SplitNames(val="val"),
            }
        ),
    ),
    model=(ModelSpec(name="convnet"),),
    augment=(AugmentSpec(name="mixup", params={"alpha": 1.0}),),
    train=(TrainSettings(schedule="multistep", milestones=(1,), precision="fp32"),),
    search=SearchSettings(budget=Budget(epochs=1), confirm=Confirming()),
)
# An optimizer with the keys that SGD lacks.
ADAM = BASE.model_copy(update={"train": (BASE.train[0].model_copy(update={"optimizer": "adam"}),)})
# GPUs have arithmetic of their own.
GPU = BASE.model_copy(update={"resources": BASE.resources.model_copy(update={"gpus_per_worker": 1.0})})
AUTO = BASE.model_copy(update={"train": (BASE.train[0].model_copy(update={"precision": "auto"}),)})


def in_key(path: list[str], schema: dict[str, Any]) -> str:
    """Return in words whether the field at `path` is in the key.

    Args:
        path: The names on the way, e.g. ``["train", "lr"]``.
        schema: The JSON schema of the field.
    """
    if any(_changes_key(base, path, schema) for base in (BASE, ADAM, GPU)):
        return "in the key"
    return "in the key with `train.precision: auto` alone" if _changes_key(AUTO, path, schema) else "not in the key"


def _changes_key(base: Experiment, path: list[str], schema: dict[str, Any]) -> bool:
    return expand(base)[0].key != expand(_changed(base, path, schema))[0].key


def _changed(node: Any, path: list[str], schema: dict[str, Any]) -> Any:
    """Return a copy of the model `node` with another value at `path`; whether it is allowed is not looked at."""
    if isinstance(node, tuple):
        return (_changed(node[0], path, schema),)
    assert isinstance(node, BaseModel)
    name, *rest = path
    value = getattr(node, name)
    return node.model_copy(update={name: _changed(value, rest, schema) if rest else _other(value, schema)})


def _other(value: Any, schema: dict[str, Any]) -> Any:
    """Return another value of the same kind."""
    options = schema.get("anyOf", [schema])
    choices = [choice for option in options for choice in (option.get("enum") or [option.get("const")]) if choice]
    if others := [choice for choice in choices if choice != value]:
        return others[-1]  # not auto, which stands for another
    kinds = {option.get("type") for option in options}
    if isinstance(value, bool) or "boolean" in kinds:
        return not value
    if value is None and "array" in kinds:
        return (0.5, 0.5)
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, Path):
        return value / "other"
    if isinstance(value, tuple):
        return (*value[:-1], 7)
    if isinstance(value, BaseModel):
        return None
    return 7 if kinds & {"integer", "number"} else "other"
