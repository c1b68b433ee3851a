"""What reading an experiment file refuses beyond the type of a key, as far as a JSON schema can say it.

It cannot compare two numbers (a warm-up and the epochs, the order of milestones, a crop's pair), nor tell 1.0 from 1.
"""

from __future__ import annotations

from typing import Any

from orchestrator.experiment import OPTIMIZERS

Schema = dict[str, Any]

_WHOLE: Schema = {"multipleOf": 1}


def setting_rules() -> list[Schema]:
    """Return the rules of ``train``, in the section and in entries."""
    unique: Schema = {"uniqueItems": True, "items": {"uniqueItems": True}}
    epochs: Schema = {"maximum": 1_000_000, "items": {"maximum": 1_000_000}}
    fewer: Schema = {"exclusiveMaximum": 1_000_000, "items": {"exclusiveMaximum": 1_000_000}}
    return [_always({"milestones": unique, "warmup_epochs": epochs, "mixing_off_epochs": fewer})]


def train_rules() -> Schema:
    """Return the rules of the section ``train``: they hold of a file none of whose entries says its own."""
    own = _some({"type": "object", "required": ["train"]})
    without: Schema = {"not": {"anyOf": [own, {"type": "array", "contains": own}]}}
    others: Schema = {"enum": [name for name, info in OPTIMIZERS.items() if not info.momentum]}
    nesterov: Schema = {"enum": [name for name, info in OPTIMIZERS.items() if info.nesterov]}
    without_momentum: Schema = {"optimizer": {"anyOf": [others, {"type": "array", "items": others}]}}
    a_number: Schema = {"anyOf": [{"type": ["number", "object"]}, {"type": "array", "items": {"type": "number"}}]}
    multistep = _among({"const": "multistep"})
    milestones = {"minItems": 1, "items": {"anyOf": [{"type": "integer"}, {"type": "array", "minItems": 1}]}}
    rules = [
        _unless(without_momentum, {"momentum": a_number}),
        _if({"schedule": multistep}, {"milestones": milestones}, required=["milestones"]),
        # The default optimizer is one of them.
        _if(
            {"nesterov": _among({"const": True})},
            {"momentum": {"not": _among({"const": 0})}},
            given_or_not={"optimizer": _among(nesterov)},
        ),
    ]
    entries = dict.fromkeys(("dataset", "model", "augment"), without)
    return {"if": {"properties": entries}, "then": {"properties": {"train": {"allOf": rules}}}}


def _among(schema: Schema) -> Schema:
    """Return the schema of a value that is so, or of a list with one."""
    return {"anyOf": [schema, {"type": "array", "contains": schema}]}


def _some(schema: Schema) -> Schema:
    """Return the schema of a mapping one of whose values is so."""
    return {"type": "object", "not": {"additionalProperties": {"not": schema}}}


def resources_rules() -> list[Schema]:
    """Return the rules of the section ``resources``."""
    whole_or_a_share: Schema = {"anyOf": [_WHOLE, {"maximum": 1}]}
    return [
        _always({"cpus_per_worker": whole_or_a_share, "gpus_per_worker": whole_or_a_share}),
        _if({"workers": {"minimum": 2}}, {"cpus_per_worker": _WHOLE, "gpus_per_worker": _WHOLE}),
        _unless(
            {"gpus_per_worker": {"exclusiveMinimum": 0}},
            {"backend": {"enum": ["auto", "torch"]}, "cuda_graphs": {"const": False}},
        ),
        _unless({"compile": {"enum": ["default", "max-autotune"]}}, {"cuda_graphs": {"const": False}}),
        _if({"slots": {"type": "integer"}}, {"max_slots": {"type": "null"}}),
        _unless({"deterministic": {"const": False}}, {"compile": {"enum": ["off", "default"]}}),
    ]


def dataset_rules() -> list[Schema]:
    """Return the rules of the options of a data set; one that it does not have breaks none."""
    return [
        _if({"random_resized_crop": {"type": "object"}}, {"crop_padding": {"maximum": 0}}),
        _unless({"folds": {"type": "integer"}}, {"fold": {"type": "null"}}),
        _unless({"csv": {"type": "string"}}, {"columns": {"type": "null"}}),
    ]


def search_rules() -> list[Schema]:
    """Return the rules of the section ``search``."""
    off: Schema = {"type": "null"}
    not_true: Schema = {"enum": [None, False]}
    amounts = ("device_hours", "epochs")
    one_amount = [
        {"required": [each], "properties": {each: {"not": off}, other: off}} for each, other in (amounts, amounts[::-1])
    ]
    return [
        _always({"race": {"minItems": 1}, "budget": {"anyOf": [off, {"oneOf": one_amount}]}}),
        _unless({"sampler": {"not": {"const": "grid"}}}, {"num_samples": off, "seed": off}),
        _unless({"sampler": {"const": "optuna"}}, {"batch": off, "warm_start": not_true}),
        _if({"sampler": {"not": {"const": "grid"}}}, {"num_samples": {"not": off}}, required=["num_samples"]),
    ]


def _always(properties: Schema) -> Schema:
    return {"properties": properties}


def _if(
    given: Schema,
    then: Schema,
    *,
    required: list[str] | None = None,
    given_or_not: Schema | None = None,
) -> Schema:
    """Return the rule that the keys of `given`, if they are there and so, demand that others are so, and there.

    Args:
        given: What must be there, and so.
        then: How others must be.
        required: Which of those must be there.
        given_or_not: What must be so if it is there.
    """
    demand: Schema = {"properties": then, **({"required": required} if required else {})}
    return {"if": {"properties": given | (given_or_not or {}), "required": list(given)}, "then": demand}


def _unless(given: Schema, otherwise: Schema) -> Schema:
    """Return the rule that others are so, unless the keys of `given` are there and so."""
    return {"if": {"properties": given, "required": list(given)}, "else": {"properties": otherwise}}
