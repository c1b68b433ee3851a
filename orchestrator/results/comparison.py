"""The comparison of a sweep's augmentations: a pure function of its cells and their tracked runs.

Nothing is dropped: a cell without a value stays in the table as missing, and a row that lacks seeds is never starred.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Literal

from orchestrator.errors import UserError
from orchestrator.experiment import Cell, Comparing
from orchestrator.records import CellRun
from orchestrator.results.baselines import Baseline, baseline_of, baselines_of, placed_rows, settled_baselines
from orchestrator.results.best_of import Choices, best_of, settings_named
from orchestrator.results.claims import Claim, claims_of, sources_of
from orchestrator.results.entry import Entry, Standing
from orchestrator.results.estimands import FewImages, Reader
from orchestrator.results.exploratory import exploratory, is_metric
from orchestrator.results.judged import Asked, Judged, judge
from orchestrator.results.looks import Seeds
from orchestrator.results.metric import Metric, classes_tracked, resolve_metric
from orchestrator.results.raced import Raced, by_configuration
from orchestrator.results.remedies import OF_CONFIRMATION, OF_SWEEP, Remedies
from orchestrator.results.rows import Column, Layout, lay_out
from orchestrator.results.statistics import ALPHA, Analysis

__all__ = ["Column", "Comparison", "Entry", "Standing", "check_asked", "check_comparing", "compare"]


@dataclass(frozen=True)
class Comparison:
    """Everything a table needs.

    Attributes:
        rows: Configurations with their values, in the experiment's order: augmentations, with the settings that differ.
        columns: Data set and model, in the experiment's order.
        entries: One for each row and column.
        analyses: What may be said of each column about these test images; none where the metric cannot compare, or its
            cells did not see the same images.
        new_images: What may be said of each column about new images like these; of those whose rows all have their
            predictions, and none where the metric cannot compare.
        cells: The planned cells of each row and column that has some.
        baselines: The row that the others are compared with, of each column that has one.
        margin: Differences of less than that are as good as none, in the metric's unit; None if nobody has said so.
        exploratory: Why the table is exploratory: what it shows was not settled by the file; empty if it is not.
        without_value: How many cells have no value, by their state (``missing`` was never started).
        num_cells: The number of cells planned.
        mixed_data: Columns whose cells did not see the same images: the data set was changed between them.
        num_untracked: How many of the values come from storage, and are not in MLflow yet.
        lacking: A cell without the predictions that statements about new images need, in each column that has one.
        few_images: On how few images rows differ, in each column where images were added for that.
        looks: After how many looks seeds were added, of each column where they were.
        seen: Which seeds stand now in the columns that are settled: by a cell's `config_key`, its replicates.
        family: Whether an error rate is of each column, or of the table.
        claims: What is shown over data sets.
        choices: Which settings validation chose for each row; None if all are shown.
        settings: What differs between columns alone, where something does.
        raced: The race of each column where one leaves cells out: there nothing is analysed.
        remedies: What is to be done about what it lacks.
    """

    metric: Metric
    rows: tuple[str, ...]
    columns: tuple[Column, ...]
    entries: Mapping[tuple[str, Column], Entry]
    analyses: Mapping[Column, Analysis]
    new_images: Mapping[Column, Analysis]
    cells: Mapping[tuple[str, Column], tuple[Cell, ...]]
    baselines: Mapping[Column, Baseline]
    margin: float | None
    exploratory: tuple[str, ...]
    without_value: Mapping[str, int]
    num_cells: int
    mixed_data: tuple[Column, ...]
    num_untracked: int = 0
    lacking: Mapping[Column, Cell] = field(default_factory=dict)
    few_images: Mapping[Column, FewImages] = field(default_factory=dict)
    looks: Mapping[Column, int] = field(default_factory=dict)
    seen: Seeds = field(default_factory=dict)
    family: Literal["column", "table"] = "column"
    claims: tuple[Claim, ...] = ()
    choices: Choices | None = None
    settings: Mapping[Column, str] = field(default_factory=dict)
    raced: Mapping[Column, Raced] = field(default_factory=dict)
    remedies: Remedies = OF_SWEEP

    def baseline_of(self, column: Column) -> str | None:
        """Return the row that the others of a column are compared with; None for none."""
        return self.baselines[column].row if column in self.baselines else None

    @property
    def baseline(self) -> str | None:
        """The row that the others are compared with in all columns; None for none, and where columns have others."""
        rows = {found.row for found in self.baselines.values()}
        return rows.pop() if len(rows) == 1 else None

    @property
    def standing_rows(self) -> tuple[str, ...]:
        """The rows that a column has not stopped: those of the table's upper part, or of all of it."""
        return tuple(row for row in self.rows if any(e.planned and not e.is_stopped for e in self._entries(row)))

    @property
    def stopped_rows(self) -> tuple[str, ...]:
        """The rows that a column has stopped, who got furthest first: of them validation is shown, below a line."""
        found = {row: [e.reached for e in self._entries(row) if e.is_stopped and e.reached] for row in self.rows}
        furthest = {row: min((each.sorts_as for each in of_row), default=None) for row, of_row in found.items()}
        return tuple(sorted((row for row in self.rows if found[row]), key=lambda row: furthest[row] or ()))

    def rows_of(self, column: Column) -> dict[str, str]:
        """Return the rows of a column by the `config_key` of their cells."""
        return {members[0].config_key: row for (row, place), members in self.cells.items() if place == column}

    def called(self, column: Column) -> Callable[[str], str]:
        """Return what says what a configuration of a race is called: its row, or its label if it has none here."""
        rows, raced = self.rows_of(column), self.raced[column]
        return lambda name: rows.get(name, raced.called(name))

    def _entries(self, row: str) -> list[Entry]:
        return [self.entries[row, column] for column in self.columns]

    def headline(self, column: Column) -> Analysis | None:
        """What is said first of a column: about new images like these where that can be, else about these."""
        return self.new_images.get(column, self.analyses.get(column))

    @property
    def is_exploratory(self) -> bool:
        """Something is another than the file's: what is chosen by the table finds too much."""
        return bool(self.exploratory)

    @property
    def has_finished_cells(self) -> bool:
        """A cell has a value, or is finished without one."""
        return any(entry.n for entry in self.entries.values()) or not {"done", "trained"}.isdisjoint(self.without_value)


