"""The ``model`` list of an experiment: networks by name, with options whose own lists are swept."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from itertools import product
from typing import Any

from pydantic import ValidationError

from augment import ParameterError
from orchestrator.experiment.axes import entries, fits, named_entry, without_repeats
from orchestrator.experiment.model_spec import OWN_FIELDS, WEIGHTS_FILE, ModelSpec
from orchestrator.experiment.problems import NOT_GIVEN, Problems, show, suggest_name
from orchestrator.experiment.train_entries import Entry, Written, take_train
from orchestrator.experiment.train_settings import TrainSettings
from orchestrator.experiment.weights_entry import WeightsEntry, take_tag, timm_remedy
from orchestrator.models import (
    BY_HASH,
    REQUIRED,
    ModelOption,
    describe_unknown,
    is_model,
    model_names,
    model_options,
    source_of,
    without_off,
)
from orchestrator.plugins import known_names

_ALLOWED = "convnet, resnet18, resnet50 or another of torchvision's classification models, or one of timm's after timm/"
_Values = dict[str, list[Any]]


def read_models(problems: Problems, raw: object, *, limit: int) -> list[Entry[ModelSpec]]:
    """Return the models of ``model: name``, ``{name: {option: value or list}}`` or a list of those.

    Args:
        problems: Takes the problems.
        raw: What stands in the file.
        limit: How many cells there may be.
    """
    found: list[Entry[ModelSpec]] = []
    for key, item in entries(problems, "model", raw, allowed="the name of a model, or a list"):
        named = named_entry(problems, key, item)
        if named is None:
            continue
        name, options = take_tag(problems, key, *named)
        if not isinstance(name, str) or not is_model(name):
            known = [*model_names(), *known_names("model")]
            problems.add(key, item, allowed=_ALLOWED, remedy=timm_remedy(name) or suggest_name(str(name), known))
            continue
        options, train = take_train(problems, f"{key}.{name}", options)
        specs = _specs(problems, f"{key}.{name}", name, options, limit=limit)
        found += [Entry(Written(key, item), spec, train) for spec in specs]
    # Wherever their files of weights lie: by what they train.
    meanings = [(each.at.key, each.at.value, (each.spec.without_place, str(each.train))) for each in found]
    without_repeats(problems, meanings)
    return found


def _specs(problems: Problems, key: str, name: str, options: Mapping[str, Any], *, limit: int) -> list[ModelSpec]:
    """Return every combination of the values in `options`; nothing if one is wrong."""
    before, known = len(problems.noted), model_options(name)
    for option in [option for option in options if option not in (*known, *OWN_FIELDS)]:
        allowed, remedy = describe_unknown(name, str(option))
        if option in TrainSettings.model_fields:
            remedy = f"Write it below train: {name}: {{train: {{{option}: {show(options[option])}}}}}."
        problems.add(f"{key}.{option}", options[option], allowed=allowed, remedy=remedy)
    weights = WeightsEntry(name)
    checks = {field: partial(_single, field) for field in OWN_FIELDS} | {"weights": weights.check}
    own: _Values = {
        field: _values(problems, f"{key}.{field}", options[field], check=checks[field])
        for field in OWN_FIELDS
        if field in options
    }
    values = {option: _values_of(problems, f"{key}.{option}", known[option], options) for option in known}
    num_specs = math.prod(map(len, (*own.values(), *values.values())))
    if len(problems.noted) > before or not fits(problems, num_specs, limit):
        return []
    found = []
    for chosen in product(*own.values(), *values.values()):
        beside = dict(zip((*own, *values), chosen, strict=True))
        said = without_off(known, {option: beside.pop(option) for option in values})
        beside[WEIGHTS_FILE] = weights.files.get(beside.get("weights") or "")
        try:
            found.append(_plain(ModelSpec.model_validate({"name": name, **beside, "options": said})))
        except ValidationError as error:
            problems.add_validation(error, ModelSpec, prefix=key, keys=OWN_FIELDS)
    return found


def _single(field: str, value: object) -> object:
    """Return what one alternative of an own field is; what value it is to be, `ModelSpec` knows.

    Raises:
        ParameterError: It is a list or a mapping.
    """
    if isinstance(value, list | dict):
        allowed = f"{ModelSpec.model_fields[field].description}; or a list of those"
        raise ParameterError(field, value, allowed)
    return value


def _plain(spec: ModelSpec) -> ModelSpec:
    """Return a network without a normalisation that is the one of its weights anyway: one training has one key."""
    if spec.normalization != "imagenet" or spec.weights is None or spec.weights.startswith(BY_HASH):
        return spec
    usual = source_of(spec.name, spec.weights).is_normalized_like_imagenet
    return spec.model_copy(update={"normalization": None}) if usual else spec


def _values_of(problems: Problems, key: str, option: ModelOption, options: Mapping[str, Any]) -> list[Any]:
    """Return the values to sweep of one option, its default if nothing is said of it."""
    if option.name in options:
        return _values(problems, key, options[option.name], check=option.check)
    if option.default is REQUIRED:
        problems.add(key, NOT_GIVEN, allowed=f"{option.allowed}, or a list", remedy="It is missing: add it.")
    return [option.usual]


def _values(problems: Problems, key: str, raw: object, *, check: Callable[[object], Any]) -> list[Any]:
    """Return what stands at `key`, alone or in a list; what is wrong with one of the values is noted."""
    found = []
    if raw == []:
        problems.add(key, raw, allowed="a value, or a list", remedy="At least one is needed: add it.")
    for index, item in enumerate(raw) if isinstance(raw, list) else [(None, raw)]:
        place = key if index is None else f"{key}[{index}]"
        try:
            found.append((place, item, check(item)))
        except ParameterError as error:
            problems.add(place, item, allowed=error.allowed, remedy=error.remedy or "Change it.")
    return list(without_repeats(problems, found))
