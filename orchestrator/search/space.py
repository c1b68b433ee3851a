"""What a column's configurations are chosen from: branches with parameters of their own, and those that all share."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from orchestrator.search.ranges import Range

Scalar = bool | int | float | str | None
Axis = Range | tuple[Scalar, ...]


@dataclass(frozen=True)
class Point:
    """One configuration: a branch, and a value for each of its parameters and of the shared ones.

    Attributes:
        branch: E.g. the augmentation.
        values: Name and value, in the order of the space.
    """

    branch: str
    values: tuple[tuple[str, Scalar], ...] = ()

    def __getitem__(self, name: str) -> Scalar:
        return dict(self.values)[name]


@dataclass(frozen=True)
class Space:
    """Branches, each with its axes: a range, or a list of values, as a tuple. What has one value only is no axis.

    It is conditional by construction: a parameter exists in the branch alone that has it.

    Attributes:
        branches: Axes of each branch by name; none for one that has a single configuration.
        shared: Axes that all branches have, e.g. of the training.

    Raises:
        ValueError: There is no branch, a name is shared and a branch's, or a list is empty.
    """

    branches: Mapping[str, Mapping[str, Axis]]
    shared: Mapping[str, Axis] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.branches:
            raise ValueError("a space without a branch: give one at least")
        for branch, own in self.branches.items():
            if both := own.keys() & self.shared.keys():
                raise ValueError(f"{sorted(both)} of branch {branch!r} are shared, too: a name is one of both")
        if empty := [name for _, name, axis in self._all() if axis == ()]:
            raise ValueError(f"{empty} have no value")

    def _all(self) -> Iterator[tuple[str, str, Axis]]:
        yield from (("", name, axis) for name, axis in self.shared.items())
        yield from ((branch, name, axis) for branch, own in self.branches.items() for name, axis in own.items())

    @property
    def ranges(self) -> tuple[str, ...]:
        """The names of all ranges, ``branch.name`` where they are a branch's."""
        return tuple(f"{branch}.{name}".lstrip(".") for branch, name, axis in self._all() if isinstance(axis, Range))

    @property
    def fixed(self) -> tuple[Point, ...]:
        """The branches that are one configuration each: nothing is to be drawn, they are simply in the race."""
        return tuple(Point(branch) for branch in self.branches if not self.axes(branch))

    @property
    def drawn(self) -> tuple[str, ...]:
        """The branches that have something to draw."""
        return tuple(branch for branch in self.branches if self.axes(branch))

    @property
    def size(self) -> int:
        """How many points it has."""
        return sum(math.prod(map(_size, self.axes(branch).values())) for branch in self.branches)

    def axes(self, branch: str) -> dict[str, Axis]:
        """Return the axes of one branch, its own first."""
        return {**self.branches[branch], **self.shared}

    def has(self, point: Point) -> bool:
        """Return whether a point lies in the space."""
        if point.branch not in self.branches:
            return False
        axes, values = self.axes(point.branch), dict(point.values)
        return axes.keys() == values.keys() and all(_on(axis, values[name]) for name, axis in axes.items())

    def settled(self, point: Point) -> Point | None:
        """Return a point as this space writes it, whichever space it was asked in; None if it does not lie here."""
        if not self.has(point):
            return None
        return Point(point.branch, tuple((name, point[name]) for name in self.axes(point.branch)))

    def grid(self) -> Iterator[Point]:
        """Yield every point of a space of lists, in its order.

        Raises:
            ValueError: There is a range.
        """
        if self.ranges:
            raise ValueError(f"{', '.join(self.ranges)}: a range has no grid")
        for branch in self.branches:
            axes = self.axes(branch)
            lists = (axis for axis in axes.values() if not isinstance(axis, Range))
            for values in itertools.product(*lists):
                yield Point(branch, tuple(zip(axes, values, strict=True)))


def _on(axis: Axis, value: Scalar) -> bool:
    return axis.has(value) if isinstance(axis, Range) else value in axis


def _size(axis: Axis) -> int:
    return axis.size if isinstance(axis, Range) else len(set(axis))
