"""Which configurations of a search are known without its curves: from the start, or since they are kept."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.experiment import Column, Configuration, Experiment, columns
from orchestrator.racing.kept import Kept, place, question
from orchestrator.search import Point


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
    return tuple(
        column.configuration(point)
        for column in columns(experiment)
        for point in (kept is not None and tuple(_asked(column, kept))) or column.ask(column.batch)
    )


def _asked(column: Column, kept: Kept) -> Iterator[Point]:
    """Yield the points of all batches that were asked: which they were is a matter of those before, not of curves."""
    told = [column.name_of(each.point) for each in kept.told.get(place(column), ())]
    num_left = column.num_samples
    while num_left > 0:
        points = kept.asked.get(question(column, min(column.batch, num_left), told), ())
        if not points:
            return
        yield from points
        told += [column.name_of(point) for point in points]
        num_left -= len(points)
