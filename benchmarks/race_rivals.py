"""What others do with the same learning curves: ASHA, which stops single trainings; and what is counted of a winner."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_FOLDER = Path(__file__).parent / "curves"


@dataclass(frozen=True, eq=False)
class Table:
    """Learning curves of all configurations with all seeds.

    Attributes:
        arms: What each configuration is, [arms].
        val: Validation error, a share, [arms, seeds, epochs].
        test: Test error at the end, in points, [arms, seeds].
    """

    arms: tuple[str, ...]
    val: Floats
    test: Floats

    @classmethod
    def of(cls, name: str) -> Table:
        """Read a table of ``benchmarks/curves``."""
        with np.load(_FOLDER / f"{name}.npz") as content:
            return cls(tuple(map(str, content["arms"])), content["val"], 100 * content["test"])

    @property
    def lowest_so_far(self) -> Table:
        """The same with the lowest error until each epoch, as the product reads it: that epoch's weights are tested."""
        return Table(self.arms, np.minimum.accumulate(self.val, axis=2), self.test)

    @property
    def regret(self) -> Floats:
        """How much worse than the best each configuration is, by the test with all seeds, in points, [arms]."""
        means: Floats = self.test.mean(axis=1)
        return means - means.min()

    @property
    def tied(self) -> NDArray[np.bool_]:
        """Whether all seeds do not separate a configuration from the best: paired t, 5 % for each, [arms]."""
        from scipy.stats import ttest_rel

        best = int(self.regret.argmin())
        with np.errstate(invalid="ignore"):
            tied = np.asarray(ttest_rel(self.test, self.test[[best]], axis=1).pvalue > 0.05)
        # From itself nothing separates it.
        tied[best] = True
        return tied


@dataclass(eq=False)
class Asha:
    """Ray Tune's ASHAScheduler, as it stops by default: one bracket, grace period 1, reduction factor 3.

    A training goes on if at a milestone its value is among the best third of those that were there so far. Source: Li
    et al., "A system for massively parallel hyperparameter tuning", MLSys 2020; `_Bracket` of
    ``ray.tune.schedulers.async_hyperband``.

    Attributes:
        epochs: Of a training.
    """

    epochs: int
    _recorded: dict[int, dict[int, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        milestones = [3**k for k in range(1 + int(math.log(self.epochs, 3) + 1e-9))]
        self._recorded = {milestone: {} for milestone in reversed(milestones) if milestone < self.epochs}

    def stops(self, trial: int, epoch: int, error: float) -> bool:
        """Take what a training reports, and return whether it ends there."""
        if epoch >= self.epochs:
            return True
        for milestone, recorded in self._recorded.items():
            if epoch >= milestone and trial not in recorded:
                before = list(recorded.values())
                recorded[trial] = error
                return bool(before) and error > float(np.quantile(before, 1 / 3))
        return False


def asha(val: Floats, order: Sequence[tuple[int, int]], *, num_slots: int = 4) -> tuple[int, int, bool]:
    """Return the winner of ASHA, how many epochs were trained, and whether the winner had one seed at the end only.

    The winner is the configuration of the training whose last value is the best, as ``get_best_result`` of Ray Tune.

    Args:
        val: Of the seeds that are raced, [arms, seeds, epochs].
        order: Arm and seed of each trial, as they start.
        num_slots: Trainings at a time, which report in turn.
    """
    scheduler, waiting, running = Asha(val.shape[2]), list(enumerate(order))[::-1], dict[int, int]()
    last: dict[int, tuple[int, float]] = {}
    while waiting or running:
        while waiting and len(running) < num_slots:
            running[waiting.pop()[0]] = 0
        for trial in list(running):
            running[trial] = epoch = running[trial] + 1
            error = float(val[(*order[trial], epoch - 1)])
            last[trial] = (epoch, error)
            if scheduler.stops(trial, epoch, error):
                del running[trial]
    best = min(last, key=lambda trial: last[trial][1])
    arm = order[best][0]
    finished = sum(order[trial][0] == arm and epoch == val.shape[2] for trial, (epoch, _) in last.items())
    return arm, sum(epoch for epoch, _ in last.values()), finished <= 1


def order_of(rng: Generator, num_arms: int, num_seeds: int) -> list[tuple[int, int]]:
    """Return all trials in an order by chance."""
    return [divmod(int(place), num_seeds) for place in rng.permutation(num_arms * num_seeds)]
