"""The JSON schema of an experiment file, in draft 7: what the language servers of editors know."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import MISSING
from typing import Any

from pydantic import BaseModel

from augment import AUGMENTATIONS, SINGLE_IMAGES, check_parameter, parameters
from augment.contract import PER
from augment.policy_tables import POLICIES
from orchestrator.data import DATASETS
from orchestrator.experiment.dataset_spec import DatasetSpec, written
from orchestrator.experiment.model_spec import OWN_FIELDS, ModelSpec
from orchestrator.experiment.schedule_entry import SCHEDULES
from orchestrator.experiment.settings import Experiment, General
from orchestrator.experiment.train_settings import TrainSettings
from orchestrator.guide import parameter_range
from orchestrator.models.registry import MODELS
from orchestrator.search import RANGES
from tools.reference.fields import properties
from tools.reference.rules import dataset_rules, resources_rules, search_rules, setting_rules, train_rules
from tools.reference.yaml_keys import SECTIONS

Schema = dict[str, Any]

OWN_DEFAULTS = ("crop_padding", "hflip")
# What an entry says of its training, in place of the section.
_TRAIN = {"$ref": "#/definitions/train"}
# What parameters of augmentations are.
_POSITIVE: Schema = {"type": "number", "exclusiveMinimum": 0}
_NUMBERS: dict[str, Schema] = {
    "positive": _POSITIVE,
    "share": {**_POSITIVE, "maximum": 1},
    "fraction": {**_POSITIVE, "exclusiveMaximum": 1},
    "num_mixed": {"anyOf": [{"type": "integer", "minimum": 2}, {"const": "batch"}]},
    "num_ops": {"type": "integer", "minimum": 1},
    "magnitude": {"type": "integer", "minimum": 0, "maximum": 30},
}


def schema_text() -> str:
    """Return the schema as the text of a file."""
    return json.dumps(experiment_schema(), indent=2, ensure_ascii=False) + "\n"


def experiment_schema() -> Schema:
    """Return the schema."""
    definitions = {
        "dataset": _alternatives({name: _dataset(name) for name in DATASETS}, needy=_needs_path),
        "model": _model(),
        "augment": _alternatives(
            {name: _augmentation(make) for name, make in AUGMENTATIONS.items()}, needy=_needs_parameter
        ),
        "combine": _alternatives({"none": _mapping({}), **_singles()}, needy=lambda _: False),
        "number": {kind: _or_scheduled(value) for kind, value in _NUMBERS.items()},
        "range": _ranges(of_integers=False),
        "range_of_integers": _ranges(of_integers=True),
        "seed": {"type": "integer", "minimum": 0, "maximum": 2**32 - 1},
        "options": _option_definitions(),
        "train": {
            **_mapping(
                {
                    name: _or_range(field)
                    for name, field in _swept_fields(TrainSettings, TrainSettings.model_fields).items()
                }
            ),
            "type": ["object", "null"],
            "allOf": setting_rules(),
        },
        "dataset_rules": {"allOf": dataset_rules()},
    }
    swept = {}
    for name in ("dataset", "model", "augment", "seed"):
        field = Experiment.model_fields[name]
        swept[name] = {
            "title": field.title,
            "description": field.description,
            **_one_or_more({"$ref": f"#/definitions/{name}"}),
        }
    sections = {name: {**_mapping(properties(model)), "type": ["object", "null"]} for name, model in SECTIONS.items()}
    sections["train"] = {"$ref": "#/definitions/train"}
    sections["resources"]["allOf"] = resources_rules()
    sections["search"]["allOf"] = search_rules()
    general = properties(General)
    # As a section, it may have nothing in it yet.
    general["names"]["type"] = ["object", "null"]
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "An experiment of zetasweep",
        **_mapping({**general, **swept, **sections}, required=["name", "dataset", "model", "augment"]),
        "allOf": [train_rules()],
        "definitions": definitions,
    }


def _ranges(*, of_integers: bool) -> Schema:
    """Return the schema of a range: {name: [LOW, HIGH]}."""
    kinds = {name: kind for name, kind in RANGES.items() if kind.is_whole or not of_integers}
    ends = {
        name: {
            "type": "array",
            "items": {"type": "integer" if kind.is_whole else "number"}
            | ({"exclusiveMinimum": 0} if kind.is_log else {}),
            "minItems": 2,
            "maxItems": 2,
            "uniqueItems": True,
        }
        for name, kind in kinds.items()
    }
    return {**_mapping(ends), "minProperties": 1, "maxProperties": 1}


def _or_range(schema: Schema, *, of: Schema | None = None) -> Schema:
    """Return the schema of what may be drawn, too, where it, or what it refers to, is a number."""
    options = [*schema["anyOf"]]
    types = {each.get("type") for option in (of or schema)["anyOf"] for each in (option, *option.get("anyOf", ()))}
    if "number" in types:
        options.append({"$ref": "#/definitions/range"})
    elif "integer" in types:
        options.append({"$ref": "#/definitions/range_of_integers"})
    return {**schema, "anyOf": options}


def _one_or_more(entry: Schema) -> Schema:
    """Return the schema of an entry, or of a list of them."""
    return {"anyOf": [entry, {"type": "array", "items": entry, "minItems": 1, "uniqueItems": True}]}


def _mapping(fields: dict[str, Schema], *, required: list[str] | None = None) -> Schema:
    schema: Schema = {
        "type": "object",
        "properties": {name: _draft7(field) for name, field in fields.items()},
        "additionalProperties": False,
    }
    return {**schema, "required": required} if required else schema


def _alternatives(known: dict[str, Schema], *, needy: Callable[[str], bool]) -> Schema:
    """Return the schema of ``NAME`` or ``{NAME: {options}}``; the `needy` cannot stand alone."""
    alone = [name for name in known if not needy(name)]
    return {"anyOf": [{"type": "string", "enum": alone}, {**_mapping(known), "minProperties": 1, "maxProperties": 1}]}


def _model() -> Schema:
    """Return the schema of a name, or of one with its options: those of any network, and its builder's."""
    # timm's have their weights behind a dot.
    name = r"^([a-z0-9_]+|timm/[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)?)$"
    option = _one_or_more({"type": ["string", "number", "boolean", "null"]})
    own = {**_swept_fields(ModelSpec, OWN_FIELDS), "train": _TRAIN}
    options = {"type": ["object", "null"], "properties": own, "additionalProperties": option}
    entry: Schema = {"type": "object", "patternProperties": {name: options}, "additionalProperties": False}
    plain = {"type": "string", "pattern": name, "examples": [*MODELS, "shufflenet_v2_x0_5"]}
    return {"anyOf": [plain, {**entry, "minProperties": 1, "maxProperties": 1}]}


