"""What is wrong inside an entry of a plug-in: options of a model, parameters of an augmentation, what a set says."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import MISSING
from typing import Any

from augment import can_be_held, parameters
from orchestrator.column_names import TAKEN_BY_RESULTS
from orchestrator.credentials import OF_NO_CREDENTIAL, is_secret_name
from orchestrator.data import LAYOUT_OPTIONS, DatasetInfo
from orchestrator.errors import explained
from orchestrator.models import check_builder
from orchestrator.plugins.own_errors import defined_at, said_of
from orchestrator.plugins.plugin import Kind

_HELD = "finite numbers, words, true, false, None, and tuples of these: what the key of a cell can hold"


def problems_inside(where: str, kind: Kind, value: Any) -> Iterator[str]:
    """Yield what is wrong with an entry that is of its kind.

    Args:
        where: Names it, in messages.
        kind: Of what it is.
        value: A builder, a class of augmentations, or a `DatasetInfo`.
    """
    checks: dict[Kind, Callable[[str, Any], Iterator[str]]]
    checks = {"model": _of_builder, "augment": _of_augmentation, "dataset": _of_set}
    yield from checks[kind](where, value)


def _of_builder(where: str, builder: Callable[..., object]) -> Iterator[str]:
    try:
        for option, what, allowed in check_builder(builder):
            remedy = "call it otherwise" if not what else "give it another default, or make it in the code"
            yield explained(f"{where}: its option {option}{what}", allowed=allowed, remedy=remedy)
    except Exception as error:  # noqa: BLE001 - annotations are code of somebody's own
        yield explained(
            f"{where}: its annotations cannot be read: {defined_at(builder)}: {said_of(error)}",
            allowed="bool, int, float, str, None, Literal, and unions of these",
            remedy="mend them",
        )


def _of_augmentation(where: str, augmentation: type[Any]) -> Iterator[str]:
    for option, field in parameters(augmentation).items():
        if option in TAKEN_BY_RESULTS:
            yield explained(
                f"{where}: its option {option}",
                allowed=f"other names than those beside which results have it: {', '.join(TAKEN_BY_RESULTS)}",
                remedy="call it otherwise",
            )
        elif is_secret_name(option):
            remedy = "call it otherwise"
            yield explained(f"{where}: its option {option}", allowed=OF_NO_CREDENTIAL, remedy=remedy)
        elif field.default is not MISSING and not _is_held(field.default):
            yield explained(
                f"{where}: {option} is {field.default!r} by default",
                allowed=_HELD,
                remedy="make the rest of it in the code, out of such a value",
            )


def _of_set(where: str, info: DatasetInfo) -> Iterator[str]:
    for name in ("open", "check", "download"):
        function = getattr(info, name)
        if not callable(function) and (name == "open" or function is not None):
            yield explained(f"{where}: its {name} is {function!r}", allowed="a function", remedy="give it one")
    for option in info.layout_options:
        if option not in LAYOUT_OPTIONS:
            yield explained(
                f"{where}: its layout option {option!r}",
                allowed=", ".join(LAYOUT_OPTIONS),
                remedy="read what else it needs from a file in its folder",
            )
    if info.path_option not in (None, "folder", "file"):
        yield explained(f"{where}: its path_option {info.path_option!r}", allowed="folder, file or None")


def _is_held(value: object) -> bool:
    each = value if isinstance(value, tuple) else (value,)
    return can_be_held(value) and all(math.isfinite(number) for number in each if isinstance(number, float))
