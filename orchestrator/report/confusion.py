"""Which classes are taken for which: of the baseline, of the best row, and what differs between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.amounts import counted
from orchestrator.report.columns import of_columns
from orchestrator.report.drawing import Drawing
from orchestrator.report.figure import Figure, Material, Unavailable
from orchestrator.report.per_image import best_row, count_column
from orchestrator.report.style import COLORS, INK, height_of, label_rows, new_drawing, wrapped
from orchestrator.results import Column

# Of more classes the numbers cannot be read in their cells, and then not the cells.
WITH_NUMBERS, AS_MATRIX, WORST_PAIRS = 10, 20, 15
_NAME_WIDTH = 14


@dataclass(frozen=True, eq=False)
class _Rates:
    """Of the images of class i, the share that is taken for class j, over all trainings of a row: [K, K].

    Attributes:
        row: The baseline, or the best.
        rates: NaN in the row of a class without test images.
    """

    row: str
    rates: NDArray[np.float64]


def confusion(material: Material) -> list[Figure]:
    """Return confusion matrices for each column."""
    return of_columns(material, "confusion", _of_column)


def _of_column(material: Material, column: Column, name: str, ending: str) -> Figure:
    found = count_column(material, column)
    baseline = material.comparison.baseline_of(column)
    rows = [row for row in (baseline, best_row(material, column, list(found.rows))) if row]
    shown = [_rates(row, [each.confusion for each in found.rows[row].values()]) for row in rows if row in found.rows]
    if not shown:
        raise Unavailable("No row with a mean has its predictions for each test image.")
    draw = _pairs_drawn if len(found.class_names) > AS_MATRIX else _matrices_drawn
    return Figure(
        name=name,
        title=f"What is taken for what{ending}",
        sentence=_sentence(material, shown, found.class_names) + found.remark,
        draw=lambda: draw(material, shown, found.class_names),
        data=_numbers(shown, found.class_names),
    )


def _rates(row: str, counts: Sequence[NDArray[np.int64]]) -> _Rates:
    total = np.sum(counts, axis=0)
    with np.errstate(invalid="ignore"):
        return _Rates(row, total / total.sum(axis=1, keepdims=True))


def _largest(values: NDArray[np.float64], num: int) -> list[tuple[int, int]]:
    """Return the pairs of different classes with the largest values, those above 0 alone."""
    of_pairs = _off_diagonal(values)
    order = np.argsort(-of_pairs, axis=None, kind="stable")[:num]
    pairs = [divmod(int(at), len(of_pairs)) for at in order]
    return [pair for pair in pairs if of_pairs[pair] > 0]


def _off_diagonal(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the values of pairs of different classes, 0 elsewhere and where they are not known."""
    of_pairs = np.nan_to_num(values, nan=0.0)
    np.fill_diagonal(of_pairs, 0.0)
    return of_pairs


def _sentence(material: Material, shown: Sequence[_Rates], names: Sequence[str]) -> str:
    first = shown[0]
    worst = _largest(first.rates, 1)
    parts = []
    if worst:
        true, taken = worst[0]
        alike = int(np.isclose(_off_diagonal(first.rates), first.rates[worst[0]], rtol=1e-9).sum()) - 1
        as_often = f"; so {'is' if alike == 1 else 'are'} {counted(alike, 'other pair')}" if alike else ""
        parts.append(
            f"With {material.names.row(first.row)}, {names[true]} is taken for {names[taken]} most often: "
            f"{100 * first.rates[worst[0]]:.1f} % of its test images{as_often}."
        )
    if len(shown) > 1:
        difference = shown[1].rates - first.rates
        pair = next(iter(_largest(np.abs(difference), 1)), None)
        if pair is not None:
            more = "more" if difference[pair] > 0 else "less"
            parts.append(
                f"The largest difference: {material.names.row(shown[1].row)} takes {names[pair[0]]} for "
                f"{names[pair[1]]} {more} often by {100 * abs(difference[pair]):.1f} points."
            )
    parts.append("Means over all trainings of a row; no difference is tested here: recall of each class is.")
    if len(names) > AS_MATRIX:
        parts.append(f"Of {len(names)} classes the {WORST_PAIRS} pairs that are confused, or differ, most are drawn.")
    return " ".join(parts)


