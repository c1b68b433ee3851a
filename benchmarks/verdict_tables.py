"""Tables of numbers: false words, power, and the difference that is said to be seen, about these test images."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from verdict_bars import ALL, SHIFT, SIGMA, Bar, Claim, Floats, joined, said_of

from orchestrator.results.statistics import RESOLUTION, analyse

Noise = Callable[[Generator, tuple[int, ...]], Floats]


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
# Tables that lack the same cells, where some are missing: they are judged at once.
_OF_A_PATTERN = 20
STEPS = {"360 images, 1.2 %": 100 / 360, "150 images, 30 %": 100 / 150}


@dataclass(frozen=True)
class Tables:
    """Rows that are equal but for noise, and for the second, where power is asked.

    Attributes:
        rows: Of each table.
        seeds: Of each row.
        bars: What is counted of them.
        noise: Of a cell, by name.
        rho: The correlation of two rows over the seeds; of normal noise alone.
        wider: The spread of the last row, or of the baseline, as many times that of the others.
        missing: The share of cells that are missing.
        image_sigma: What the test images add to a row, the same for all of its seeds, and is known; what is asked is of
            new images.
        tables: See `Claim`.
    """

    rows: int
    seeds: int
    bars: tuple[Bar, ...]
    noise: str = "normal"
    rho: float = 0.0
    wider: tuple[int, float] | None = None
    missing: float = 0.0
    image_sigma: float = 0.0
    tables: int = ALL

    @property
    def label(self) -> str:
        """All that differs from the plainest."""
        parts = [f"{self.rows} rows, {self.seeds} seeds", self.noise if self.noise != "normal" else ""]
        parts += [f"rho {self.rho}"] if self.rho else []
        if self.wider is not None:
            parts.append(f"{'baseline' if self.wider[0] == 0 else 'last row'} {self.wider[1]:g} times as wide")
        parts += [f"{self.missing:.0%} missing"] if self.missing else []
        parts += [f"images add {self.image_sigma}"] if self.image_sigma else []
        return ", ".join(filter(None, parts))

    def measured(self, rng: Generator, num_tables: int) -> dict[str, float]:
        """Return the shares of the tables that the bars are of."""
        wanted = {bar.what for bar in self.bars}
        if DETECTABLE in wanted:
            return {DETECTABLE: self._power_of_stated(rng, num_tables)}
        tables = self.drawn(rng, num_tables, shift=SHIFT if POWER in wanted else 0.0)
        parts = np.split(tables, range(_OF_A_PATTERN, num_tables, _OF_A_PATTERN)) if self.missing else [tables]
        found = joined(said_of(part, resolution=STEPS.get(self.noise, RESOLUTION)) for part in parts)
        shares = {
            WORD: found.has_word,
            KEPT: found.may_be_best[:, 0],
            STAR: found.may_be_best.sum(axis=1) == 1,
            POWER: found.high[:, 0] < 0,
        }
        told = {OUT: float((~found.may_be_best.all(axis=1)).mean())} if STAR in wanted else {}
        return {bar.what: float(shares[bar.what].mean()) for bar in self.bars} | told

    def drawn(self, rng: Generator, num_tables: int, *, shift: float = 0.0) -> Floats:
        """Return tables whose second row is better by `shift`, NaN where a cell is missing, [tables, rows, seeds]."""
        shape = (num_tables, self.rows, self.seeds)
        tables = NOISES[self.noise](rng, shape)
        if self.rho:
            common = rng.normal(0, SIGMA, (num_tables, 1, self.seeds))
            tables = np.sqrt(1 - self.rho) * tables + np.sqrt(self.rho) * common
        if self.wider is not None:
            tables[:, self.wider[0]] *= self.wider[1]
        tables += self.image_sigma * rng.normal(0, 1, (num_tables, self.rows, 1))
        tables[:, 1] -= shift
        tables[np.repeat(self._gaps(rng, -(-num_tables // _OF_A_PATTERN)), _OF_A_PATTERN, axis=0)[:num_tables]] = np.nan
        return tables

    def _gaps(self, rng: Generator, num: int) -> NDArray[np.bool_]:
        """Return which cells are missing; each row has two at least, and each seed one, [num, rows, seeds]."""
        gaps = rng.random((num, self.rows, self.seeds)) < self.missing
        while True:
            poor = ((~gaps).sum(axis=2).min(axis=1) < 2) | np.any(gaps.all(axis=1), axis=1)
            if not poor.any():
                return gaps
            gaps[poor] = rng.random((poor.sum(), *gaps.shape[1:])) < self.missing

    def _power_of_stated(self, rng: Generator, num_tables: int) -> float:
        """Return how often the difference is found that tables of the kind say, in the median, to find."""
        rows = [str(row) for row in range(self.rows)]
        of_images = dict.fromkeys(itertools.combinations(rows, 2), 2 * self.image_sigma**2)
        stated = []
        for table in self.drawn(rng, max(num_tables // 40, 100)):
            values = {row: dict(enumerate(of_row)) for row, of_row in zip(rows, table.tolist(), strict=True)}
            found = analyse(values, baseline=rows[0], higher_is_better=False, image_variance=of_images)
            stated.append(found.detectable or np.nan)
        tables = self.drawn(rng, num_tables, shift=float(np.nanmedian(stated)))
        variances = np.full((num_tables, self.rows, self.rows), 2 * self.image_sigma**2)
        return float((said_of(tables, variances).high[:, 0] < 0).mean())


WORD, KEPT, STAR, POWER, DETECTABLE = "false word", "best kept", "single star", "power", "detectable"
OUT = "any ruled out"
EQUAL = (Bar(WORD, most=0.065), Bar(KEPT, least=0.935), Bar(STAR, most=0.055))
# In the order of importance.
CLAIMS: tuple[Claim, ...] = (
    *(Tables(6, seeds, EQUAL) for seeds in (3, 5, 10)),
    *(
        Tables(6, seeds, (Bar(POWER, least=least),), rho=rho)
        for rho, bars in ((0.0, (0.19, 0.39, 0.80)), (0.5, (0.42, 0.73, 0.97)))
        for seeds, least in zip((3, 5, 10), bars, strict=True)
    ),
    *(
        Tables(6, seeds, (Bar(WORD, most=most), *((Bar(KEPT, least=0.90),) if seeds > 2 else ())), wider=wider)
        for seeds, most in ((2, 0.11), (3, 0.10), (5, 0.08), (10, 0.07))
        for wider in ((0, 2.0), (-1, 3.0))
    ),
    *(Tables(6, 5, EQUAL[:2], missing=missing) for missing in (0.1, 0.2)),
    *(Tables(rows, seeds, (Bar(DETECTABLE, 0.83, 0.77),)) for rows in (2, 6, 12) for seeds in (3, 5, 10)),
    *(Tables(6, seeds, (Bar(DETECTABLE, 0.83, 0.77),), image_sigma=0.2) for seeds in (5, 10)),
    *(Tables(6, seeds, EQUAL, noise=noise) for noise in NOISES if noise != "normal" for seeds in (3, 5, 10)),
    Tables(6, 2, EQUAL),
    *(Tables(2, seeds, EQUAL, noise=noise) for noise in ("normal", "log-normal") for seeds in (3, 10)),
    *(Tables(12, seeds, EQUAL) for seeds in (2, 3)),
    *(Tables(54, seeds, EQUAL) for seeds in (2, 3)),
)
