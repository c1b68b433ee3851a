"""Which batches of an epoch make one step of the optimizer together."""

from __future__ import annotations

from typing import NamedTuple

from orchestrator.errors import CellError


class Part(NamedTuple):
    """A batch as a part of an optimizer step.

    Attributes:
        number: Which part of the step it is, from 1.
        of: How many there are.
    """

    number: int
    of: int

    @property
    def is_last(self) -> bool:
        """Whether the step is taken with it."""
        return self.number == self.of


WHOLE_STEP = Part(1, 1)


def parts_of_epoch(num_batches: int, accumulate: int | None) -> list[Part]:
    """Return the part that each batch of an epoch is: of steps of `accumulate` batches, the last of what is left.

    Raises:
        CellError: An epoch has fewer batches than that.
    """
    check_accumulate(num_batches, accumulate)
    size = accumulate or 1
    return [Part(batch % size + 1, min(size, num_batches - batch // size * size)) for batch in range(num_batches)]


def check_accumulate(num_batches: int, accumulate: int | None) -> None:
    """Raise CellError if an epoch has fewer batches than are to make one step: each epoch would be one step of them."""
    if accumulate is not None and accumulate > num_batches:
        raise CellError(
            f"train.accumulate={accumulate} batches are to make one step, and an epoch has {num_batches:,}",
            remedy="lower train.accumulate or train.batch_size_per_worker",
        )
