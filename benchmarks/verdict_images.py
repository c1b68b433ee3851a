"""Tables of simulated models on simulated test images: what is said of new images like these, with estimated floors.

All rows are equally good on all images there are, and each is better on some of them. Every table has test images of
its own: who takes what they favour for a difference says a false word. Counted, as well, is how often that is done by
who leaves the images out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from verdict_bars import ALL, Bar, Claim, Floats, Said, said_of

from orchestrator.results.statistics import RESOLUTION, image_floors, resolution_of
from orchestrator.results.statistics.answers import OfGroups

NUM_ROWS = 6
WORD, WITHOUT = "false word", "false word, images left out"
EQUAL = "falsely equal"
Cells = list[list[OfGroups]]


@dataclass(frozen=True)
class Mix:
    """Where the answers to an image come from: standard deviations of the logits' parts.

    Attributes:
        row: What a row has of its own for an image, in all of its trainings: what the floor is of.
        noise: What a training has of its own for an image.
        training: What a training has of its own for all images.
    """

    row: float
    noise: float
    training: float


# How hard an image is, for all rows.
_HARDNESS = 1.0
MIXES = {
    "mostly images": Mix(row=0.9, noise=0.3, training=0.02),
    "as much images as trainings": Mix(row=0.5, noise=0.7, training=0.06),
    "mostly trainings": Mix(row=0.15, noise=0.8, training=0.15),
}


@dataclass(frozen=True)
class Images:
    """Tables of the error on 600 images.

    Attributes:
        mix: By name.
        seeds: Of each row.
        tables: See `Claim`.
    """

    mix: str
    seeds: int
    tables: int = ALL
    bars: tuple[Bar, ...] = (Bar(WORD, most=0.065),)

    @property
    def label(self) -> str:
        """Mix and seeds."""
        return f"new images, {self.mix}, {self.seeds} seeds"

    def measured(self, rng: Generator, num_tables: int) -> dict[str, float]:
        """Return the shares of tables with a false word, with the floor and without."""
        mix, shape = MIXES[self.mix], (NUM_ROWS, self.seeds, 600)
        limit = 1.04 * np.sqrt(_HARDNESS**2 + mix.row**2 + mix.noise**2 + mix.training**2)  # 15 % are wrong
        labels = np.zeros(shape[2], np.uint8)

        def drawn() -> tuple[Floats, Cells]:
            wrong = _parts(rng, mix, shape) + _normal(rng, (1, 1, shape[2])) > limit
            cells = [[_answers(labels, wrong[row, seed]) for seed in range(self.seeds)] for row in range(NUM_ROWS)]
            return wrong.mean(axis=2), cells

        return _false_words("error", (drawn() for _ in range(num_tables)))


@dataclass(frozen=True)
class OfMetric:
    """Tables of a metric that is no share of the images: of two classes, 60 images of the one and 240 of the other.

    Attributes:
        metric: ``auroc``, ``f1_macro`` or ``ece``.
        seeds: Of each row; there are four.
        tables: See `Claim`: where the floor is bootstrapped, as all but that of ``ece`` are, 4,000 resamples for each
            of 20 cells or more take a tenth of a second.
    """

    metric: str
    seeds: int
    tables: int
    bars: tuple[Bar, ...] = (Bar(WORD, most=0.07),)

    @property
    def label(self) -> str:
        """Metric and seeds."""
        return f"new images, {self.metric}, {self.seeds} seeds"

    def measured(self, rng: Generator, num_tables: int) -> dict[str, float]:
        """Return the shares of tables with a false word, with the floor and without."""
        mix, shape = MIXES["as much images as trainings"], (4, self.seeds, 300)
        labels, measure = (np.arange(shape[2]) < 60).astype(np.uint8), METRICS[self.metric]

        def drawn() -> tuple[Floats, Cells]:
            margin = 1.2 * (2.0 * labels - 1.0) + _parts(rng, mix, shape) + _normal(rng, (1, 1, shape[2]))
            cells = [[_of_margin(labels, margin[row, seed]) for seed in range(shape[1])] for row in range(shape[0])]
            return np.array([[measure(cell) for cell in of_row] for of_row in cells]), cells

        return _false_words(self.metric, (drawn() for _ in range(num_tables)))


@dataclass(frozen=True)
class FewImages:
    """Tables of rare errors on few images, which all trainings of a row share: nothing but the images differs.

    Half of the tables have rows that are all equal, for false words; in the others each row is wrong more often than
    the baseline by just more than the margin, for rows that are falsely called equal within it. Of margins that is the
    worst: it begins where rows that differ on `seen` images would be called equal.

    Attributes:
        images: Of the test.
        seen: On how many images rows differ where they are just called equal.
        seeds: Of each row.
        tables: See `Claim`.
    """

    images: int
    seen: int
    seeds: int = 5
    tables: int = ALL
    bars: tuple[Bar, ...] = (Bar(WORD, most=0.065), Bar(EQUAL, most=0.065))

    @property
    def label(self) -> str:
        """Images and seeds."""
        return f"new images, {self.images} of rare errors, {self.seen} seen, {self.seeds} seeds"

    def measured(self, rng: Generator, num_tables: int) -> dict[str, float]:
        """Return the shares of tables with a false word, and of those with a row that is falsely called equal."""
        step = 1 / self.images
        # 2.57 is Dunnett's constant for five rows: to such a margin an interval of so many differing images reaches.
        margin = (self.seen + 2.57 * np.sqrt(self.seen + 4) + 0.01) * step
        equal, apart = (
            self._said(rng, [0.03, *[more] * (NUM_ROWS - 1)], num_tables // 2) for more in (0.03, 0.03 + margin)
        )
        is_equal = (apart.low >= -margin) & (apart.high <= margin)
        return {WORD: float(equal.has_word.mean()), EQUAL: float(is_equal.any(axis=1).mean())}

    def _said(self, rng: Generator, shares: Sequence[float], num_tables: int) -> Said:
        labels, limits = np.zeros(self.images, np.uint8), np.array(shares)[:, None]

        def drawn() -> tuple[Floats, Cells]:
            wrong = rng.random((NUM_ROWS, self.images)) < limits
            values = np.repeat(wrong.mean(axis=1)[:, None], self.seeds, axis=1)
            return values, [[_answers(labels, of_row)] * self.seeds for of_row in wrong]

        return _said("error", (drawn() for _ in range(num_tables)))


def _normal(rng: Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    return rng.standard_normal(shape, dtype=np.float32)


def _parts(rng: Generator, mix: Mix, shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Return what rows and trainings add for each image, [rows, seeds, images]."""
    rows, seeds, images = shape
    own = np.float32(mix.row) * _normal(rng, (rows, 1, images))
    whole = np.float32(mix.training) * _normal(rng, (rows, seeds, 1))
    return np.float32(mix.noise) * _normal(rng, shape) + own + whole


