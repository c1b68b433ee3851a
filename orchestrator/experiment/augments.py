"""The ``augment`` list of an experiment: alternatives whose own lists are swept, too."""

from __future__ import annotations

from dataclasses import MISSING, Field, dataclass
from itertools import product
from typing import Any

from augment import AUGMENTATIONS, ParameterError, check_parameter, parameters
from orchestrator.errors import nearest
from orchestrator.experiment.augment_spec import AugmentSpec
from orchestrator.experiment.axes import entries, split_entry, without_repeats
from orchestrator.experiment.problems import NOT_GIVEN, Problems

# How an augmentation refuses a value: of somebody's own, too, which need not know `ParameterError`.
_REFUSALS = (ValueError, ArithmeticError)

# `num_mixed: batch` mixes every sample of the worker's batch, as in the paper.
WHOLE_BATCH = "batch"


@dataclass(frozen=True)
class _Choice:
    """One value that stands in the file for a parameter."""

    key: str
    written: object
    value: int | float


def read_augments(problems: Problems, raw: object, *, batch_size: int | None) -> tuple[AugmentSpec, ...]:
    """Return the augmentations of ``augment: name``, ``{name: {parameter: value or list}}`` or a list of those.

    Args:
        problems: Takes the problems.
        raw: What stands in the file.
        batch_size: Of one worker; None if the file's is invalid, so that nothing can be said about it.
    """
    found = []
    for key, item in entries(problems, "augment", raw, allowed="the name of an augmentation, or a list"):
        named = split_entry(problems, key, item, known=list(AUGMENTATIONS))
        if named is not None:
            name, options = named
            # A parameter stands below the name, also where the name stands alone and the parameter is missing.
            below = f"{key}.{name}"
            key = below if isinstance(item, dict) else key
            found += _expand(problems, key, name, options, below=below, batch_size=batch_size)
    return without_repeats(problems, found)


def _expand(
    problems: Problems, key: str, name: str, options: dict[str, Any], *, below: str, batch_size: int | None
) -> list[tuple[str, object, AugmentSpec]]:
    """Return every combination of the values in `options` as (key, what is written there, specification)."""
    known = parameters(AUGMENTATIONS[name])
    before = len(problems.noted)
    for option in [option for option in options if option not in known]:
        problems.add_unknown(
            f"{key}.{option}", options[option], word=str(option), known=list(known), what=f"parameters of {name}"
        )
    choices = {
        parameter: _choices(problems, f"{below}.{parameter}", field, options, batch_size=batch_size)
        for parameter, field in known.items()
    }
    for parameter, values in choices.items():
        for choice in values:
            _check_choice(problems, name, parameter, choice, batch_size=batch_size)
        without_repeats(problems, [(choice.key, choice.written, choice.value) for choice in values])
    if len(problems.noted) > before or not all(choices.values()):
        return []
    combinations = [dict(zip(choices, values, strict=True)) for values in product(*choices.values())]
    found = [_combine(problems, key, name, chosen, batch_size=batch_size) for chosen in combinations]
    return [combination for combination in found if combination is not None]


def _choices(
    problems: Problems, key: str, field: Field[Any], options: dict[str, Any], *, batch_size: int | None
) -> list[_Choice]:
    """Return the values to sweep of one parameter; empty if none could be understood."""
    if field.name not in options:
        if field.default is MISSING:
            words = "a number, batch, or a list" if field.name == "num_mixed" else "a number, or a list of numbers"
            problems.add(key, NOT_GIVEN, allowed=words, remedy="It is missing: add it.")
            return []
        return [_Choice(key, field.default, field.default)]
    found = []
    for item_key, item in entries(problems, key, options[field.name], allowed="a number, or a list of numbers"):
        if field.name == "num_mixed" and item == WHOLE_BATCH:
            # Without a batch size the experiment is refused anyway.
            found += [_Choice(item_key, item, batch_size)] if batch_size is not None else []
        elif isinstance(item, int | float) and not isinstance(item, bool):
            found.append(_Choice(item_key, item, item))
        else:
            words = "a number, or batch" if field.name == "num_mixed" else "a number"
            meant = nearest(str(item), [WHOLE_BATCH]) if field.name == "num_mixed" else None
            remedy = f"Did you mean {meant}?" if meant else "Change it; a list of values is swept."
            problems.add(item_key, item, allowed=words, remedy=remedy)
    return found


def _check_choice(problems: Problems, name: str, parameter: str, choice: _Choice, *, batch_size: int | None) -> None:
    """Note the augmentation's own refusal of one value, whatever the other parameters are."""
    try:
        check_parameter(AUGMENTATIONS[name], parameter, choice.value)
    except _REFUSALS as error:
        allowed, remedy = f"another value{_reason(error)}", ""
        if isinstance(error, ParameterError):
            allowed, remedy = error.allowed, error.remedy
        if choice.written == WHOLE_BATCH:
            remedy = "Raise train.batch_size_per_worker."
        problems.add(choice.key, choice.written, allowed=allowed, remedy=remedy or f"Change {parameter}.")
    else:
        if parameter == "num_mixed" and batch_size is not None and choice.value > batch_size:
            problems.add(
                choice.key,
                choice.written,
                allowed=f"2 to train.batch_size_per_worker={batch_size}: mixing stays inside one worker's batch",
                remedy="Lower num_mixed or raise train.batch_size_per_worker.",
            )


def _combine(
    problems: Problems, key: str, name: str, chosen: dict[str, _Choice], *, batch_size: int | None
) -> tuple[str, object, AugmentSpec] | None:
    written = {parameter: choice.written for parameter, choice in chosen.items()} or name
    spec = AugmentSpec(name=name, params={parameter: choice.value for parameter, choice in chosen.items()})
    try:
        augmentation = spec.build()
    except _REFUSALS as error:
        reason, remedy = _reason(error), f"Change {' or '.join(chosen)}." if chosen else f"Leave {name} out."
        if isinstance(error, ParameterError):
            reason, remedy = f": instead of {error.name}={error.value!r}, {error.allowed}", error.remedy or remedy
        problems.add(key, written, allowed=f"values that suit each other{reason}", remedy=remedy)
        return None
    if batch_size is not None and augmentation.min_batch_size > batch_size:
        problems.add(
            key,
            NOT_GIVEN,
            allowed=f"train.batch_size_per_worker of at least {augmentation.min_batch_size} "
            f"instead of {batch_size}: mixing stays inside one worker's batch",
            remedy="Raise train.batch_size_per_worker.",
        )
    # As the augmentation holds them: `gamma: 2` and `gamma: 2.0` are the same cell.
    spec = AugmentSpec(name=name, params={parameter: getattr(augmentation, parameter) for parameter in chosen})
    return key, written, spec


def _reason(error: Exception) -> str:
    """Return what `error` says, on one line and after a colon; nothing if it says nothing."""
    said = " ".join(str(error).split())
    return f": {said}" if said else ""
