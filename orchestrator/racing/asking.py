"""Asks samplers, each question once: what is asked is kept, and stays in the search as long as the space has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from orchestrator.experiment import Column
from orchestrator.racing.kept import Kept, drawn_by, question
from orchestrator.search import Point, Told

# Of a column: how many points are asked, what is told, and what was asked before and stays.
Ask = Callable[[Column, int, Sequence[Told], Sequence[Point]], Sequence[Point]]


class Asker:
    """Answers what a search of a column asks.

    Args:
        column: The column.
        kept: Of the search.
        name_of: What a point is called: the ``config_key`` of its cells.
        ask: The sampler, for what is not kept; None asks none.

    Attributes:
        kept: With what was asked.
        has_asked: Whether all was kept, or could be asked.
    """

    def __init__(self, column: Column, kept: Kept, name_of: Callable[[Point], str], ask: Ask | None) -> None:
        self._column, self._name_of, self._ask = column, name_of, ask
        self.kept, self.has_asked = kept, True

    def points(self, num: int, told: Sequence[Told]) -> Sequence[Point]:
        """Return the next points, none if they are neither kept nor may be asked; see `orchestrator.search.Sampler`."""
        column = self._column
        if not column.search.is_drawn:
            return column.ask(num, told)  # the lists say it themselves
        asked = question(column, num, [self._name_of(each.point) for each in told])
        if asked not in self.kept.asked:
            if self._ask is None:
                self.has_asked = False
                return ()
            points = tuple(self._ask(column, num, told, self._stay()))
            by, named = drawn_by(column), {self._name_of(point): point for point in points}
            drawn = {**self.kept.drawn, by: {**self.kept.drawn.get(by, {}), **named}}
            self.kept = self.kept.model_copy(update={"asked": {**self.kept.asked, asked: points}, "drawn": drawn})
        return self.kept.asked[asked]

    def _stay(self) -> list[Point]:
        return list(staying(self._column, self.kept, self._name_of))


def staying(column: Column, kept: Kept, name_of: Callable[[Point], str]) -> Iterator[Point]:
    """Yield what the column's sampler was asked for before and its space still has, with the same training."""
    for name, point in kept.drawn.get(drawn_by(column), {}).items():
        settled = column.space.settled(point)
        if settled is not None and name_of(settled) == name:
            yield settled