def compare(
    cells: Sequence[Cell],
    runs: Mapping[str, CellRun],
    *,
    metric: str | None = None,
    baseline: str | None = None,
    comparing: Comparing | None = None,
    in_file: Comparing | None = None,
    confirmed: Collection[str] | None = None,
    best_of_settings: Sequence[str] = (),
    predictions: Reader | None = None,
    looks: Sequence[Seeds] = (),
    races: Sequence[Raced] = (),
) -> Comparison:
    """Compare the augmentations of a sweep.

    Args:
        cells: The planned cells, in the experiment's order.
        runs: The tracked runs by cell key; runs of other cells are ignored.
        metric: ``error`` means ``test/error``; ``val/error``, ``best/error``, ``train/loss``, ``test/recall/CLASS`` and
            ``test/group/error`` work, too. None for the one that decides.
        baseline: The row that the others are compared with; None for the one that `comparing` names, or erm.
        comparing: What the experiment says of it; None for what one says that says nothing.
        in_file: What its file says, which was there before anybody looked: what differs from that is exploratory; None
            for the same.
        confirmed: Of a confirmation, the baselines that were settled before (`Cell.config_key`), which stand unless
            `baseline` names another; None for what is none.
        best_of_settings: Of rows that differ in these settings alone, only that is shown which validation prefers.
        predictions: Where those of a cell come from; None: nothing is said about new images.
        looks: The seeds that stood whenever the table was looked at before, see `Comparison.seen`.
        races: The searches of the columns that have one.

    Raises:
        UserError: No such metric, or no such row; or a setting cannot be chosen.
        ValueError: Two cells share configuration, data set, model and seed.
    """
    comparing = comparing or Comparing()
    tracked = classes_tracked({name for run in runs.values() for name in run.metrics})
    chosen = resolve_metric(comparing.metric if metric is None else metric, tracked=tracked)
    among = settings_named(best_of_settings, cells)
    layout, choices = lay_out(cells), None
    raced = _raced(layout, races, runs)
    if among:
        layout, choices = best_of(cells, runs, among, chosen, raced=raced)
    layout.check()
    placed = placed_rows(layout, races)

    def usual(comparing: Comparing) -> dict[Column, Baseline]:
        if confirmed is not None:
            return settled_baselines(layout, confirmed)
        return baselines_of(layout, comparing.baseline, must_be_one=False, placed=placed)

    asked_for = None if baseline is None else baselines_of(layout, baseline, must_be_one=True, placed=placed)
    baselines = usual(comparing) if asked_for is None else asked_for
    margin = comparing.margin if is_metric(chosen, comparing.metric) else None
    asked = Asked(
        metric=chosen,
        margin=margin / 100 if margin is not None and chosen.is_fraction else margin,
        num_together=len(layout.columns) if comparing.family == "table" else 1,
        looks=looks,
        read=predictions,
    )
    judged = {
        column: judge(
            layout.of_column(column),
            runs,
            asked,
            baseline=baselines[column].row if column in baselines else None,
            raced=raced.get(column),
        )
        for column in layout.columns
    }
    return Comparison(
        metric=chosen,
        rows=layout.rows,
        columns=layout.columns,
        entries={(row, column): each.entries[row] for column, each in judged.items() for row in layout.rows},
        analyses={column: each.these for column, each in judged.items() if each.these is not None},
        new_images={column: each.new for column, each in judged.items() if each.new is not None},
        cells=layout.cells,
        baselines=baselines,
        margin=asked.margin,
        exploratory=tuple(
            exploratory(
                in_file or comparing,
                comparing,
                metric=chosen,
                num_columns=len(layout.columns),
                baselines=baselines,
                is_asked=baseline is not None,
                usual=partial(usual, in_file or comparing),
            )
        ),
        without_value=sum((each.without_value for each in judged.values()), Counter()),
        num_cells=sum(map(len, layout.cells.values())),
        mixed_data=tuple(column for column, each in judged.items() if each.mixed_data),
        num_untracked=sum(each.num_untracked for each in judged.values()),
        lacking={column: each.lacking for column, each in judged.items() if each.lacking is not None},
        few_images={column: each.few for column, each in judged.items() if each.few is not None},
        looks={column: each.num_looks for column, each in judged.items() if each.num_looks},
        seen={key: seeds for each in judged.values() for key, seeds in each.seen.items()},
        family=comparing.family,
        claims=_claims(layout, judged, chosen, runs),
        choices=choices,
        settings={column: settings for column, settings in layout.settings.items() if settings},
        raced={column: each.raced for column, each in judged.items() if each.raced is not None},
        remedies=OF_SWEEP if confirmed is None else OF_CONFIRMATION,
    )