def _numbers(shown: Sequence[_Rates], names: Sequence[str]) -> dict[str, Any]:
    if len(names) <= AS_MATRIX:
        return {
            "classes": list(names),
            "share_of_true_class": {each.row: _plain(each.rates) for each in shown},
        }
    pairs = dict.fromkeys(pair for each in (*shown, *_differences(shown)) for pair in _worst(each))
    return {
        "pairs": [
            {"true": names[true], "taken_for": names[taken], **{each.row: each.rates[true, taken] for each in shown}}
            for true, taken in pairs
        ]
    }


def _plain(rates: NDArray[np.float64]) -> list[list[float] | None]:
    return [None if np.isnan(row).any() else row.tolist() for row in rates]


def _differences(shown: Sequence[_Rates]) -> list[_Rates]:
    return [_Rates("difference", shown[1].rates - shown[0].rates)] if len(shown) > 1 else []


def _worst(rates: _Rates) -> list[tuple[int, int]]:
    return _largest(np.abs(rates.rates), WORST_PAIRS)


def _matrices_drawn(material: Material, shown: Sequence[_Rates], names: Sequence[str]) -> Drawing:
    parts = [*shown, *_differences(shown)]
    # Three matrices of ten classes with numbers do not fit beside each other.
    across = len(names) <= 4
    labels = [wrapped(name, width=_NAME_WIDTH) for name in names]
    side_in = max(1.9, 0.3 * len(names) + 1.0)
    drawing = new_drawing(side_in + 0.3 if across else len(parts) * side_in)
    shape = (1, len(parts)) if across else (len(parts), 1)
    places = drawing.subplots(*shape, squeeze=False, sharex=not across, sharey=across).ravel()
    for axes, each in zip(places, parts, strict=True):
        is_difference = each not in shown
        _matrix_drawn(axes, each.rates, labels, is_difference=is_difference)
        title = "the second less the first, in points" if is_difference else f"{material.names.row(each.row)}, in %"
        axes.set_title(wrapped(title, width=30 if across else 70))
        if across or axes is places[-1]:
            axes.set_xlabel("is taken for")
        if not across or axes is places[0]:
            axes.set_ylabel("is")
    return drawing


def _matrix_drawn(axes: Any, rates: NDArray[np.float64], labels: Sequence[str], *, is_difference: bool) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    largest = max(1e-9, float(np.nanmax(np.abs(rates))))
    colors = [COLORS[1], "#ffffff", COLORS[0]] if is_difference else ["#ffffff", COLORS[0]]
    limits = (-largest, largest) if is_difference else (0.0, 1.0)
    axes.imshow(
        rates, cmap=LinearSegmentedColormap.from_list("of page", colors), vmin=limits[0], vmax=limits[1], aspect="auto"
    )
    axes.set_xticks(range(len(labels)), labels, rotation=90 if len(labels) > 4 and max(map(len, labels)) > 2 else 0)
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(length=0)
    if len(labels) > WITH_NUMBERS:
        return
    for place, value in np.ndenumerate(rates):
        if np.isnan(value) or round(abs(100 * value), 1) == 0:
            continue
        # Not the page's own ink, which is light where the page is dark: these cells are not.
        ink = "#fffffe" if abs(value) > 0.8 * limits[1] else "#1b1e24"
        text = f"{100 * value:+.1f}" if is_difference else f"{100 * value:.1f}"
        axes.text(place[1], place[0], text, ha="center", va="center", fontsize=7, color=ink)


def _pairs_drawn(material: Material, shown: Sequence[_Rates], names: Sequence[str]) -> Drawing:
    parts = [*shown, *_differences(shown)]
    heights = [height_of([""] * max(1, len(_worst(each))), of_row_in=0.2) for each in parts]
    drawing = new_drawing(sum(heights))
    places = drawing.subplots(len(parts), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, each in zip(places, parts, strict=True):
        pairs = _worst(each)
        is_difference = each not in shown
        for place, pair in enumerate(pairs):
            color = COLORS[1] if is_difference and each.rates[pair] < 0 else COLORS[0]
            axes.barh(place, 100 * each.rates[pair], height=0.6, color=color)
        label_rows(axes, [f"{names[true]} taken for {names[taken]}" for true, taken in pairs])
        if is_difference:
            axes.axvline(0, color=INK, linewidth=0.8)
        title = "the second less the first, in points" if is_difference else f"{material.names.row(each.row)}, in %"
        axes.set_title(wrapped(title, width=70))
    return drawing
