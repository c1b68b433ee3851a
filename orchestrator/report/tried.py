"""What a search tried: each configuration as a line across its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.amounts import counted
from orchestrator.report.columns import of_columns
from orchestrator.report.drawing import Drawing
from orchestrator.report.figure import Figure, Material, Unavailable
from orchestrator.report.parameters import Parameter
from orchestrator.report.searched import Searched, parameters_of_search, searched
from orchestrator.report.style import (
    FAINT,
    INK,
    PAPER,
    legend_below,
    new_drawing,
    point_style,
    series_style,
)
from orchestrator.results import Column

# So many lines are drawn in colours, the best; the others are grey.
COLORED = 6
# Where a configuration lacks a parameter, which another augmentation has.
ABSENT = -0.13
ONE_VALUE = "All configurations differ in nothing that has a value: there is nothing to show them by."


def tried(material: Material) -> list[Figure]:
    """Return parallel coordinates of what was tried, for each column that is searched."""
    return of_columns(material, "tried", _tried_of)


def _tried_of(material: Material, column: Column, name: str, ending: str) -> Figure:
    found = searched(material, column)
    parameters = parameters_of_search(found)
    if not parameters:
        raise Unavailable(ONE_VALUE)
    return Figure(
        name=name,
        title=f"What was tried{ending}",
        sentence=_tried_sentence(found),
        draw=lambda: _tried_drawn(found, parameters),
        data={
            "configurations": [
                {
                    "row": found.called[each],
                    "place": place,
                    "rung": found.raced.reached[each].standing.number,
                    "val_error": found.raced.reached[each].place.mean,
                    "parameters": {each_of.name: each_of.values.get(each) for each_of in parameters},
                }
                for place, each in enumerate(found.raced.order, start=1)
            ]
        },
    )


def _tried_sentence(found: Searched) -> str:
    num = len(found.raced.order)
    raced = "who got further is before, then the mean of the rung decides" if found.raced.is_race else "by their means"
    return (
        f"Each line is one of {counted(num, 'configuration')}; the last axis is its place by validation: {raced}. A "
        "dash is a parameter that the augmentation does not have. The coloured lines are the first few, and so few "
        "bundle by chance, too."
    )


def _tried_drawn(found: Searched, parameters: list[Parameter]) -> Drawing:
    order = found.raced.order
    colored = order[: min(COLORED, max(1, len(order) // 2))]
    drawing = new_drawing(3.3 + 0.16 * len(colored), width_in=max(6.6, 1.25 * (len(parameters) + 1)))
    axes = drawing.add_subplot()
    last = len(parameters)
    lines = {
        each: [ABSENT if (at := of.position(each)) is None else at for of in parameters] + [_height(place, len(order))]
        for place, each in enumerate(order)
    }
    for each in order[len(colored) :]:
        axes.plot(lines[each], color=FAINT, linewidth=0.6, alpha=0.6)
    handles = [
        axes.plot(lines[each], linewidth=1.6, markersize=4, marker=point_style(at)["marker"], **series_style(at))[0]
        for at, each in enumerate(colored)
    ]
    for place, parameter in enumerate(parameters):
        axes.axvline(place, color=INK, linewidth=0.8, ymin=0.1)
        ticks = {**parameter.ticks, ABSENT: "–"} if parameter.is_conditional else parameter.ticks
        _label_ticks(axes, place, ticks)
    axes.axvline(last, color=INK, linewidth=0.8, ymin=0.1)
    _label_ticks(axes, last, {1.0: "1", _height(len(order) - 1, len(order)): str(len(order))}, is_last=True)
    axes.set_xticks(range(last + 1), [*(parameter.name for parameter in parameters), "place"])
    axes.set_yticks([])
    axes.set_xlim(-0.35, last + 0.25)
    axes.set_ylim(-0.22, 1.08)
    axes.spines[:].set_visible(False)
    axes.tick_params(axis="x", length=0, labeltop=True, labelbottom=False)
    labels = [found.called[each] for each in colored]
    if len(colored) < len(order):
        handles += axes.plot([], [], color=FAINT, linewidth=0.6)
        labels.append(f"{len(order) - len(colored)} others")
    legend_below(drawing, handles, labels)
    return drawing


def _height(place: int, num: int) -> float:
    return 1.0 - place / max(1, num - 1)


def _label_ticks(axes: Any, across: int, ticks: Mapping[float, str], *, is_last: bool = False) -> None:
    from matplotlib.patheffects import withStroke

    side, align = (0.05, "left") if is_last else (-0.05, "right")
    for height, text in ticks.items():
        shown = axes.text(across + side, height, text, ha=align, va="center", fontsize=7.5, color=INK, zorder=5)
        # Lines run behind it.
        shown.set_path_effects([withStroke(linewidth=2.5, foreground=PAPER)])
