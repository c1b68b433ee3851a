"""The page of the keys of an experiment file."""

from __future__ import annotations

import inspect
import re
from dataclasses import MISSING
from typing import Any

from pydantic import BaseModel

from augment import AUGMENTATIONS, Augmentation, ParameterError, check_parameter, parameters
from orchestrator.data import DATASETS
from orchestrator.experiment.dataset_spec import SHOWN_AS, DatasetSpec, written
from orchestrator.experiment.settings import (
    CacheSettings,
    Comparing,
    Experiment,
    General,
    Resources,
    Tracking,
    TrainSettings,
)
from tools.reference.cell_key import in_key
from tools.reference.fields import default, kind, properties
from tools.reference.markdown import paragraph, sentence, table

SECTIONS: dict[str, type[BaseModel]] = {
    "train": TrainSettings,
    "resources": Resources,
    "tracking": Tracking,
    "cache": CacheSettings,
    "compare": Comparing,
}
NUM_MIXED = "; at most the worker's batch, or `batch` for all of it, which tables show as its number"
SWEPT = ("dataset", "model", "augment", "seed")

_INTRO = """
A cell is trained once: its key is a hash of what determines its result. What is "in the key" makes another cell when it
changes; what is not can change while a sweep goes on. What has no effect is not in the key either: `milestones` and
`lr_decay` with `schedule: cosine`, `momentum` with AdamW, `padding_mode` without padding; `precision: auto` is there as
what it stands for. An option that is null is left out of the key.
"""


def yaml_page() -> str:
    """Return the page of every key."""
    page = "# The experiment file\n\n" + paragraph(_INTRO)
    page += paragraph(
        "[experiment.schema.json](experiment.schema.json) lets an editor complete and check it; a comment "
        "`# yaml-language-server: $schema=PATH` in the file names it. Any key can be overridden: `-o train.epochs=2`."
    )
    page += "## At the top\n\n" + _fields(General, []) + _swept()
    page += "## Options of a data set\n\n" + paragraph(
        "`dataset: {NAME: {option: value}}`; `-o dataset.option=value` where there is one data set."
    )
    page += _fields(DatasetSpec, ["dataset"]) + _datasets() + _augmentations()
    for name, model in SECTIONS.items():
        page += f"## `{name}`\n\n" + paragraph(_summary(model)) + _fields(model, [name])
    return page.rstrip() + "\n"


def param_names() -> dict[str, str]:
    """Return the names of MLflow's params of a cell, and what each is."""
    names = {
        "dataset": "the name of the data set",
        "model": "the name of the network",
        "augment": "the name of the augmentation",
        "seed": "the seed",
        "resources.workers": _title(Resources, "workers"),
    }
    for augmentation, make in AUGMENTATIONS.items():
        for parameter in parameters(make):
            names[parameter] = f"{names[parameter]}, {augmentation}" if parameter in names else f"of {augmentation}"
    options = [name for name in DatasetSpec.model_fields if name not in ("name", SHOWN_AS)]
    names |= {f"dataset.{name}": _title(DatasetSpec, name) for name in options}
    return names | {f"train.{name}": _title(TrainSettings, name) for name in TrainSettings.model_fields}


def parameter_range(make: type[Augmentation], name: str) -> str:
    """Return which values a parameter of an augmentation takes, as it says itself when it refuses one."""
    try:
        check_parameter(make, name, float("nan"))
    except ParameterError as error:
        return error.allowed
    raise AssertionError(f"{name} of {make.__name__} takes what is no number")


def _title(model: type[BaseModel], name: str) -> str:
    title = model.model_fields[name].title
    assert title is not None, f"{model.__name__}.{name} says with title= what it is"
    return title


def _fields(model: type[BaseModel], path: list[str]) -> str:
    """Return the entries of the fields of a section; `path` leads to it."""
    text = ""
    required = model.model_json_schema().get("required", [])
    for name, schema in properties(model).items():
        if path == ["dataset"] and name == "name":
            continue
        key = written(name) if path == ["dataset"] else name
        key = ".".join([*path[:1], *(["NAME"] if path[:1] == ["dataset"] else []), *path[1:], key])
        facts = [kind(schema), default(key, schema, required=name in required), in_key([*path, name], schema)]
        text += f"### `{key}`\n\n" + paragraph(
            f"{sentence(_title(model, name))} {sentence(', '.join(facts))} Allowed: {schema['description']}."
        )
        nested = _section_of(model, name)
        text += _fields(nested, [*path, name]) if nested else ""
    return text


def _section_of(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    annotation = model.model_fields[name].annotation
    kinds = getattr(annotation, "__args__", (annotation,))
    return next((entry for entry in kinds if isinstance(entry, type) and issubclass(entry, BaseModel)), None)


def _swept() -> str:
    text = ""
    for name in SWEPT:
        field = Experiment.model_fields[name]
        value = "required" if field.is_required() else f"default `{field.default[0]}`"
        text += f"### `{name}`\n\n" + paragraph(
            f"{sentence(_title(Experiment, name))} {sentence(value)} In the key. Allowed: {field.description}."
        )
    return text


def _datasets() -> str:
    rows = [
        (f"`{name}`", info.description, str(info.crop_padding), str(info.hflip).lower(), info.path_option or "")
        for name, info in DATASETS.items()
    ]
    return "### Data sets\n\n" + table(("name", "what it is", "crop_padding", "hflip", "needs"), rows)


def _augmentations() -> str:
    text = "## Augmentations\n\n" + paragraph(
        "`augment: {NAME: {parameter: value}}`; a list of values is swept. All parameters are in the key. What each "
        "does: [augmentations](../augmentations.md)."
    )
    for name, make in AUGMENTATIONS.items():
        text += f"### `augment.{name}`\n\n" + paragraph(_summary(make))
        for parameter, field in parameters(make).items():
            value = "required" if field.default is MISSING else f"default `{field.default}`"
            allowed = parameter_range(make, parameter) + (NUM_MIXED if parameter == "num_mixed" else "")
            text += f"#### `augment.{name}.{parameter}`\n\n" + paragraph(
                f"{sentence(_meaning(make, parameter))} {sentence(value)} In the key. Allowed: {allowed}, or a list."
            )
    return text


def _summary(documented: type[Any]) -> str:
    """Return the first paragraph of a class's docstring."""
    return (inspect.getdoc(documented) or "").split("\n\n")[0]


def _meaning(make: type[Any], name: str) -> str:
    """Return what the docstring of a class says about an attribute."""
    doc = inspect.getdoc(make) or ""
    told = re.search(rf"^    {name}: (.*(?:\n        .*)*)", doc, re.MULTILINE)
    assert told is not None, f"{make.__name__} says below Attributes: what {name} is"
    return " ".join(told[1].split())
