"""How a schedule stands in an experiment file: a mapping in place of a number, with the schedule's name as its key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import Field
from itertools import pairwise
from typing import Any, TypeGuard

from orchestrator.experiment.problems import Problems, suggest
from orchestrator.experiment.schedule_spec import AnySchedule, Cosine, Linear, Number, Steps
from orchestrator.search import RANGES

SCHEDULES = ("linear", "cosine", "steps")
_LINE: dict[str, type[Linear | Cosine]] = {"linear": Linear, "cosine": Cosine}
# A dataclass in a file with postponed annotations has their texts.
_WHOLE, _NUMBERS = (int, "int"), (int, "int", float, "float")

ReadNumber = Callable[[str, object], Any]
"""Takes a key and what stands there; returns the number, or notes a problem and returns None."""


def is_schedule(written: object) -> TypeGuard[Mapping[str, Any]]:
    """Return whether a value of a file is meant as a schedule: a mapping with the name of one."""
    return isinstance(written, Mapping) and any(kind in written for kind in SCHEDULES)


def instead_of(written: Mapping[Any, Any]) -> tuple[str, str]:
    """Return which mappings are allowed in place of a number, and the remedy for one that is neither."""
    allowed = f"a schedule ({', '.join(SCHEDULES)}) or, in a search, a range ({', '.join(RANGES)})"
    return allowed, suggest(str(next(iter(written), "")), [*SCHEDULES, *RANGES])


def may_change(field: Field[Any]) -> bool:
    """Return whether a parameter may change from epoch to epoch: it is annotated as a number."""
    return field.type in _NUMBERS


def read_schedule(
    problems: Problems, key: str, written: Mapping[str, Any], field: Field[Any], number: ReadNumber
) -> AnySchedule | None:
    """Return the schedule that stands at `key`; None, and a problem, if one of its numbers or its form is wrong.

    Args:
        problems: Takes the problems.
        key: Where it stands.
        written: What stands there.
        field: The parameter that it is of.
        number: Reads each of its numbers as one that stands alone.
    """
    if not may_change(field):
        problems.add(key, written, allowed=f"no schedule: {field.name} is no number", remedy="Write one value.")
        return None
    kind, *others = written
    if others:
        problems.add(key, written, allowed="one schedule", remedy="Write one of them; a list of schedules is swept.")
        return None

    def read(at: str, value: object) -> Number | None:
        if isinstance(value, dict | list):
            problems.add(at, value, allowed="a number", remedy="In a schedule nothing is drawn, listed or scheduled.")
            return None
        found: Number | None = number(at, value)
        if found is None or problems.stand_at(at):
            return None
        return found if field.type in _WHOLE else float(found)

    below, inside = f"{key}.{kind}", written[kind]
    return _steps(problems, below, inside, read) if kind == "steps" else _line(problems, below, inside, kind, read)


def _line(problems: Problems, key: str, inside: object, kind: str, number: ReadNumber) -> Linear | Cosine | None:
    allowed = "[FIRST, LAST]: the number of the first epoch, and that of the last"
    if not isinstance(inside, list) or len(inside) != 2:
        problems.add(key, inside, allowed=allowed, remedy=f"Write both, e.g. {kind}: [6.0, 2.0].")
        return None
    first, last = (number(f"{key}[{index}]", value) for index, value in enumerate(inside))
    if first is None or last is None:
        return None
    if first == last:
        problems.add(key, inside, allowed=f"{allowed}, which differs", remedy=f"Write {first} alone.")
        return None
    return _LINE[kind].model_validate({kind: (first, last)})


def _steps(problems: Problems, key: str, inside: object, number: ReadNumber) -> Steps | None:
    allowed = "{0: NUMBER, EPOCHS: NUMBER, ...}: after how many epochs it is which number"
    if not isinstance(inside, dict) or not inside:
        problems.add(key, inside, allowed=allowed, remedy="Write a mapping, e.g. steps: {0: 4.0, 20: 2.4}.")
        return None
    _check_starts(problems, key, inside)
    values = {start: number(f"{key}.{start}", value) for start, value in inside.items()}
    if problems.stand_at(key) or None in values.values():
        return None
    for (_, one), (start, other) in pairwise(values.items()):
        if one == other:
            words = f"another number than before, {one}"
            problems.add(f"{key}.{start}", inside[start], allowed=words, remedy="Leave this step out, or change it.")
    return None if problems.stand_at(key) else Steps.model_validate({"steps": values})


def _check_starts(problems: Problems, key: str, inside: Mapping[Any, object]) -> None:
    for start in inside:
        if isinstance(start, bool) or not isinstance(start, int) or start < 0:
            words = "the number of epochs that come before, an integer, at least 0"
            problems.add(f"{key}.{start}", inside[start], allowed=words, remedy="Write it without quotes, e.g. 20.")
            return
    first, *later = inside
    if 0 not in inside:
        remedy = f"Say what it is from the first epoch on: {{0: NUMBER, {first}: ...}}."
        problems.add(key, inside, allowed="a step at 0", remedy=remedy)
    elif not later:
        problems.add(key, inside, allowed="two steps at least", remedy="Write the number alone, or add a step.")
    else:
        for start, following in pairwise(inside):
            if following <= start:
                words = f"rising numbers of epochs, instead of {following} after {start}"
                problems.add(f"{key}.{following}", inside[following], allowed=words, remedy="Sort the steps.")
