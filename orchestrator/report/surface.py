"""The means of ζ-mixup over γ and N: what is ruled out, and what a smooth surface would suggest."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.amounts import counted, some
from orchestrator.experiment import AugmentSpec
from orchestrator.report.columns import in_words, of_columns, scale, tied_first
from orchestrator.report.drawing import Drawing
from orchestrator.report.figure import Figure, Material, Unavailable
from orchestrator.report.style import new_drawing
from orchestrator.results import Analysis, Column, Metric, number

Floats = NDArray[np.float64]
# With fewer cells a surface through them is one's own imagination.
LEAST_FOR_SURFACE = 6
RESOLUTION = 60
NO_GRID = "There is no grid of γ and N: it takes two values of each at least, in one zeta_mixup of the file."
# On a cell of any colour; the page has its own ink and paper, which change.
DARK, LIGHT = "#101214", "#fafbfc"


@dataclass(frozen=True)
class Grid:
    """The rows of an augmentation over γ and N.

    Attributes:
        gammas: Rising.
        nums: The values of N, rising.
        rows: By γ and N; a place may be empty.
    """

    gammas: tuple[float, ...]
    nums: tuple[int, ...]
    rows: Mapping[tuple[float, int], str]


def surface(material: Material) -> list[Figure]:
    """Return the means over γ and N, for each augmentation that has a grid of them and each column."""
    found: list[Figure] = []
    why = NO_GRID
    with_gamma = [cell.augment for cell in material.cells if "gamma" in cell.augment.params]
    names: Counter[str] = Counter()
    for augment in dict.fromkeys(map(_apart_from_gamma_and_n, with_gamma)):
        name = f"gamma-and-n-{augment.name}" if found else "gamma-and-n"
        number = f"-{names[name] + 1}" if names[name] else ""
        try:
            found += of_columns(material, name + number, partial(_of_column, augment=augment))
            names[name] += 1
        except Unavailable as error:
            why = error.reason
    if not found:
        raise Unavailable(why)
    return found


def _place(augment: AugmentSpec) -> tuple[float, int] | None:
    """Return γ and N; None where there are not both, or one of them changes from epoch to epoch."""
    gamma, num = augment.params.get("gamma"), augment.params.get("num_mixed")
    return (float(gamma), num) if isinstance(gamma, int | float) and isinstance(num, int) else None


def _apart_from_gamma_and_n(augment: AugmentSpec) -> AugmentSpec:
    """Return what rows of one surface have in common."""
    others = {name: value for name, value in augment.params.items() if name not in ("gamma", "num_mixed")}
    return augment.model_copy(update={"params": others})


def _of_column(material: Material, column: Column, name: str, ending: str, *, augment: AugmentSpec) -> Figure:
    grid = _grid(material, column, augment)
    analysis = material.comparison.headline(column)
    told = analysis if analysis is not None and analysis.tells else None
    out = [row for row in grid.rows.values() if told is not None and row in told.means and row not in told.may_be_best]
    smooth = _smooth(material, column, grid, told) if told and len(grid.rows) >= LEAST_FOR_SURFACE else None
    entries = material.comparison.entries
    return Figure(
        name=name,
        title=f"γ and N of {augment.label}{ending}",
        sentence=_sentence(material, grid, column, out, smooth) + _left_out(material, column, augment),
        draw=lambda: _drawn(material, grid, column, out, smooth),
        data={
            "metric": material.comparison.metric.key,
            "cells": [
                {"gamma": gamma, "num_mixed": num, "mean": entries[row, column].mean, "ruled_out": row in out}
                for (gamma, num), row in sorted(grid.rows.items())
            ],
            "suggested": dict(zip(("gamma", "num_mixed"), smooth.optimum(material), strict=True)) if smooth else None,
        },
    )


def _grid(material: Material, column: Column, augment: AugmentSpec) -> Grid:
    rows: dict[tuple[float, int], str] = {}
    for row in material.comparison.rows:
        cells = material.comparison.cells.get((row, column), ())
        place = _place(cells[0].augment) if cells and _apart_from_gamma_and_n(cells[0].augment) == augment else None
        if place is not None and material.comparison.entries[row, column].is_judged:
            if place in rows:
                raise Unavailable("Several rows have the same γ and N, so that there is no one mean to show.")
            rows[place] = row
    gammas, nums = (tuple(sorted({place[of] for place in rows})) for of in (0, 1))
    if len(gammas) < 2 or len(nums) < 2 or len(rows) < 4:
        raise Unavailable(NO_GRID)
    return Grid(gammas, tuple(map(int, nums)), rows)


@dataclass(frozen=True)
class Smooth:
    """A Gaussian process through the means of a grid.

    Attributes:
        gammas: Where it is evaluated, [R].
        nums: Likewise, [R].
        values: Its mean there, in the metric's unit, [R, R]: by γ, then by N.
    """

    gammas: Floats
    nums: Floats
    values: Floats

    def optimum(self, material: Material) -> tuple[float, int]:
        """Return γ and N where it is best."""
        pick = np.argmax if material.comparison.metric.higher_is_better else np.argmin
        at = np.unravel_index(int(pick(self.values)), self.values.shape)
        return round(float(self.gammas[at[0]]), 2), round(float(self.nums[at[1]]))


def _smooth(material: Material, column: Column, grid: Grid, analysis: Analysis) -> Smooth | None:
    """Return the surface; its noise is what is known of the means, and only its smoothness is fitted."""
    from sklearn.exceptions import ConvergenceWarning  # a second to import
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel

    entries = [material.comparison.entries[row, column] for row in grid.rows.values()]
    means = np.array([entry.mean for entry in entries])
    deviation = float(means.std())
    if deviation == 0 or not analysis.variance > 0:
        return None
    noise = analysis.variance / np.array([entry.n for entry in entries]) / deviation**2
    places = _in_logs(np.array(list(grid.rows), dtype=float), grid)
    kernel = ConstantKernel(1.0, (1e-2, 1e2)) * RBF([0.5, 0.5], (0.1, 10.0))
    process = GaussianProcessRegressor(kernel, alpha=noise)
    with warnings.catch_warnings():
        # A length at the end of its range: the surface is flat that way, or as rough as its cells.
        warnings.simplefilter("ignore", ConvergenceWarning)
        process.fit(places, (means - means.mean()) / deviation)
    gammas = np.geomspace(grid.gammas[0], grid.gammas[-1], RESOLUTION)
    nums = np.geomspace(grid.nums[0], grid.nums[-1], RESOLUTION)
    points = _in_logs(np.array([(gamma, num) for gamma in gammas for num in nums]), grid)
    values = process.predict(points).reshape(RESOLUTION, RESOLUTION) * deviation + means.mean()
    return Smooth(gammas, nums, values)


def _in_logs(places: Floats, grid: Grid) -> Floats:
    """Return γ and N as shares of the grid's range, in logarithms, [n, 2]."""
    low = np.log([grid.gammas[0], grid.nums[0]])
    high = np.log([grid.gammas[-1], grid.nums[-1]])
    shares: Floats = (np.log(places) - low) / (high - low)
    return shares


