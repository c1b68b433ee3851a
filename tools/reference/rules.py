"""What reading an experiment file refuses beyond the type of a key, as far as a JSON schema can say it.

It cannot compare two numbers (a warm-up and the epochs, the order of milestones, a crop's pair), nor tell 1.0 from 1.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

_WHOLE: Schema = {"multipleOf": 1}


def train_rules() -> list[Schema]:
    """Return the rules of the section ``train``."""
    return [
        _unless({"optimizer": {"const": "adamw"}}, {"momentum": {"type": "number"}}),
        _if({"schedule": {"const": "multistep"}}, {"milestones": {"minItems": 1}}, required=["milestones"]),
        _always({"milestones": {"uniqueItems": True}, "warmup_epochs": {"maximum": 1_000_000}}),
    ]


def resources_rules() -> list[Schema]:
    """Return the rules of the section ``resources``."""
    whole_or_a_share: Schema = {"anyOf": [_WHOLE, {"maximum": 1}]}
    return [
        _always({"cpus_per_worker": whole_or_a_share, "gpus_per_worker": whole_or_a_share}),
        _if({"workers": {"minimum": 2}}, {"cpus_per_worker": _WHOLE, "gpus_per_worker": _WHOLE}),
        _unless({"gpus_per_worker": {"exclusiveMinimum": 0}}, {"backend": {"enum": ["auto", "torch"]}}),
    ]


def dataset_rules() -> list[Schema]:
    """Return the rules of the options of a data set; one that it does not have breaks none."""
    return [
        _if({"random_resized_crop": {"type": "object"}}, {"crop_padding": {"maximum": 0}}),
        _unless({"folds": {"type": "integer"}}, {"fold": {"type": "null"}}),
        _unless({"csv": {"type": "string"}}, {"columns": {"type": "null"}}),
    ]


def _always(properties: Schema) -> Schema:
    return {"properties": properties}


def _if(given: Schema, then: Schema, *, required: list[str] | None = None) -> Schema:
    """Return the rule that the keys of `given`, if they are there and so, demand that others are so, and there."""
    demand: Schema = {"properties": then, **({"required": required} if required else {})}
    return {"if": {"properties": given, "required": list(given)}, "then": demand}


def _unless(given: Schema, otherwise: Schema) -> Schema:
    """Return the rule that others are so, unless the keys of `given` are there and so."""
    return {"if": {"properties": given, "required": list(given)}, "else": {"properties": otherwise}}
