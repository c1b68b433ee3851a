"""Of which images a statement is: of those that were tested on, or of new ones like them.

What is known of each test image says what other images would change. Where that is not there, a statement is of the
tested images alone.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.experiment import Cell
from orchestrator.results.metric import Metric
from orchestrator.storage import SomePredictions

if TYPE_CHECKING:  # it needs SciPy, which commands beside compare do not
    from orchestrator.results.statistics.few_images import Floors

Reader = Callable[[Cell, Sequence[str]], SomePredictions | None]
"""Returns these arrays of the predictions of a finished cell; None if there are none."""


@dataclass(frozen=True)
class Images:
    """What is known of the test images of a column.

    Attributes:
        floors: What new images add to the variance of the difference of two rows; None if that is not known.
        resolution: The least step between two values of the metric; None if that is not known.
        lacking: The first cell that has no predictions, or has those of other images than the cells before it; None if
            no cell lacks them, or nobody asked.
    """

    floors: Floors | None = None
    resolution: float | None = None
    lacking: Cell | None = None


@dataclass(frozen=True)
class FewImages:
    """On how few test images rows differ.

    Attributes:
        num_pairs: How many pairs of rows there are.
        num_few: How many of them differ on so few that more were added than were seen.
        num_none: How many differ on none.
    """

    num_pairs: int
    num_few: int
    num_none: int


def few_images(floors: Floors) -> FewImages | None:
    """Return on how few images rows differ; None where they differ on enough."""
    if not floors.seen:
        return None
    # Of what was averaged over seeds rounding leaves something.
    num_none = sum(seen < 1e-9 for seen in floors.seen.values())
    return FewImages(len(floors.variances), len(floors.seen), num_none)


def images_of(cells: Mapping[str, Mapping[int, Cell]], metric: Metric, read: Reader) -> Images:
    """Return what is known of a column's test images.

    Args:
        cells: With a value, by row and seed: of rows that are judged.
        metric: That is shown.
        read: Where predictions come from.
    """
    # It needs SciPy, which commands beside compare do not.
    from orchestrator.results.statistics import arrays_needed, image_floors, resolution_of

    needed = arrays_needed(metric.key)
    # Runs do not say which label a class has.
    if not needed or metric.is_of_class:
        return Images()
    found: dict[str, dict[Hashable, SomePredictions]] = {row: {} for row in cells}
    first: SomePredictions | None = None
    for row, of_row in cells.items():
        for seed, cell in of_row.items():
            predictions = read(cell, needed)
            if predictions is None or (first is not None and first.order != predictions.order):
                return Images(lacking=cell)
            first = first or predictions
            found[row][seed] = predictions
    assert first is not None, "a row that is judged has a value"
    return Images(image_floors(metric.key, found), resolution_of(metric.key, first))
