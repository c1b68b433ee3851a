"""What a race costs at most, and how a budget makes it narrower: in epochs of one cell, known before it starts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from orchestrator.errors import UserError
from orchestrator.search.rungs import Rung


def most_epochs(rungs: Sequence[Rung], num_configurations: int, *, num_kept: int = 0) -> int:
    """Return how many epochs a race trains at most, all cells together.

    It is exactly so many if no cell fails and all that are never stopped (``search.keep``) are there; what is trained
    already is counted, since the decisions rest on it.

    Args:
        rungs: As `check_rungs` allows them.
        num_configurations: In the first rung.
        num_kept: Those that are never stopped, which go on beside the rung's own.
    """
    total = trained = 0
    entered = num_configurations
    for rung in rungs:
        total += entered * (rung.seeds * rung.epochs - trained)
        trained = rung.seeds * rung.epochs
        entered = min(entered, rung.keep + num_kept)
    return total


class MostCells(NamedTuple):
    """How many cells a race has at most.

    Attributes:
        started: That train at all.
        finished: That train to the end.
        paused: That wait at the same time with a checkpoint, for their next leg or for ever.
    """

    started: int
    finished: int
    paused: int


def most_cells(rungs: Sequence[Rung], num_configurations: int, *, num_kept: int = 0) -> MostCells:
    """Return how many cells a race starts, finishes and pauses at most; arguments of `most_epochs`."""
    started = finished = paused = begun = ended = 0
    entered, epochs = num_configurations, rungs[-1].epochs
    for rung in rungs:
        started, begun = started + entered * (rung.seeds - begun), rung.seeds
        if rung.epochs == epochs:
            finished, ended = finished + entered * (rung.seeds - ended), rung.seeds
        paused = max(paused, started - finished)
        entered = min(entered, rung.keep + num_kept)
    return MostCells(started, finished, paused)


def within(rungs: Sequence[Rung], num_configurations: int, *, epochs: int, num_kept: int = 0) -> tuple[Rung, ...]:
    """Return the rungs with as many configurations going on as a budget lets; as they are, if it is enough.

    All ``keep`` are lowered alike, so that the race still ends, with a winner that has all seeds. Nobody loses a rung
    that others had: a configuration is stopped where it stands, and not where the budget happens to be used up.

    Args:
        rungs: As `check_rungs` allows them.
        num_configurations: In the first rung.
        epochs: The budget, of all cells together.
        num_kept: See `most_epochs`.

    Raises:
        UserError: The first rung and one configuration that goes on need more than that.
    """
    first = rungs[0].keep
    for keep in range(first, 0, -1):
        narrow = tuple(rung._replace(keep=max(1, rung.keep * keep // first)) for rung in rungs)
        least = most_epochs(narrow, num_configurations, num_kept=num_kept)
        if least <= epochs:
            return narrow
    raise UserError(
        f"budget: {epochs:,} epochs, for {num_configurations} configurations",
        allowed=f"{least:,} epochs at least: the first rung of all, and one that is trained to the end",
        remedy="Raise the budget, or try fewer configurations.",
    )


class Batch(NamedTuple):
    """A batch of a search, as it is known before it is asked.

    Attributes:
        num: So many configurations are asked.
        rungs: That they race over, as narrow as the budget makes them.
        epochs: So many it trains at most, see `most_epochs`.
    """

    num: int
    rungs: tuple[Rung, ...]
    epochs: int


def batches_of(
    num_samples: int,
    *,
    batch: int,
    rungs_of: Callable[[int], Sequence[Rung]],
    num_kept: int = 0,
    budget: int | None = None,
) -> tuple[Batch, ...]:
    """Return the batches of a search: all of them, or the first ones, which a budget suffices for.

    It is a matter of the file alone, and not of what became of a batch: so nobody trains more than was planned.

    Args:
        num_samples: Configurations in all.
        batch: So many at once; the last one has what is left.
        rungs_of: The rungs for so many configurations.
        num_kept: See `most_epochs`.
        budget: Epochs in all: the batch that it does not suffice for is raced by fewer, or else not asked.

    Raises:
        UserError: It does not suffice for the first batch.
    """
    found: list[Batch] = []
    for first in range(0, num_samples, batch):
        num = min(batch, num_samples - first)
        rungs = tuple(rungs_of(num))
        if budget is not None:
            try:
                rungs = within(rungs, num, epochs=budget - sum(each.epochs for each in found), num_kept=num_kept)
            except UserError:
                if not found:
                    raise
                break
        found.append(Batch(num, rungs, most_epochs(rungs, num, num_kept=num_kept)))
    return tuple(found)


def least_epochs(batch: Batch, *, num_kept: int = 0) -> int:
    """Return how many epochs a batch cannot do without: its first rung, and one that is trained to the end."""
    narrow = tuple(rung._replace(keep=1) for rung in batch.rungs)
    return most_epochs(narrow, batch.num, num_kept=num_kept)


def epochs_of(device_hours: float, *, epoch_s: float, num_devices: float) -> int:
    """Return how many epochs of a cell a budget of device hours is.

    Whoever calls it does so with the speed of the first rung, and keeps that: by another one later it would be another
    race.

    Args:
        device_hours: The budget: two devices for an hour are two.
        epoch_s: Of one cell, in seconds; the median of the first rung.
        num_devices: That a cell trains on: GPUs, maybe a share of one, or where there are none its slot as one.

    Raises:
        ValueError: One of them is not above 0.
    """
    if not (device_hours > 0 and epoch_s > 0 and num_devices > 0):
        raise ValueError(f"{device_hours} device hours at {epoch_s} s on {num_devices}: each is above 0")
    return math.floor(device_hours * 3600 / (epoch_s * num_devices))
