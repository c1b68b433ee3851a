"""How many epochs a search has spent on each configuration."""

from __future__ import annotations

from typing import Any

from orchestrator.amounts import counted
from orchestrator.report.columns import of_columns
from orchestrator.report.drawing import Drawing
from orchestrator.report.figure import Figure, Material
from orchestrator.report.searched import ROWS_AT_MOST, Searched, searched
from orchestrator.report.style import COLORS, FAINT, INK, height_of, label_rows, name_below, new_drawing
from orchestrator.results import Column, share_text


def epochs(material: Material) -> list[Figure]:
    """Return how many epochs each configuration was trained, for each column that is searched."""
    return of_columns(material, "epochs", _epochs_of)


def _epochs_of(material: Material, column: Column, name: str, ending: str) -> Figure:
    found = searched(material, column)
    trained = {each: _trained(material, found, each) for each in found.raced.order}
    whole = len(found.raced.seeds) * found.raced.epochs
    return Figure(
        name=name,
        title=f"Epochs of each configuration{ending}",
        sentence=_epochs_sentence(found, trained, whole),
        draw=lambda: _epochs_drawn(found, trained, whole),
        data={"whole": whole, "rows": {found.called[each]: number for each, number in trained.items()}},
    )


def _trained(material: Material, found: Searched, name: str) -> int:
    """Return how many epochs all cells of a configuration have together."""
    runs = (material.runs.get(cell.key) for cell in found.cells[name])
    return sum(run.epoch or 0 for run in runs if run is not None)


def _epochs_sentence(found: Searched, trained: dict[str, int], whole: int) -> str:
    raced, to_the_end = found.raced, sum(number >= whole for number in trained.values())
    more = f" Shown are the {ROWS_AT_MOST} that got furthest." if len(trained) > ROWS_AT_MOST else ""
    return (
        f"{raced.trained_epochs:,} of the grid's {counted(raced.grid_epochs, 'epoch')} were trained, "
        f"{share_text(raced.trained_epochs / raced.grid_epochs)}; {to_the_end} of "
        f"{counted(len(trained), 'configuration')} have all {whole:,}, {len(raced.seeds)} seeds to epoch "
        f"{raced.epochs}.{more}"
    )


def _epochs_drawn(found: Searched, trained: dict[str, int], whole: int) -> Drawing:
    rows = list(trained)[:ROWS_AT_MOST]
    labels = [found.called[each] for each in rows]
    drawing = new_drawing(height_of(labels, of_row_in=0.24))
    axes = drawing.add_subplot()
    for place, each in enumerate(rows):
        at = found.raced.reached[each]
        look: dict[str, Any] = (
            {"color": COLORS[0]} if at.stop is None else {"facecolor": "none", "edgecolor": FAINT, "hatch": "////"}
        )
        axes.barh(place, trained[each], height=0.6, **look)
        said = "" if at.stop is None else f"  stopped in rung {at.standing.number}"
        axes.text(trained[each], place, said, va="center", fontsize=7.5, color=INK)
    label_rows(axes, labels)
    axes.set_xlim(0, 1.02 * whole)
    name_below(drawing, "epochs, of all its seeds together")
    return drawing
