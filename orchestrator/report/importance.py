"""What the error hangs on: which share of its variance each parameter of a search has."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from orchestrator.amounts import counted
from orchestrator.report.columns import of_columns
from orchestrator.report.drawing import Drawing
from orchestrator.report.figure import Figure, Material, Unavailable
from orchestrator.report.measures.importance import LEAST, Importance, importance_of, is_known
from orchestrator.report.parameters import AUGMENT, Parameter
from orchestrator.report.searched import Searched, parameters_of_search, searched
from orchestrator.report.style import COLORS, FAINT, INK, height_of, label_rows, name_below, new_drawing
from orchestrator.results import Column, rung_text
from orchestrator.search import Rung

# The group of parameters that all configurations have; no augmentation is called so.
ALL = ""


def importance(material: Material) -> list[Figure]:
    """Return which share of the variance of the error each parameter has, for each column that is searched."""
    return of_columns(material, "importance", _importance_of)


def _importance_of(material: Material, column: Column, name: str, ending: str) -> Figure:
    found = searched(material, column)
    rung, errors = _errors(found)
    groups = _groups(parameters_of_search(found), errors)
    if not groups:
        raise Unavailable(
            f"It takes {LEAST} configurations that differ in a value, and have the same rung decided: raise "
            "search.num_samples."
        )
    measured = {title: importance_of(errors, of) for title, of in groups.items()}
    if not any(each.tells for each in measured.values()):
        best = max(each.explained for each in measured.values())
        raise Unavailable(
            f"Forests fitted to {counted(len(errors), 'configuration')} tell nothing of those that they have not seen "
            f"(R² of {best:.2f}): too few were tried, or nothing of what was varied matters. Raise search.num_samples."
        )
    return Figure(
        name=name,
        title=f"What the error hangs on{ending}",
        sentence=_importance_sentence(rung, len(errors), measured) + _doubt(rung, found),
        draw=lambda: _importance_drawn(measured),
        data={
            "metric": "best/error",
            "seeds": rung.seeds,
            "epochs": rung.epochs,
            "groups": {
                title or "all": {"shares": each.shares, "together": each.together, "explained": each.explained}
                for title, each in measured.items()
            },
        },
    )


def _errors(found: Searched) -> tuple[Rung, dict[str, float]]:
    """Return a rung with the means of its configurations: no others compare.

    Of those that train to the end, if enough are in one: early errors say little of late ones, and where mixing wins at
    the end it leads late. Else the rung that most have, the furthest of equals.
    """
    entered: Counter[tuple[int, int]] = Counter()
    for each in found.raced.search.races:
        entered.update({standing.rung[:2]: len(standing.places) for standing in each.standings})
    ends = [rung for rung in entered if rung[1] == found.raced.epochs and entered[rung] >= LEAST]
    most = max(ends or entered, key=lambda rung: (entered[rung], rung))
    means = {
        name: place.mean
        for each in found.raced.search.races
        for standing in each.standings
        if standing.rung[:2] == most
        for name, place in standing.places.items()
    }
    return Rung(*most, keep=1), {name: mean for name, mean in means.items() if math.isfinite(mean)}


def _groups(parameters: list[Parameter], errors: Mapping[str, float]) -> dict[str, list[Parameter]]:
    """Return the parameters that are measured together: those that all have, and those of each augmentation."""
    shared = [each for each in parameters if not each.is_conditional]
    groups = {ALL: shared} if is_known(errors, shared) else {}
    of_augment = next((each.values for each in parameters if each.name == AUGMENT), {})
    for augment in dict.fromkeys(of_augment.values()):
        members = {name for name, value in of_augment.items() if value == augment}
        within = [own for each in parameters if each.name != AUGMENT and (own := each.among(members)) is not None]
        if any(each.is_conditional for each in parameters if each.name in {own.name for own in within}):
            own_errors = {name: error for name, error in errors.items() if name in members}
            if is_known(own_errors, within):
                groups[str(augment)] = within
    return groups


def _importance_sentence(rung: Rung, num: int, measured: Mapping[str, Importance]) -> str:
    told = {title: each for title, each in measured.items() if each.tells}
    said = "; ".join(
        f"{'' if title == ALL else f'within {title} '}{max(each.shares, key=each.shares.__getitem__)} with "
        f"{100 * max(each.shares.values()):.0f} % (R² {each.explained:.2f})"
        for title, each in told.items()
    )
    silent = ["what all have" if title == ALL else title for title in measured if title not in told]
    left = f" Nothing can be told of {' and '.join(silent)} (R² of 0 or less)." if silent else ""
    return (
        "Shares of the variance of best/error that each parameter has alone, by random forests (functional ANOVA) of "
        f"{counted(num, 'configuration')}, {rung_text(rung)}. The largest: {said}. R² is of configurations that a tree "
        f"has not seen: where it is low, shares say little.{left}"
    )


def _doubt(rung: Rung, found: Searched) -> str:
    """Return what a rung that ends early cannot say; empty for one at the end."""
    if rung.epochs == found.raced.epochs:
        return ""
    return (
        f" These are errors of epoch {rung.epochs} of {found.raced.epochs}: what leads early may be behind at the end, "
        "above all where mixing is searched."
    )


def _importance_drawn(measured: Mapping[str, Importance]) -> Drawing:
    bars = [
        (name if title == ALL else f"{title}: {name}", share)
        for title, each in measured.items()
        if each.tells
        for name, share in [*sorted(each.shares.items(), key=lambda item: -item[1]), ("together", each.together)]
    ]
    labels = [label for label, _ in bars]
    drawing = new_drawing(height_of(labels, of_row_in=0.24))
    axes = drawing.add_subplot()
    for place, (label, share) in enumerate(bars):
        look: dict[str, Any] = (
            {"facecolor": "none", "edgecolor": FAINT, "hatch": "////"}
            if label.endswith("together")
            else {"color": COLORS[0]}
        )
        axes.barh(place, 100 * share, height=0.6, **look)
        axes.text(100 * share, place, f"  {100 * share:.0f} %", va="center", fontsize=7.5, color=INK)
    label_rows(axes, labels)
    axes.set_xlim(0, max(1.0, 112 * max(share for _, share in bars)))
    name_below(drawing, "share of the variance in %; together: what needs several of them at once")
    return drawing
