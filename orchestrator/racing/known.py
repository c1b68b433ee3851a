"""Which configurations of a search are known without its curves: from the start, or since they are kept."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.experiment import Column, Configuration, Experiment, columns
from orchestrator.racing.asking import Asker
from orchestrator.racing.kept import Kept, place
from orchestrator.search import Point, Told


def known_configurations(experiment: Experiment, kept: Kept | None) -> tuple[Configuration, ...]:
    """Return the configurations that an experiment is known to have, those of a data set and model together.

    Args:
        experiment: With or without a search.
        kept: Of its search; None if nothing is kept yet, and its sampler is asked for the first batch.

    Raises:
        UserError: Optuna is asked, and not installed.
    """
    if not experiment.drawn:
        return tuple(experiment.grid)
    kept = kept or Kept(sweep=experiment.name)
    return tuple(column.configuration(point) for column in columns(experiment) for point in _points(column, kept))


def _points(column: Column, kept: Kept) -> Iterator[Point]:
    """Yield the points of all batches that were asked: which they were is a matter of those before, not of curves."""
    told = [*kept.told.get(place(column), ())]
    yield from (each.point for each in told)
    asker = Asker(column, kept, column.name_of, None)
    for number, batch in enumerate(column.batches()):
        points = asker.points(batch.num, told)
        if not points and not number:
            points = Asker(column, kept, column.name_of, Column.ask).points(batch.num, told)
        if not points:
            return
        yield from points
        told += [Told(point, None) for point in points]
