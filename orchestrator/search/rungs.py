"""The rungs of a race: how many seeds until which epoch, and how many configurations go on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from orchestrator.errors import UserError

_REPLICATES = "Give two seeds or more, or leave `race` out: one seed cannot tell a better configuration from luck."


class Rung(NamedTuple):
    """What every configuration that is still there trains before some are stopped.

    Attributes:
        seeds: The first so many seeds of the file.
        epochs: Until this epoch, counted from the first of the training.
        keep: So many configurations go on; of the last rung one, the winner.
    """

    seeds: int
    epochs: int
    keep: int


def ladder(num_configurations: int, num_seeds: int, epochs: int) -> tuple[Rung, ...]:
    """Return the rungs of ``race: ladder``, which grow in seeds and epochs alike.

    One seed to a quarter of the epochs, two thirds of the configurations go on; two seeds to the half, one third; two
    seeds to the end, one sixth; all seeds. Each number is rounded down, so that a race of twelve configurations or more
    with five seeds and four epochs or more trains less than a third of the grid's epochs; two configurations at least
    have all seeds. A rung that would stop none is left out; of two configurations, all that is left is the grid.

    On three tables of learning curves its winners were as good as the grid's for 0.317 of the epochs; few epochs alone,
    halving with all seeds, found better ones for 0.417, and one seed to the end worse ones for 0.2: see
    ``benchmarks/race.py``.

    Args:
        num_configurations: At least 1.
        num_seeds: At least 2.
        epochs: Of the whole training, at least 1.

    Raises:
        UserError: One of them is less than that.
    """
    _check_size(num_configurations, num_seeds, epochs)
    quarter, half, all_epochs = ladder_epochs(epochs)
    wanted = (
        Rung(1, quarter, num_configurations * 2 // 3),
        Rung(2, half, num_configurations // 3),
        Rung(2, all_epochs, num_configurations // 6),
    )
    # Of rungs that train the same, the last stops whom the others do: of two seeds, or of very few epochs.
    rungs = {rung[:2]: rung._replace(keep=max(2, rung.keep)) for rung in wanted}
    rungs.pop((num_seeds, epochs), None)
    found, left = [], num_configurations
    for rung in rungs.values():
        if rung.keep < left:
            found.append(rung)
            left = rung.keep
    return (*found, Rung(num_seeds, epochs, 1))


def ladder_epochs(epochs: int) -> tuple[int, int, int]:
    """Return with which epochs the rungs of a `ladder` end."""
    return max(1, epochs // 4), max(1, epochs // 2), epochs


def check_rungs(
    rungs: Sequence[Rung], *, num_configurations: int, num_seeds: int, epochs: int, warmup_epochs: float = 0
) -> None:
    """Refuse rungs that cannot be raced, or that say less than they cost.

    Args:
        rungs: Of a file, or of `ladder`.
        num_configurations: Of the column.
        num_seeds: Of the file.
        epochs: Of the whole training.
        warmup_epochs: While the learning rate still grows, no configuration shows what it is.

    Raises:
        UserError: Says which rung, and what is allowed.
    """
    _check_size(num_configurations, num_seeds, epochs)
    if not rungs:
        raise UserError("race: it has no rung", allowed="ladder, or one rung at least")
    for number, rung in enumerate(rungs, start=1):
        _check_rung(f"rung {number} of the race", rung, num_seeds=num_seeds, epochs=epochs, warmup_epochs=warmup_epochs)
    for number, (before, rung) in enumerate(pairwise(rungs), start=2):
        what = f"rung {number} of the race"
        if rung.seeds < before.seeds or rung.epochs < before.epochs:
            raise UserError(
                f"{what}: {rung.seeds} x {rung.epochs} after {before.seeds} x {before.epochs} seeds x epochs",
                allowed="as many seeds and epochs as the rung before, or more",
                remedy="Sort the rungs: what is trained cannot be taken back.",
            )
        if rung.keep > before.keep:
            raise UserError(
                f"{what}: keep = {rung.keep}, of {before.keep} that are left",
                allowed=f"1 to {before.keep}",
                remedy="Keep fewer than the rung before.",
            )
    if rungs[-1][:2] != (num_seeds, epochs):
        last = rungs[-1]
        raise UserError(
            f"the last rung of the race: {last.seeds} seeds, {last.epochs} epochs",
            allowed=f"all {num_seeds} seeds and all {epochs} epochs",
            remedy=f"Add {{seeds: {num_seeds}, epochs: {epochs}, keep: 1}}: the winner's mean is over all seeds.",
        )


def _check_size(num_configurations: int, num_seeds: int, epochs: int) -> None:
    if num_configurations < 1 or epochs < 1:
        raise UserError(
            f"a race of {num_configurations} configurations over {epochs} epochs", allowed="1 at least of either"
        )
    if num_seeds < 2:
        raise UserError(f"a race with {num_seeds} seed", allowed="2 seeds at least", remedy=_REPLICATES)


def _check_rung(what: str, rung: Rung, *, num_seeds: int, epochs: int, warmup_epochs: float) -> None:
    for name, value, most in (("seeds", rung.seeds, num_seeds), ("epochs", rung.epochs, epochs)):
        if not 1 <= value <= most:
            raise UserError(
                f"{what}: {name} = {value}", allowed=f"1 to {most}", remedy=f"Lower it, or raise the file's {name}."
            )
    if rung.keep < 1:
        raise UserError(f"{what}: keep = {rung.keep}", allowed="1 at least", remedy="Keep one configuration or more.")
    if rung.epochs <= warmup_epochs:
        raise UserError(
            f"{what}: it ends with epoch {rung.epochs}, and the warm-up with epoch {warmup_epochs:g}",
            allowed=f"more than {warmup_epochs:g} epochs",
            remedy="Shorten the warm-up, train more epochs, or write rungs out that end later.",
        )
