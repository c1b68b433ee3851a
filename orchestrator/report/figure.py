"""What a figure of a report is, and what it may be made of; each kind is a function in a file of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.costs import Price
from orchestrator.data import Dataset
from orchestrator.experiment import Cell, DatasetSpec, Experiment
from orchestrator.records import CellRun, EpochResult
from orchestrator.report.drawing import Drawing
from orchestrator.results import Comparison, Names, Raced
from orchestrator.storage import Predictions


@dataclass(frozen=True)
class Material:
    """All that figures may use.

    Attributes:
        experiment: What the file says.
        cells: What it means.
        runs: The tracked runs by cell key.
        comparison: The table, by the metric that decides.
        predictions: Those of a cell for each test image, read when they are asked for; None where there are none.
        curves: The metrics of a cell's epochs, likewise.
        open_dataset: Loads the images of a data set; None where it is not there. It raises DataError.
        names: What is shown in place of labels.
        link: Returns the address of a run in MLflow's pages; None where the store has none.
        environment: What the sweep ran with, in lines by their headings; empty where that is not known.
        above: What is said before all else, e.g. that it is a confirmation.
        races: The searches of the columns that have one.
        price: Of an hour of a device; None if nobody gave one.
    """

    experiment: Experiment
    cells: Sequence[Cell]
    runs: Mapping[str, CellRun]
    comparison: Comparison
    predictions: Callable[[Cell], Predictions | None]
    curves: Callable[[Cell], Sequence[EpochResult] | None]
    open_dataset: Callable[[DatasetSpec], Dataset] | None = None
    names: Names = field(default_factory=Names)
    link: Callable[[CellRun], str | None] = lambda _: None
    environment: Mapping[str, str] = field(default_factory=dict)
    above: tuple[str, ...] = ()
    races: Sequence[Raced] = ()
    price: Price | None = None


@dataclass(frozen=True)
class Figure:
    """One figure, computed and not drawn yet.

    Attributes:
        name: The stem of its files.
        title: Its heading.
        sentence: What it shows, from its own numbers: one or two sentences.
        draw: Draws it; None for what is HTML alone. Called inside of `orchestrator.report.style.styled`.
        html: What stands on the page in place of the drawing; everything in it is escaped already.
        data: The numbers shown: dicts with text as keys, lists, text, numbers, None.
        missing: Why other columns, or data sets, have none of the kind, a sentence each; of the first of a kind alone.
    """

    name: str
    title: str
    sentence: str
    draw: Callable[[], Drawing] | None = None
    html: str | None = None
    data: Any = None
    missing: tuple[str, ...] = ()


class Unavailable(Exception):  # noqa: N818 - no error: the page says it in the figure's place, and goes on
    """There is no such figure of this experiment; says in a sentence why, and what to do."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


Kind = Callable[[Material], list[Figure]]
"""Makes the figures of a kind, one or more; raises `Unavailable` where what it needs is not there."""