def _swept_fields(model: type[BaseModel], names: Collection[str]) -> dict[str, Schema]:
    """Return the schema of fields whose lists are swept."""
    described = ("title", "description", "default")
    return {
        name: {**_one_or_more({key: value for key, value in field.items() if key not in described})}
        | {key: field[key] for key in described if key in field}
        for name, field in properties(model).items()
        if name in names
    }


def _option_definitions() -> dict[str, Schema]:
    # They have the data set's defaults, and a reference stands alone.
    return {name: _draft7(field) for name, field in _options().items() if name not in OWN_DEFAULTS}


def _options() -> dict[str, Schema]:
    """Return the schema of every option of a data set, by what an experiment file calls it."""
    fields = {written(name): field for name, field in properties(DatasetSpec).items() if name != "name"}
    fold = fields["fold"]
    described = {key: fold[key] for key in ("title", "description", "default")}
    return {**fields, "fold": {**_one_or_more({"anyOf": fold["anyOf"]}), **described}}


def _dataset(name: str) -> Schema:
    info, fields = DATASETS[name], _options()
    options: dict[str, Schema] = {}
    for option in DatasetSpec.options_of(name):
        own = {**fields[option], "default": getattr(info, option, None)}
        options[option] = own if option in OWN_DEFAULTS else {"$ref": f"#/definitions/options/{option}"}
    options["train"] = _TRAIN
    needed: list[str] | None = None
    if info.path_option:
        needed = [info.path_option]
        # Not null, as elsewhere.
        options[info.path_option] = {"allOf": [options[info.path_option], {"type": "string"}]}
    rules = {"allOf": [{"$ref": "#/definitions/dataset_rules"}]}
    return {**_mapping(options, required=needed), **_empty_too(needed), **rules, "description": info.description}


