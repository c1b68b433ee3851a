"""Claim: what `compare` says of a table is false in at most one of twenty tables, and finds what is there.

Run, half an hour of one core::

    python benchmarks/verdicts.py [--tables 8000] [--only PATTERN] [--slack 0] [--json PATH]

Tables are drawn, and judged by `orchestrator.results.statistics.analyse`. What is counted, and its bar:

* ``false word``: tables whose rows are all equal, and of which some row is called better or worse than the baseline;
* ``best kept``: those where a row that is as good as any (the first) is among those that may be the best;
* ``single star``: those where a single row is left that may be the best, while all are equal;
* ``power``: those where a row that is half a point better is called so;
* ``detectable``: as `power`, for the difference that the tables say they would find in 0.8 of all.

The rows are equal but for noise: normal; Student's t with three degrees of freedom; log-normal; counts of wrong images.
With the seeds' own part (``rho``), cells missing at random, and rows of unlike spread. ``--slack`` widens the bars, for
few tables. The exit code is 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from figures import origin, say, write_json
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from orchestrator.results.statistics import Analysis, analyse

SIGMA, SHIFT = 0.3, 0.5
Noise = Callable[[Generator, tuple[int, int]], NDArray[np.float64]]


def counts(num_images: int, error: float) -> Noise:
    """Return the error in percent on so many images, of which each is wrong with this probability."""
    return lambda rng, shape: 100 * rng.binomial(num_images, error, shape) / num_images


NOISES: dict[str, Noise] = {
    "normal": lambda rng, shape: rng.normal(0, SIGMA, shape),
    "t3": lambda rng, shape: SIGMA / np.sqrt(3) * rng.standard_t(3, shape),
    "log-normal": lambda rng, shape: SIGMA * np.exp(rng.normal(0, 0.75, shape)),
    "360 images, 1.2 %": counts(360, 0.012),
    "150 images, 30 %": counts(150, 0.3),
}


@dataclass(frozen=True)
class Scenario:
    """How tables are drawn, and what is asked of them.

    Attributes:
        rows: Of each table.
        seeds: Of each row.
        bars: What is counted, and the share of the tables that it may have at most, or at least where it is good.
        noise: Of a cell, by name.
        rho: The correlation of two rows over the seeds; of normal noise alone.
        wider: The spread of the last row, or of the baseline, as many times that of the others.
        missing: The share of cells that are missing.
        image_sigma: What the test images add to a row, the same for all of its seeds; what is asked is of new images.
        tables: At most so many, where they are large.
    """

    rows: int
    seeds: int
    bars: tuple[tuple[str, float], ...]
    noise: str = "normal"
    rho: float = 0.0
    wider: tuple[int, float] | None = None
    missing: float = 0.0
    image_sigma: float = 0.0
    tables: int = sys.maxsize

    @property
    def label(self) -> str:
        """All that differs from the plainest."""
        parts = [f"{self.rows} rows, {self.seeds} seeds", self.noise if self.noise != "normal" else ""]
        parts += [f"rho {self.rho}"] if self.rho else []
        if self.wider is not None:
            parts.append(f"{'baseline' if self.wider[0] == 0 else 'last row'} {self.wider[1]:g} times as wide")
        parts += [f"{self.missing:.0%} missing"] if self.missing else []
        parts += [f"new images, sigma {self.image_sigma}"] if self.image_sigma else []
        return ", ".join(filter(None, parts))


WORD, KEPT, STAR, POWER, DETECTABLE = "false word", "best kept", "single star", "power", "detectable"
GOOD = (KEPT, POWER)
EQUAL = ((WORD, 0.065), (KEPT, 0.935), (STAR, 0.055))
SCENARIOS = (
    *(Scenario(6, seeds, EQUAL, noise=noise) for noise in NOISES for seeds in (3, 5, 10)),
    *(Scenario(2, seeds, EQUAL, noise=noise) for noise in ("normal", "log-normal") for seeds in (3, 10)),
    *(Scenario(12, seeds, EQUAL) for seeds in (2, 3)),
    Scenario(54, 3, EQUAL, tables=8000),
    *(
        Scenario(6, seeds, ((WORD, bar), *(((KEPT, 0.90),) if seeds > 2 else ())), wider=wider)
        for seeds, bar in ((2, 0.11), (3, 0.10), (5, 0.08), (10, 0.07))
        for wider in ((0, 2.0), (-1, 3.0))
    ),
    *(
        Scenario(6, seeds, ((POWER, bar),), rho=rho)
        for rho, bars in ((0.0, (0.19, 0.39, 0.80)), (0.5, (0.42, 0.73, 0.97)))
        for seeds, bar in zip((3, 5, 10), bars, strict=True)
    ),
    *(Scenario(6, 5, EQUAL[:2], missing=missing) for missing in (0.1, 0.2)),
    *(Scenario(6, seeds, EQUAL[:1], image_sigma=sigma) for seeds in (3, 5, 20) for sigma in (0.1, 0.3, 0.6)),
    *(Scenario(rows, seeds, ((DETECTABLE, 0.80),)) for rows in (2, 6, 12) for seeds in (3, 5, 10)),
)
DETECTABLE_WITHIN = 0.03


def main() -> None:
    """Draw and judge the tables, print each share beside its bar, and say whether all are met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=8000, metavar="N", help="of each scenario (default: %(default)s)")
    parser.add_argument("--only", default="", metavar="PATTERN", help="scenarios whose names match this pattern")
    parser.add_argument("--slack", type=float, default=0.0, help="widens the bars (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures there, too")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {}
    missed = 0
    for number, scenario in enumerate(SCENARIOS):
        if not re.search(arguments.only, scenario.label):
            continue
        shares = measured(scenario, default_rng(number), min(arguments.tables, scenario.tables))
        figures.setdefault(scenario.label, {}).update(shares)
        for what, bar in scenario.bars:
            met = meets(what, shares[what], bar, slack=arguments.slack)
            missed += not met
            say(f"{scenario.label:48} {what:12} {shares[what]:.4f}  bar {bar:.3f}  {'met' if met else 'MISSED'}")
    if arguments.json:
        write_json(arguments.json, {"source": origin() | {"tables": arguments.tables}, "shares": figures})
    sys.exit(1 if missed or not figures else 0)


