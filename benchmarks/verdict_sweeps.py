"""What is done with more than one table: looks while seeds are added, screen and confirm, the test mean of what was
chosen, claims over data sets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from verdict_bars import ALL, SHIFT, SIGMA, Bar, Claim, Floats, said_of

from orchestrator.results.statistics import looks_alpha, partial_conjunction
from orchestrator.results.statistics.fit import fit
from orchestrator.results.statistics.leave_out import leave_one_seed_out
from orchestrator.results.statistics.pairs import Pairs


def grid() -> Floats:
    """Return how much better than erm 54 settings are, in points: a ridge in gamma x N, the best by half a point."""
    gamma, num_mixed = np.meshgrid(np.arange(6), np.arange(9), indexing="ij")
    lead: Floats = SHIFT * np.exp(-(((gamma - 2 - num_mixed / 6) / 1.2) ** 2) - ((num_mixed - 4) / 4) ** 2)
    return lead.ravel()


@dataclass(frozen=True)
class Looks:
    """Six equal rows that are looked at with 3, 4, ... 10 seeds: a word at any look counts.

    Attributes:
        first: Before the first look there was one with two seeds, the word of which does not count: `seeds were added`;
            or there was none, and the first look has the whole error rate: `one look`.
        bars: See `Claim`.
        tables: Likewise.
    """

    first: str
    bars: tuple[Bar, ...]
    tables: int = ALL

    @property
    def label(self) -> str:
        """What the first look is."""
        return f"looks at 3 to 10 seeds, the first as if {self.first}"

    def measured(self, rng: Generator, num_tables: int) -> dict[str, float]:
        """Return the share of tables with a false word at some look."""
        tables = rng.normal(0, SIGMA, (num_tables, 6, 10))
        looks = [] if self.first == "one look" else [range(2)]
        has_word = np.zeros(num_tables, dtype=bool)
        for seeds in range(3, 11):
            has_word |= said_of(tables[:, :, :seeds], alpha=looks_alpha(looks, range(seeds))).has_word
            looks.append(range(seeds))
        return {"false word": float(has_word.mean())}


@dataclass(frozen=True)
class Confirmed:
    """54 settings and erm: two seeds each, then the best three and erm on ten fresh seeds; or three seeds in one shot.

    150 cells in all, against 165. The best of the last table is what would be written down: how often it is called
    better than erm, and by how many points its lead is more than the truth.
    """

    tables: int = ALL
    label: str = "screen and confirm, 54 settings and erm"
    bars: tuple[Bar, ...] = (Bar("separated", least=0.70), Bar("overstated", most=0.07))

    def measured(self, rng: Generator, num_tables: int) -> dict[str, float]:
        """Return shares and points, of either way."""
        truth = np.concatenate([[0.0], -grid()])
        screened = (truth[:, None] + rng.normal(0, SIGMA, (num_tables, len(truth), 2))).mean(axis=2)
        best = 1 + np.argsort(screened[:, 1:], axis=1)[:, :3]
        final = truth[np.concatenate([np.zeros((num_tables, 1), int), best], axis=1)]
        one_shot = _best_of(np.broadcast_to(truth, (num_tables, len(truth))), rng, 3)
        return _best_of(final, rng, 10) | {f"{what}, one shot": figure for what, figure in one_shot.items()}


def _best_of(truth: Floats, rng: Generator, num_seeds: int) -> dict[str, float]:
    """Return how often the best row of a table is called better than the first, and what its lead is too large by.

    Args:
        truth: Of the rows of each table, [tables, rows].
        rng: Draws the cells.
        num_seeds: Of each row.
    """
    cells = truth[:, :, None] + rng.normal(0, SIGMA, (*truth.shape, num_seeds))
    found = said_of(cells)
    best = found.difference.argmin(axis=1)[:, None]
    lead = np.take_along_axis(truth[:, 1:], best, axis=1) - truth[:, :1]
    overstated = lead - np.take_along_axis(found.difference, best, axis=1)
    separated = np.take_along_axis(found.high, best, axis=1) < 0
    return {"separated": float(separated.mean()), "overstated": float(overstated.mean())}


@dataclass(frozen=True)
class Chosen:
    """The best of 54 settings by validation, three seeds; its errors there and in the test correlate by one half.

    Attributes:
        spread: Of the settings' true errors: that of the grid, or none (all are equal).
        bars: See `Claim`.
        tables: Likewise.
    """

    spread: str
    bars: tuple[Bar, ...] = (Bar("off", most=0.03),)
    tables: int = ALL

    @property
    def label(self) -> str:
        """Whether the settings differ."""
        return f"the choice's test mean, 54 settings {self.spread}"

    def measured(self, rng: Generator, num_tables: int) -> dict[str, float]:
        """Return by how many points it is off in the mean, of the seeds left out and of the plain mean."""
        truth = -grid() if self.spread == "on a ridge" else np.zeros(54)
        left_out, plain = [], []
        for _ in range(num_tables):
            validation, own = rng.normal(0, SIGMA, (2, 54, 3))
            test = truth[:, None] + (validation + np.sqrt(3) * own) / 2
            validation += truth[:, None]
            best = int(validation.mean(axis=1).argmin())
            by_row = [
                {str(row): dict(enumerate(of)) for row, of in enumerate(each.tolist())} for each in (validation, test)
            ]
            mean = leave_one_seed_out(by_row[0], by_row[1], higher_is_better=False)
            assert mean is not None
            left_out.append(mean - truth[best])
            plain.append(test[best].mean() - truth[best])
        return {"off": abs(float(np.mean(left_out))), "plain mean off": abs(float(np.mean(plain)))}


@dataclass(frozen=True)
class Conjunction:
    """Four data sets of six rows and five seeds; a row is far better on some of them, and equal on the others.

    Attributes:
        better: On how many it is.
        bars: See `Claim`.
        tables: Of four data sets each.
    """

    better: int
    bars: tuple[Bar, ...] = (Bar("claimed too many", most=0.065),)
    tables: int = ALL

    @property
    def label(self) -> str:
        """On how many of how many."""
        return f"claims over 4 data sets, better on {self.better}"

    def measured(self, rng: Generator, num_tables: int) -> dict[str, float]:
        """Return the share of tables of which it is said to be better on more data sets than it is."""
        tables = rng.normal(0, SIGMA, (4, num_tables, 6, 5))
        tables[: self.better, :, 1] -= 10 * SIGMA
        p_values = []
        for of_dataset in tables:
            fitted = fit(of_dataset, resolution=1e-6)
            assert fitted is not None
            pairs = Pairs.of(fitted)
            p_values.append(np.where(pairs.differences[:, 1, 0] < 0, pairs.p_values(0)[:, 1], 1.0))
        claimed = np.array([partial_conjunction(of_table) for of_table in np.array(p_values).T.tolist()])
        return {"claimed too many": float((claimed > self.better).mean()), "claimed": float(claimed.mean())}


CLAIMS: tuple[Claim, ...] = (
    Confirmed(),
    Looks("seeds were added", (Bar("false word", most=0.06),)),
    Chosen("on a ridge"),
    Chosen("all equal"),
    *(Conjunction(better) for better in (0, 2)),
    Looks("one look", ()),
)
