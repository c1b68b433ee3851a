"""About which images a column's statements are, and why not about new ones: the same words everywhere."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.results.comparison import Column, Comparison

# What there is to mend, and what there is not.
LACKING = (
    "what is said is of these test images alone, since {cell} has no predictions of each image, or of others: "
    "zetasweep doctor --fix computes what is missing"
)
OF_CLASS = (
    "what is said is of these test images alone, since of a metric of one class it is not kept which of the images are "
    "of that class"
)
NOT_OF_TEST = "what is said is of these images alone, since predictions of each image are kept of the test alone"
UNKNOWN = (
    "what is said is of these test images alone, since what is kept of each image does not say what others would "
    "change in this metric"
)


@dataclass(frozen=True)
class About:
    """What a column's statements are about.

    Attributes:
        new: New images like the tested ones, and not these alone.
        in_folds: Each fold has test images of its own, so that the spread over folds allows for new ones.
        why: Why they are about these images alone, and what to do where something can be done: a clause without a full
            stop; empty if they are about new ones.
    """

    new: bool
    in_folds: bool = False
    why: str = ""

    @property
    def text(self) -> str:
        """In a few words."""
        if self.new:
            return "new images like these"
        return f"trainings on these {'validation' if self.why == NOT_OF_TEST else 'test'} images"


def about(comparison: Comparison, column: Column) -> About:
    """Return what is said first of a column is about."""
    headline = comparison.headline(column)
    if headline is not None and headline.in_folds:
        return About(new=True, in_folds=True)
    if column in comparison.new_images:
        return About(new=True)
    if column in comparison.lacking:
        return About(new=False, why=LACKING.format(cell=comparison.lacking[column].label))
    if comparison.metric.stage != "test":
        return About(new=False, why=NOT_OF_TEST)
    return About(new=False, why=OF_CLASS if comparison.metric.is_of_class else UNKNOWN)