def _answers(labels: NDArray[np.uint8], wrong: NDArray[np.bool_]) -> OfGroups:
    nothing = np.empty(0)
    return OfGroups("0", labels, wrong.astype(np.uint8), nothing, nothing, nothing)


def _of_margin(labels: NDArray[np.uint8], margin: NDArray[np.float32]) -> OfGroups:
    """Return the answers of a model of two classes whose logits differ by so much; as kept, in half precision."""
    size = np.abs(margin)
    logits: Any = np.stack([np.minimum(-margin, 0), np.minimum(margin, 0)], axis=1).astype(np.float16)
    predicted = (margin > 0).astype(np.uint8)
    loss = np.logaddexp(0, np.where(labels == 1, -margin, margin))
    return OfGroups("0", labels, predicted, loss, 1 / (1 + np.exp(-size)), logits)


def _auroc(cell: OfGroups) -> float:
    scores = cell.logits[:, 1].astype(np.float64) - cell.logits[:, 0]
    ranks = np.searchsorted(np.sort(scores), scores, "left") + np.searchsorted(np.sort(scores), scores, "right") + 1
    positive = cell.labels == 1
    num = int(positive.sum())
    return float((ranks[positive].sum() / 2 - num * (num + 1) / 2) / (num * (len(scores) - num)))


def _f1_macro(cell: OfGroups) -> float:
    hits = [np.sum((cell.labels == c) & (cell.predicted == c)) for c in (0, 1)]
    both = [np.sum(cell.labels == c) + np.sum(cell.predicted == c) for c in (0, 1)]
    return float(np.mean([2 * hit / of for hit, of in zip(hits, both, strict=True)]))


def _ece(cell: OfGroups) -> float:
    bins = np.minimum((cell.confidence * 15).astype(int), 14)
    gaps = np.bincount(bins, (cell.predicted == cell.labels) - cell.confidence, minlength=15)
    return float(np.abs(gaps).sum() / len(cell.labels))


METRICS = {"auroc": _auroc, "f1_macro": _f1_macro, "ece": _ece}


def _false_words(metric: str, drawn: Iterable[tuple[Floats, Cells]]) -> dict[str, float]:
    """Return the shares of tables with a false word, with the estimated floors and without any."""
    values, floors, resolution = _floored(metric, drawn)
    return {
        WORD: float(said_of(values, floors, resolution=resolution).has_word.mean()),
        WITHOUT: float(said_of(values, resolution=resolution).has_word.mean()),
    }


def _said(metric: str, drawn: Iterable[tuple[Floats, Cells]]) -> Said:
    values, floors, resolution = _floored(metric, drawn)
    return said_of(values, floors, resolution=resolution)


def _floored(metric: str, drawn: Iterable[tuple[Floats, Cells]]) -> tuple[Floats, Floats, float]:
    """Return tables, their estimated floors [tables, rows, rows], and the least step between two values."""
    tables, floors, step = [], [], None
    for values, cells in drawn:
        found = image_floors(metric, {str(row): dict(enumerate(of_row)) for row, of_row in enumerate(cells)})
        assert found is not None
        of_table = np.zeros((len(values), len(values)))
        for (one, other), floor in found.variances.items():
            of_table[int(one), int(other)] = of_table[int(other), int(one)] = floor
        tables.append(values)
        floors.append(of_table)
        step = resolution_of(metric, cells[0][0])
    return np.array(tables), np.array(floors), step or RESOLUTION


_TABLES = {"auroc": 1000, "f1_macro": 1000, "ece": ALL}
# In the order of importance.
CLAIMS: tuple[Claim, ...] = (
    *(Images(mix, 5) for mix in MIXES),
    *(FewImages(images, seen) for images in (30, 100, 300) for seen in (0, 8)),
    *(OfMetric(metric, 5, tables) for metric, tables in _TABLES.items()),
    *(Images(mix, seeds) for seeds in (20, 3) for mix in MIXES),
    *(OfMetric(metric, 10, tables) for metric, tables in _TABLES.items()),
)
