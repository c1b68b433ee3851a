"""What stands beside the parameters of any augmentation: ``probability``, and ``combine``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field
from functools import partial
from itertools import product
from typing import Any, NamedTuple

from augment import (
    AUGMENTATIONS,
    SINGLE_IMAGES,
    ParameterError,
    Sometimes,
    check_parameter,
    parameters,
)
from orchestrator.experiment.axes import entries, fits, split_entry, without_repeats
from orchestrator.experiment.combine_spec import CombineSpec, Value
from orchestrator.experiment.problems import Problems
from orchestrator.experiment.schedule_entry import instead_of, is_schedule, read_schedule

PROBABILITY, COMBINE = "probability", "combine"
NOTHING = "none"


class _Choice(NamedTuple):
    """A value, where it stands, and what stands there."""

    key: str
    written: object
    value: Any


class Beside(NamedTuple):
    """A combination of what stands beside the parameters.

    Attributes:
        written: As it stands in the file.
        update: Fields of `AugmentSpec`.
    """

    written: dict[str, object]
    update: dict[str, Any]


def options_beside(name: str) -> list[str]:
    """Return which options an augmentation has beside its parameters, of which one of its own goes before.

    What mixes nothing has no probability.
    """
    beside = (PROBABILITY, COMBINE) if AUGMENTATIONS[name].mixes else (COMBINE,)
    return [option for option in beside if option not in parameters(AUGMENTATIONS[name])]


def read_beside(problems: Problems, below: str, name: str, options: Mapping[str, Any], *, limit: int) -> list[Beside]:
    """Return every combination of the values that `options` has for them; one that says nothing, if it has none.

    Args:
        problems: Takes the problems.
        below: The key of the augmentation's options.
        name: Of the augmentation.
        options: Of the augmentation, its parameters among them.
        limit: How many cells there may be.
    """
    known = options_beside(name)
    read: dict[str, Callable[[Problems, str, object], Iterator[_Choice]]]
    read = {PROBABILITY: _probabilities, COMBINE: partial(_combined, limit=limit)}
    axes = {
        option: list(read[option](problems, f"{below}.{option}", options[option]))
        for option in known
        if options.get(option) is not None
    }
    for choices in axes.values():
        without_repeats(problems, list(choices))
    if not fits(problems, math.prod(map(len, axes.values())), limit):
        return []
    return [
        Beside(
            {option: choice.written for option, choice in zip(axes, chosen, strict=True)},
            {option: choice.value for option, choice in zip(axes, chosen, strict=True)},
        )
        for chosen in product(*axes.values())
    ]


def _probabilities(problems: Problems, key: str, raw: object) -> Iterator[_Choice]:
    for item_key, item in entries(problems, key, raw, allowed="a number, or a list of numbers"):
        value = _value(problems, item_key, item, make=Sometimes, field=parameters(Sometimes)[PROBABILITY])
        if value is not None:
            # Every batch is mixed where nothing is said: the same cell.
            yield _Choice(item_key, item, None if value == 1 else value)


def _combined(problems: Problems, key: str, raw: object, *, limit: int) -> Iterator[_Choice]:
    known = [NOTHING, *SINGLE_IMAGES]
    for item_key, item in entries(problems, key, raw, allowed=f"{', '.join(known)}, or a list"):
        named = split_entry(problems, item_key, item, known=known)
        if named is None:
            continue
        name, options = named
        if name == NOTHING:
            for option in options:
                problems.add_unknown(f"{item_key}.{name}.{option}", options[option], word=option, known=[], what="none")
            yield _Choice(item_key, item, None)
        else:
            yield from _singles(problems, item_key, item, name, options, limit=limit)


def _singles(
    problems: Problems, key: str, item: object, name: str, options: Mapping[str, Any], *, limit: int
) -> Iterator[_Choice]:
    known = parameters(SINGLE_IMAGES[name])
    below = f"{key}.{name}"
    for option in [option for option in options if option not in known]:
        problems.add_unknown(
            f"{below}.{option}", options[option], word=str(option), known=list(known), what=f"parameters of {name}"
        )
    axes = {
        parameter: list(_values(problems, f"{below}.{parameter}", name, field, options))
        for parameter, field in known.items()
    }
    for choices in axes.values():
        without_repeats(problems, list(choices))
    if not fits(problems, math.prod(map(len, axes.values())), limit):
        return
    for chosen in product(*axes.values()):
        params: dict[str, Value] = {parameter: each.value for parameter, each in zip(axes, chosen, strict=True)}
        yield _Choice(key, item, CombineSpec(name=name, params=params))


def _values(
    problems: Problems, key: str, name: str, field: Field[Any], options: Mapping[str, Any]
) -> Iterator[_Choice]:
    """Yield the values to sweep of one parameter; a pair of numbers is one value where the parameter is a pair."""
    if field.name not in options:
        yield _Choice(key, field.default, field.default)
        return
    raw = options[field.name]
    is_pair = isinstance(field.default, tuple) and isinstance(raw, list) and not any(isinstance(x, list) for x in raw)
    found = [(key, raw)] if is_pair else entries(problems, key, raw, allowed="a value, or a list of values")
    for item_key, item in found:
        value = _value(problems, item_key, item, make=SINGLE_IMAGES[name], field=field)
        if value is not None:
            yield _Choice(item_key, item, value)


def _value(problems: Problems, key: str, item: object, *, make: type[Any], field: Field[Any]) -> Any:
    """Return a parameter of `make`, or a schedule of it, as it is kept; None, and a problem, if it cannot be that."""

    def read(at: str, written: object) -> Any:
        try:
            return check_parameter(make, field.name, written)
        except ParameterError as error:
            allowed, remedy = error.allowed, error.remedy or f"Change {field.name}; a list of values is swept."
            if isinstance(written, dict):
                mapping, remedy = instead_of(written)
                allowed = f"{allowed}, {mapping}"
            problems.add(at, written, allowed=allowed, remedy=remedy)
            return None

    return read_schedule(problems, key, item, field, read) if is_schedule(item) else read(key, item)