def _singles() -> dict[str, Schema]:
    return {
        name: {
            **_mapping({parameter: _of_single(make, parameter) for parameter in parameters(make)}),
            **_empty_too(None),
        }
        for name, make in SINGLE_IMAGES.items()
    }


def _of_single(make: type[Any], name: str) -> Schema:
    """Return the schema of a parameter of what is done to each image."""
    pair: Schema = {"type": "array", "minItems": 2, "maxItems": 2}
    values: dict[str, Schema | str] = {
        "num_ops": "num_ops",
        "magnitude": "magnitude",
        "policy": {"enum": list(POLICIES)},
        "p": "share",
        "scale": {**pair, "items": _NUMBERS["share"]},
        "ratio": {**pair, "items": _NUMBERS["positive"]},
    }
    default = parameters(make)[name].default
    kept = list(default) if isinstance(default, tuple) else default
    value = values[name]
    schema = _numbers(value) if isinstance(value, str) else _one_or_more(value)
    return {**schema, "description": parameter_range(make, name), "default": kept}


def _augmentation(make: type[Any]) -> Schema:
    fields = {**{name: _parameter(make, name) for name in parameters(make)}, "train": _TRAIN}
    if make.mixes:
        fields["probability"] = {"anyOf": [{"type": "null"}, *_numbers("share")["anyOf"]]}
    fields["combine"] = {"anyOf": [{"type": "null"}, *_one_or_more({"$ref": "#/definitions/combine"})["anyOf"]]}
    needed = [name for name, field in parameters(make).items() if field.default is MISSING]
    return {**_mapping(fields, required=needed), **_empty_too(needed)}


def _empty_too(needed: list[str] | None) -> Schema:
    """Return the type of options that may be left out where none is `needed`."""
    return {} if needed else {"type": ["object", "null"]}


def _parameter(make: type[Any], name: str) -> Schema:
    if name == "per":
        schema = _one_or_more({"enum": list(PER)})
    elif name == "num_mixed":
        schema = _numbers(name)
    else:
        schema = _numbers("positive" if _takes(make, name, 1.0) else "fraction")
    schema = {**schema, "description": parameter_range(make, name)}
    default = parameters(make)[name].default
    return schema if default is MISSING else {**schema, "default": default}


def _numbers(kind: str) -> Schema:
    """Return the schema of one of `_NUMBERS`, of a schedule of such, of a list of both, or of a range."""
    return _or_range(_one_or_more({"$ref": f"#/definitions/number/{kind}"}), of=_one_or_more(_NUMBERS[kind]))


def _or_scheduled(value: Schema) -> Schema:
    ends = {"type": "array", "items": value, "minItems": 2, "maxItems": 2, "uniqueItems": True}
    steps = {
        "type": "object",
        "patternProperties": {"^(0|[1-9][0-9]*)$": value},
        "additionalProperties": False,
        "required": ["0"],
        "minProperties": 2,
    }
    shapes = {**dict.fromkeys(SCHEDULES, ends), "steps": steps}
    schedules = [_mapping({kind: shape}, required=[kind]) for kind, shape in shapes.items()]
    return {"anyOf": [*value.get("anyOf", [value]), *schedules]}


def _takes(make: type[Any], name: str, value: float) -> bool:
    try:
        check_parameter(make, name, value)
    except ValueError:
        return False
    return True


def _needs_path(name: str) -> bool:
    return DATASETS[name].path_option is not None


def _needs_parameter(name: str) -> bool:
    return any(field.default is MISSING for field in parameters(AUGMENTATIONS[name]).values())


def _draft7(schema: Any) -> Any:
    """Return `schema` with pairs and bounds as draft 7 spells them, and paths as plain text."""
    if isinstance(schema, list):
        return [_draft7(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    own = {key: _draft7(value) for key, value in schema.items() if key != "format"}
    for bound in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
        # pydantic's versions spell them as they stand in the code, or as floats.
        if isinstance(own.get(bound), float) and own[bound].is_integer():
            own[bound] = int(own[bound])
    if "prefixItems" in own:
        own["items"] = own.pop("prefixItems")
    return own