def _raced(layout: Layout, races: Sequence[Raced], runs: Mapping[str, CellRun]) -> dict[Column, Raced]:
    """Return the race of each column where one leaves cells out; elsewhere the cells are a grid like any other."""
    found: dict[Column, Raced] = {}
    of_configuration = by_configuration(races)
    for column in layout.columns if races else ():  # keys of many cells take a while
        cells = [cell for of_row in layout.of_column(column).values() for cell in of_row]
        raced = next((of_configuration[name] for cell in cells if (name := cell.config_key) in of_configuration), None)
        if raced is not None and raced.leaves_out(cells, runs):
            found[column] = raced
    return found


def check_comparing(comparing: Comparing, cells: Sequence[Cell], *, file: Path, is_searched: bool = False) -> None:
    """Raise UserError if an experiment's tables could not be compared as it says: before anything is trained."""
    try:
        resolve_metric(comparing.metric)
        baseline_of(lay_out(cells), comparing.baseline, must_be_one=False, is_searched=is_searched)
    except UserError as error:
        raise UserError(f"{file}: compare.{error.args[0]}", allowed=error.allowed, remedy=error.remedy) from error


def check_asked(
    cells: Sequence[Cell],
    *,
    metric: str | None,
    baseline: str | None,
    best_of_settings: Sequence[str],
    is_searched: bool = False,
    named_by: str = "baseline =",
) -> None:
    """Raise UserError if `compare` could not be asked so, as far as that is known without any run.

    Args:
        cells: See `compare`, as the others.
        metric: Likewise.
        baseline: Likewise.
        best_of_settings: Likewise.
        is_searched: Whether the experiment has a search.
        named_by: See `baseline_of`.
    """
    if metric is not None:
        resolve_metric(metric)
    layout = lay_out(cells, left_out=settings_named(best_of_settings, cells))
    if baseline is not None:
        baseline_of(layout, baseline, must_be_one=True, is_searched=is_searched, named_by=named_by)


def _claims(
    layout: Layout, judged: Mapping[Column, Judged], metric: Metric, runs: Mapping[str, CellRun]
) -> tuple[Claim, ...]:
    """Return what is shown over data sets, by what is said first of each column."""
    headlines = {column: each.headline for column, each in judged.items() if each.headline is not None}
    return claims_of(
        layout.rows,
        headlines,
        sources_of({column: list(chain(*layout.of_column(column).values())) for column in headlines}, runs),
        higher_is_better=metric.higher_is_better,
        # The claim allows for the data sets by itself, and not for looks.
        alpha=min((each.alpha for each in judged.values()), default=ALPHA),
    )