def _sentence(material: Material, grid: Grid, column: Column, out: list[str], smooth: Smooth | None) -> str:
    means = {place: material.comparison.entries[row, column].mean for place, row in grid.rows.items()}
    sign = -1 if material.comparison.metric.higher_is_better else 1
    first = tied_first(list(means), lambda place: sign * means[place])
    best = some([f"γ = {gamma:g}, N = {num}" for gamma, num in first])
    claim = (
        f"Hatched: the {len(out)} of {len(grid.rows)} that are ruled out, which is all that is claimed."
        if out
        else f"None of the {len(grid.rows)} is ruled out, so that no γ and no N is shown to be the right one."
    )
    text = f"The best mean {'is that' if len(first) == 1 else 'is equally that'} of {best}. {claim}"
    if smooth is not None:
        at = smooth.optimum(material)
        text += f" Lines: a Gaussian process through the means, a suggestion: best near γ = {at[0]:g}, N = {at[1]}."
    return f"{text} Not ruled out is not as good: zetasweep confirm trains the three best by validation on fresh seeds."


def _left_out(material: Material, column: Column, augment: AugmentSpec) -> str:
    """Return how many rows of the augmentation have no place in the grid, since γ or N changes; empty if none."""
    places = [material.comparison.cells.get((row, column), ()) for row in material.comparison.rows]
    alike = [cells[0].augment for cells in places if cells and _apart_from_gamma_and_n(cells[0].augment) == augment]
    changing = sum(bool({"gamma", "num_mixed"} & each.schedules.keys()) for each in alike)
    return f" Not shown: {counted(changing, 'row')} whose γ or N changes from epoch to epoch." if changing else ""


def _drawn(material: Material, grid: Grid, column: Column, out: list[str], smooth: Smooth | None) -> Drawing:
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    metric = material.comparison.metric
    means = {place: material.comparison.entries[row, column].mean for place, row in grid.rows.items()}
    low, high = min(means.values()), max(means.values())
    colors = colormaps["cividis" if metric.higher_is_better else "cividis_r"]
    drawing = new_drawing(1.3 + 0.42 * len(grid.gammas))
    axes = drawing.add_subplot()
    for (gamma, num), row in grid.rows.items():
        across, down = grid.nums.index(num), grid.gammas.index(gamma)
        face = colors((means[gamma, num] - low) / (high - low) if high > low else 0.5)
        ink = DARK if 0.3 * face[0] + 0.59 * face[1] + 0.11 * face[2] > 0.5 else LIGHT
        hatch: dict[str, Any] = {"hatch": "////", "edgecolor": ink} if row in out else {"edgecolor": "none"}
        axes.add_patch(Rectangle((across - 0.5, down - 0.5), 1, 1, facecolor=face, linewidth=0, **hatch))
        box = {"facecolor": face, "edgecolor": "none", "pad": 1.5}
        axes.text(across, down, number(means[gamma, num], metric), color=ink, ha="center", va="center", bbox=box)
    if smooth is not None:
        _draw_lines(axes, grid, smooth, metric)
    axes.set_xlim(-0.5, len(grid.nums) - 0.5)
    axes.set_ylim(-0.5, len(grid.gammas) - 0.5)
    axes.set_xticks(range(len(grid.nums)), [str(num) for num in grid.nums])
    axes.set_yticks(range(len(grid.gammas)), [f"{gamma:g}" for gamma in grid.gammas])
    axes.tick_params(length=0)
    axes.set_title(in_words(metric), loc="left", fontweight="normal")
    axes.set_xlabel("N, the number of samples that are mixed")
    axes.set_ylabel("γ", rotation=0, labelpad=10)
    return drawing


def _draw_lines(axes: Any, grid: Grid, smooth: Smooth, metric: Metric) -> None:
    """Add lines of equal height: between two cells of the figure the surface's axes are logarithmic."""
    across = np.interp(np.log(smooth.nums), np.log(grid.nums), range(len(grid.nums)))
    down = np.interp(np.log(smooth.gammas), np.log(grid.gammas), range(len(grid.gammas)))
    if float(np.ptp(smooth.values)) > 0:
        axes.contour(across, down, scale(metric) * smooth.values, levels=5, colors=LIGHT, linewidths=1.8)
        axes.contour(across, down, scale(metric) * smooth.values, levels=5, colors=DARK, linewidths=0.7)
