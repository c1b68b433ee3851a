"""The JSON schema of an experiment file, in draft 7: what the language servers of editors know."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import MISSING
from typing import Any

from augment import AUGMENTATIONS, Augmentation, check_parameter, parameters
from orchestrator.data import DATASETS
from orchestrator.experiment.dataset_spec import DatasetSpec, written
from orchestrator.experiment.settings import Experiment, General
from orchestrator.models.registry import MODELS
from tools.reference.fields import properties
from tools.reference.rules import dataset_rules, resources_rules, train_rules
from tools.reference.yaml_keys import SECTIONS, parameter_range

Schema = dict[str, Any]

OWN_DEFAULTS = ("crop_padding", "hflip")


def schema_text() -> str:
    """Return the schema as the text of a file."""
    return json.dumps(experiment_schema(), indent=2, ensure_ascii=False) + "\n"


def experiment_schema() -> Schema:
    """Return the schema."""
    definitions = {
        "dataset": _alternatives({name: _dataset(name) for name in DATASETS}, needy=_needs_path),
        "model": {"type": "string", "pattern": "^[a-z0-9_]+$", "examples": [*MODELS, "shufflenet_v2_x0_5"]},
        "augment": _alternatives(
            {name: _augmentation(make) for name, make in AUGMENTATIONS.items()}, needy=_needs_parameter
        ),
        "seed": {"type": "integer", "minimum": 0, "maximum": 2**32 - 1},
        "options": _option_definitions(),
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
    sections["train"]["allOf"], sections["resources"]["allOf"] = train_rules(), resources_rules()
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "An experiment of zetasweep",
        **_mapping({**properties(General), **swept, **sections}, required=["name", "dataset", "model", "augment"]),
        "definitions": definitions,
    }


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
    needed: list[str] | None = None
    if info.path_option:
        needed = [info.path_option]
        # Not null, as elsewhere.
        options[info.path_option] = {"allOf": [options[info.path_option], {"type": "string"}]}
    rules = {"allOf": [{"$ref": "#/definitions/dataset_rules"}]}
    return {**_mapping(options, required=needed), **_empty_too(needed), **rules, "description": info.description}


def _augmentation(make: type[Augmentation]) -> Schema:
    fields = {name: _parameter(make, name) for name in parameters(make)}
    needed = [name for name, field in parameters(make).items() if field.default is MISSING]
    return {**_mapping(fields, required=needed), **_empty_too(needed)}


def _empty_too(needed: list[str] | None) -> Schema:
    """Return the type of options that may be left out where none is `needed`."""
    return {} if needed else {"type": ["object", "null"]}


def _parameter(make: type[Augmentation], name: str) -> Schema:
    value: Schema = {"type": "number", "exclusiveMinimum": 0}
    if name == "num_mixed":
        value = {"anyOf": [{"type": "integer", "minimum": 2}, {"const": "batch"}]}
    elif not _takes(make, name, 1.0):
        value["exclusiveMaximum"] = 1
    schema: Schema = {**_one_or_more(value), "description": parameter_range(make, name)}
    default = parameters(make)[name].default
    return schema if default is MISSING else {**schema, "default": default}


def _takes(make: type[Augmentation], name: str, value: float) -> bool:
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
