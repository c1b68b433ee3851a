"""In what the configurations of a search differ: each parameter with its values, and where these lie on an axis."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from orchestrator.experiment import Cell
from orchestrator.search import Range, Space

AUGMENT = "augment"
# What all cells of a column have alike, or is no choice of a search.
_APART = ("dataset", "model", "seed", "resources.", "code.")
# More values than that, or such that lie closer, are not all written at an axis.
TICKS, APART = 7, 0.07

Value = float | str


@dataclass(frozen=True)
class Parameter:
    """A parameter in which configurations differ.

    Attributes:
        name: As the axis has it: ``gamma``, ``lr``; the whole name where two have the same last part.
        values: By configuration; one that lacks the parameter is not there. All numbers, or all texts.
        num_all: How many configurations there are.
        is_log: Equal ratios are equally far apart.
    """

    name: str
    values: Mapping[str, Value]
    num_all: int
    is_log: bool = False

    @property
    def is_conditional(self) -> bool:
        """Whether some configurations do not have it."""
        return len(self.values) < self.num_all

    @cached_property
    def levels(self) -> tuple[Value, ...]:
        """The different values: numbers rising, texts as they come."""
        found = dict.fromkeys(self.values.values())
        return tuple(sorted(found) if self.is_number else found)

    @property
    def is_number(self) -> bool:
        """Whether its values are numbers."""
        return all(isinstance(value, float) for value in self.values.values())

    def position(self, configuration: str) -> float | None:
        """Return where its value lies between the least, 0, and the largest, 1; None if it lacks the parameter."""
        value = self.values.get(configuration)
        return None if value is None else self.position_of(value)

    def position_of(self, value: Value) -> float:
        """Return where a value lies."""
        if len(self.levels) == 1:
            return 0.5
        if not self.is_number:
            return self.levels.index(value) / (len(self.levels) - 1)
        low, high, at = (self._scaled(each) for each in (self.levels[0], self.levels[-1], value))
        return (at - low) / (high - low)

    def _scaled(self, value: Value) -> float:
        number = float(value)
        return math.log(number) if self.is_log else number

    @property
    def ticks(self) -> dict[float, str]:
        """The texts of an axis by where they stand: every value, or of many numbers the ends and the middle."""
        shown = self.levels
        if len(shown) > TICKS:
            shown = (shown[0], shown[len(shown) // 2], shown[-1])
        places = {self.position_of(value): value if isinstance(value, str) else f"{value:g}" for value in shown}
        ends, kept = {0.0, 1.0}, list[float]()
        for place in places:
            if place in ends or all(abs(place - other) >= APART for other in (*kept, *ends)):
                kept.append(place)
        return {place: places[place] for place in kept}

    def among(self, configurations: Collection[str]) -> Parameter | None:
        """Return it as some of the configurations have it; None if they do not all have it, or all have one value."""
        values = {name: value for name, value in self.values.items() if name in configurations}
        if len(values) < len(configurations) or len(set(values.values())) < 2:
            return None
        return replace(self, values=values, num_all=len(configurations))


def parameters_of(cells: Mapping[str, Cell], space: Space | None) -> list[Parameter]:
    """Return what configurations differ in, the augmentation first.

    Args:
        cells: One of each configuration, of one data set and model.
        space: Where they come from, which says whose axis is logarithmic.
    """
    found: dict[str, dict[str, Value]] = {}
    for configuration, cell in cells.items():
        for name, value in cell.values().items():
            if not name.startswith(_APART):
                found.setdefault(name, {})[configuration] = _plain(value)
    differing = {name: values for name, values in found.items() if len(set(values.values())) > 1}
    last = [name.rpartition(".")[2] for name in differing]
    log = _logarithmic(space)
    return [
        Parameter(
            name=short if last.count(short) == 1 else name,
            values=_of_one_kind(differing[name]),
            num_all=len(cells),
            is_log=short in log and all(isinstance(value, float) for value in differing[name].values()),
        )
        for name, short in zip(differing, last, strict=True)
    ]


def _plain(value: object) -> Value:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return json.dumps(value)


def _of_one_kind(values: Mapping[str, Value]) -> dict[str, Value]:
    """Return values as they are, or all as texts where some are."""
    if all(isinstance(value, float) for value in values.values()):
        return dict(values)
    return {name: value if isinstance(value, str) else f"{value:g}" for name, value in values.items()}


def _logarithmic(space: Space | None) -> set[str]:
    """Return the last part of the names of all ranges whose axis has equal ratios."""
    if space is None:
        return set()
    axes = [*space.shared.items(), *(each for own in space.branches.values() for each in own.items())]
    return {name.rpartition(".")[2] for name, axis in axes if isinstance(axis, Range) and axis.is_log}