def meets(what: str, share: float, bar: float, *, slack: float) -> bool:
    """Return whether a share is as it should be."""
    if what == DETECTABLE:
        return abs(share - bar) <= DETECTABLE_WITHIN + slack
    return share >= bar - slack if what in GOOD else share <= bar + slack


def measured(scenario: Scenario, rng: Generator, num_tables: int) -> dict[str, float]:
    """Return the share of so many tables for each thing that the scenario asks."""
    wanted = {what for what, _ in scenario.bars}
    shift = SHIFT if POWER in wanted else 0.0
    if DETECTABLE in wanted:
        stated = [judged(scenario, rng, 0.0).detectable or np.nan for _ in range(num_tables // 2)]
        shift = float(np.nanmedian(stated))
    analyses = [judged(scenario, rng, shift) for _ in range(num_tables)]
    found = {
        WORD: [any(row.verdict in ("better", "worse") for row in each.rows.values()) for each in analyses],
        KEPT: ["r0" in each.may_be_best for each in analyses],
        STAR: [len(each.may_be_best) == 1 for each in analyses],
        POWER: [each.rows["r1"].verdict == "better" for each in analyses],
    }
    found[DETECTABLE] = found[POWER]
    return {what: float(np.mean(found[what])) for what in wanted}


def judged(scenario: Scenario, rng: Generator, shift: float) -> Analysis:
    """Return what is said of one table, whose second row is better by `shift`."""
    shape = (scenario.rows, scenario.seeds)
    table = NOISES[scenario.noise](rng, shape)
    if scenario.rho:
        common = rng.normal(0, SIGMA, (1, scenario.seeds))
        table = np.sqrt(1 - scenario.rho) * table + np.sqrt(scenario.rho) * common
    if scenario.wider is not None:
        table[scenario.wider[0]] *= scenario.wider[1]
    table = table + rng.normal(0, 1, (scenario.rows, 1)) * scenario.image_sigma
    table[1] -= shift
    while True:
        there = rng.random(shape) >= scenario.missing
        if there.sum(axis=1).min() > 1:
            break
    labels = [f"r{row}" for row in range(scenario.rows)]
    values = {
        label: {seed: float(table[row, seed]) for seed in range(scenario.seeds) if there[row, seed]}
        for row, label in enumerate(labels)
    }
    of_images = {(one, other): 2 * scenario.image_sigma**2 for one in labels for other in labels if one != other}
    return analyse(
        values,
        baseline="r0",
        higher_is_better=False,
        image_variance=of_images if scenario.image_sigma else None,
        resolution=1e-6,
    )


if __name__ == "__main__":
    main()
