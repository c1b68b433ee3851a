"""Which configurations of a column finished cells were of: told to a sampler before a search begins."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from orchestrator.errors import UserError
from orchestrator.experiment import Cell, Column, expand
from orchestrator.search import Axis, Point, Range, Scalar, Told, warm_start

# So many points are tried for a cell whose values of lists are not told by their texts, e.g. `batch`.
_MOST_POINTS = 64


class FinishedCell(NamedTuple):
    """A cell that was trained to the end, by whatever sweep.

    Attributes:
        key: Its own.
        params: Its values as texts, as `Cell.params` has them.
        error: Of validation, at the epoch that was tested.
    """

    key: str
    params: Mapping[str, str]
    error: float


def told_at_first(column: Column, finished: Iterable[FinishedCell], *, asked: Iterable[Point] = ()) -> tuple[Told, ...]:
    """Return what a column's sampler is told of cells that were finished before, see `orchestrator.search.warm_start`.

    That a cell is the one that a point means, its key says.

    Args:
        column: The column.
        finished: All cells that are finished.
        asked: What the search has asked itself: it stays in it as that.
    """
    found: dict[Point, dict[int, float]] = {}
    made: dict[Point, dict[str, Cell]] = {}
    for each in finished:
        for point in _points(column, each.params):
            cell = _cells(column, point, made).get(each.key)
            if cell is not None:
                found.setdefault(point, {})[cell.seed] = each.error
                break
    return warm_start(column.space, found, seeds=column.seeds, asked=[*column.space.fixed, *asked])


def _cells(column: Column, point: Point, made: dict[Point, dict[str, Cell]]) -> dict[str, Cell]:
    if point not in made:
        try:
            cells = expand(column.experiment, [column.configuration(point)])
        except UserError:  # values of a training that is none of this file's
            cells = []
        made[point] = {cell.key: cell for cell in cells}
    return made[point]


def _points(column: Column, params: Mapping[str, str]) -> Iterator[Point]:
    """Yield the points that a cell with these values may be of."""
    for branch in column.space.branches:
        axes = column.space.axes(branch)
        values = [_values(axis, params.get(_param(name))) for name, axis in axes.items()]
        for each in itertools.islice(itertools.product(*values), _MOST_POINTS):
            yield Point(branch, tuple(zip(axes, each, strict=True)))


def _param(axis: str) -> str:
    """Return what a cell calls the value of an axis: it has the name of what is combined elsewhere."""
    first, *rest = axis.split(".")
    return f"{first}.{rest[-1]}" if rest else first


def _values(axis: Axis, text: str | None) -> tuple[Scalar, ...]:
    """Return which values of an axis a text may mean."""
    if not isinstance(axis, Range):
        meant = tuple(value for value in axis if text in (value, json.dumps(value)))
        return meant or axis
    try:
        value = json.loads(text or "")
    except ValueError:
        return ()
    return (value,) if isinstance(value, int | float) and axis.has(value) else ()
