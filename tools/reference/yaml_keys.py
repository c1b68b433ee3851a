"""The page of the keys of an experiment file."""

from __future__ import annotations

from dataclasses import MISSING, Field
from typing import Any

from pydantic import BaseModel

from augment import AUGMENTATIONS, SINGLE_IMAGES, is_unsaid, parameters
from orchestrator.column_names import SETTING
from orchestrator.data import DATASETS
from orchestrator.experiment.dataset_spec import SHOWN_AS, DatasetSpec, written
from orchestrator.experiment.model_spec import OWN_FIELDS, ModelSpec
from orchestrator.experiment.resources import Resources
from orchestrator.experiment.search_settings import SearchSettings
from orchestrator.experiment.settings import (
    CacheSettings,
    Comparing,
    Experiment,
    General,
    Tracking,
)
from orchestrator.experiment.train_settings import TrainSettings
from orchestrator.guide import meaning, parameter_range, summary
from tools.reference.cell_key import in_key
from tools.reference.fields import default, kind, properties
from tools.reference.markdown import paragraph, sentence, table

SECTIONS: dict[str, type[BaseModel]] = {
    "train": TrainSettings,
    "search": SearchSettings,
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
`lr_decay` without `schedule: multistep`, `warmup_epochs` with `schedule: onecycle`, `momentum`, `nesterov` and `betas`
with an optimizer that has none, `no_decay_norm_bias` without decay, `mixing_off_epochs` where nothing is mixed,
`padding_mode` without padding; `precision: auto` is there as what it stands for. An option that is null is left out of
the key.
"""

_TRAIN = (
    "```yaml\nmodel: [resnet18, {resnet50: {train: {epochs: 100}}}]\ntrain: {epochs: 20, lr: [0.05, 0.1]}\n```\n\n"
    + paragraph(
        "A list of values is swept, of `milestones` a list of lists. `train` inside an entry of `dataset`, `model` or "
        "`augment` holds for its cells, and goes before this section and `-o train.KEY`. Entries that meet in a cell "
        "cannot say different things of one key. Each cell stands once: momenta beside `optimizer: [sgd, adamw]` make "
        "one cell of AdamW, and a value that makes no cell of its own is refused."
    )
)
_SEARCH = (
    "```yaml\naugment: [erm, {mixup: {alpha: {uniform: [0.1, 2.0]}}}]\n"
    "search: {sampler: random, num_samples: 24, race: ladder, keep: [erm]}\n```\n\n"
    + paragraph(
        "null, or no such section, trains all combinations of the lists. With another sampler than `grid`, a range may "
        "stand in `augment` and `train` where a number or a list of numbers may: `{uniform: [LOW, HIGH]}`, "
        "`loguniform`, and for whole numbers, of which HIGH is none, `randint` and `lograndint`. What is drawn has "
        "three significant digits. [Search](../search.md) says what it does."
    )
)
_MORE = {"train": _TRAIN, "search": _SEARCH}


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
    page += _fields(DatasetSpec, ["dataset"]) + _datasets() + _models() + _augmentations()
    for name, model in SECTIONS.items():
        page += f"## `{name}`\n\n" + paragraph(summary(model)) + _MORE.get(name, "")
        page += _fields(model, [name])
    return page.rstrip() + "\n"


_OWN_CODE = {"model": "network", "augment": "augmentation", "dataset": "data set"}


def param_names() -> dict[str, str]:
    """Return the names of MLflow's params of a cell, and what each is."""
    names = {
        "dataset": "the name of the data set",
        "model": "the name of the network",
        "model.OPTION": "each option of the network that is not null; `weights` of a file is `sha256:` and its hash",
        "augment": "the name of the augmentation",
        "seed": "the seed",
        SETTING: "all but seed and fold, to group by, e.g. `erm · digits · convnet · train 3fa2`; the digits are of a "
        "hash of `train` and `workers`",
        "resources.workers": _title(Resources, "workers"),
    }
    for augmentation, make in AUGMENTATIONS.items():
        for parameter in parameters(make):
            names[parameter] = f"{names[parameter]}, {augmentation}" if parameter in names else f"of {augmentation}"
    names["probability"] = "that a batch is mixed"
    names["combine"] = "what is done to each image before mixing"
    for single, make_single in SINGLE_IMAGES.items():
        names |= {f"combine.{parameter}": f"of {single}" for parameter in parameters(make_single)}
    options = [name for name in DatasetSpec.model_fields if name not in ("name", SHOWN_AS)]
    names |= {f"dataset.{name}": _title(DatasetSpec, name) for name in options}
    names |= {f"train.{name}": _title(TrainSettings, name) for name in TrainSettings.model_fields}
    return names | {f"code.{kind}": f"the code of the {word}'s plug-in" for kind, word in _OWN_CODE.items()}


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


def _models() -> str:
    text = "## Options of a model\n\n" + paragraph(
        "`model: {NAME: {option: value}}`; a list of values is swept. These any model has, beside its builder's. "
        "What they do: [pretrained networks](../pretrained.md)."
    )
    for name in OWN_FIELDS:
        schema = properties(ModelSpec)[name]
        facts = [kind(schema), default(name, schema, required=False), "in the key"]
        text += f"### `model.NAME.{name}`\n\n" + paragraph(
            f"{sentence(_title(ModelSpec, name))} {sentence(', '.join(facts))} Allowed: {schema['description']}."
        )
    return text


def _augmentations() -> str:
    text = "## Augmentations\n\n" + paragraph(
        "`augment: {NAME: {parameter: value}}`; a list of values is swept. All parameters are in the key. What each "
        "does: [augmentations](../augmentations.md)."
    )
    text += paragraph(
        "Beside the parameters of each: `probability`, above 0 and at most 1, that a batch is mixed; and `combine`, "
        "what is done to each image before, by its name or with its parameters, `none` for nothing. Lists are swept. "
        "Both are in the key where they say something."
    )
    text += paragraph(
        "In place of any number, of all these, may stand a schedule: `{linear: [FIRST, LAST]}`, `{cosine: [FIRST, "
        "LAST]}` or `{steps: {0: NUMBER, EPOCHS: NUMBER}}`. It says the number of each epoch, and is in the key as it "
        "is written. How: [augmentations](../augmentations.md#from-epoch-to-epoch)."
    )
    for name, make in AUGMENTATIONS.items():
        text += f"### `augment.{name}`\n\n" + paragraph(summary(make)) + _parameters(f"augment.{name}", make)
    for name, single in SINGLE_IMAGES.items():
        key = f"augment.NAME.combine.{name}"
        text += f"### `{key}`\n\n" + paragraph(summary(single)) + _parameters(key, single)
    return text


def _parameters(key: str, make: type[Any]) -> str:
    """Return the entries of the parameters of an augmentation."""
    text = ""
    for parameter, field in parameters(make).items():
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        value = "required" if field.default is MISSING else f"default `{default}`"
        allowed = parameter_range(make, parameter) + (NUM_MIXED if parameter == "num_mixed" else "")
        said = f"{sentence(meaning(make, parameter))} {sentence(value)} {_key_words(field)}"
        text += f"#### `{key}.{parameter}`\n\n" + paragraph(f"{said} Allowed: {allowed}, or a list.")
    return text


def _key_words(field: Field[Any]) -> str:
    return f"In the key unless it is `{field.default}`." if is_unsaid(field, field.default) else "In the key."
