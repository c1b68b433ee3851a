"""The comparison of a sweep's augmentations: a pure function of its cells and their tracked runs.

Nothing is dropped: a cell without a value stays in the table as missing, and a row that lacks seeds is never starred.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from orchestrator.errors import UserError, nearest
from orchestrator.experiment import Cell, Comparing, Replicate
from orchestrator.records import CellRun
from orchestrator.results.metric import Metric, classes_tracked, resolve_metric
from orchestrator.results.statistics import Analysis, mean_and_std

BASELINE = "erm"
Standing = Literal["best", "may be best", "ruled out", "not judged"]


@dataclass(frozen=True)
class Column:
    """What a column of the table was trained on."""

    dataset: str
    model: str

    @property
    def label(self) -> str:
        """``dataset / model``."""
        return f"{self.dataset} / {self.model}"


@dataclass(frozen=True)
class Entry:
    """One augmentation on one data set and model.

    Attributes:
        values: The metric by replicate (seed, and fold if there are some), of finished cells only.
        planned: The replicates the experiment asks for; empty if it does not ask for this combination.
        mean: NaN without a value, or if a value is not finite.
        std: With ddof=1; None for fewer than two values.
        num_failed: How many of its trainings failed.
        standing: ``best`` if it is complete and every other row is shown to be worse than some row; ``may be best`` if
            it is not shown to be worse than some other; ``ruled out`` if it is. ``not judged`` where a training failed,
            a value is not finite, or the metric cannot compare.
    """

    values: Mapping[Replicate, float]
    planned: tuple[Replicate, ...]
    mean: float
    std: float | None
    num_failed: int = 0
    standing: Standing = "not judged"

    @property
    def n(self) -> int:
        """The number of replicates with a value."""
        return len(self.values)

    @property
    def complete(self) -> bool:
        """Every planned replicate has a finite value."""
        return bool(self.planned) and self.n == len(self.planned) and math.isfinite(self.mean)

    @property
    def folds(self) -> tuple[int, ...]:
        """The folds that have a value; none where the data set is not in folds."""
        return tuple(sorted({each.fold for each in self.values if each.fold is not None}))

    @property
    def is_judged(self) -> bool:
        """Its values say what the row is: none failed, and all are finite."""
        return bool(self.values) and not self.num_failed and math.isfinite(self.mean)


@dataclass(frozen=True)
class Comparison:
    """Everything a table needs.

    Attributes:
        rows: Augmentations with their values, in the experiment's order.
        columns: Data set and model, in the experiment's order.
        entries: One for each row and column.
        analyses: What may be said of each column; none where the metric cannot compare.
        baseline: The row that the others are compared with, in every column that has it; None for none.
        margin: Differences of less than that are as good as none, in the metric's unit; None if nobody has said so.
        is_exploratory: The metric is another than the one that decides.
        without_value: How many cells have no value, by their state (``missing`` was never started).
        num_cells: The number of cells planned.
        mixed_data: Columns whose cells did not see the same images: the data set was changed between them.
        num_untracked: How many of the values come from storage, and are not in MLflow yet.
    """

    metric: Metric
    rows: tuple[str, ...]
    columns: tuple[Column, ...]
    entries: Mapping[tuple[str, Column], Entry]
    analyses: Mapping[Column, Analysis]
    baseline: str | None
    margin: float | None
    is_exploratory: bool
    without_value: Mapping[str, int]
    num_cells: int
    mixed_data: tuple[Column, ...]
    num_untracked: int = 0


def compare(
    cells: Sequence[Cell],
    runs: Mapping[str, CellRun],
    *,
    metric: str | None = None,
    baseline: str | None = None,
    comparing: Comparing | None = None,
) -> Comparison:
    """Compare the augmentations of a sweep.

    Args:
        cells: The planned cells, in the experiment's order.
        runs: The tracked runs by cell key; runs of other cells are ignored.
        metric: ``error`` means ``test/error``; ``val/error``, ``best/error``, ``train/loss``, ``test/recall/CLASS`` and
            ``test/group/error`` work, too. None for the one that decides.
        baseline: The row that the others are compared with; None for the one that `comparing` names, or erm.
        comparing: What the experiment says of it; None for what one says that says nothing.

    Raises:
        UserError: No such metric, or no such row.
        ValueError: Two cells share augmentation, data set, model and seed.
    """
    comparing = comparing or Comparing()
    tracked = classes_tracked(name for run in runs.values() for name in run.metrics)
    chosen = resolve_metric(comparing.metric if metric is None else metric, tracked=tracked)
    decides = chosen.key == resolve_metric(comparing.metric).key
    margin = comparing.margin if decides else None
    rows = tuple(dict.fromkeys(cell.augment.label for cell in cells))
    against = _baseline(rows, cells, baseline or comparing.baseline)
    of_metric = margin / 100 if margin is not None and chosen.is_fraction else margin
    grouped: dict[tuple[str, Column], list[Cell]] = {}
    for cell in cells:
        grouped.setdefault((cell.augment.label, _column(cell)), []).append(cell)
    columns = tuple(dict.fromkeys(column for _, column in grouped))
    entries = {
        (row, column): _entry(grouped.get((row, column), ()), runs, chosen) for column in columns for row in rows
    }
    folds = {_column(cell): cell.dataset.folds for cell in cells}
    analyses = {}
    for column in columns if chosen.is_comparable else ():
        in_column = {row: entries[row, column] for row in rows}
        analyses[column] = _analysis(in_column, chosen, against, of_metric, folds=folds[column])
        for row, standing in _standings(in_column, analyses[column]).items():
            entries[row, column] = replace(in_column[row], standing=standing)
    states = Counter(
        runs[cell.key].status if cell.key in runs else "missing"
        for cell in cells
        if value_of(cell, runs, chosen) is None
    )
    mixed_data = tuple(
        column for column in columns if saw_different_data([cell for cell in cells if _column(cell) == column], runs)
    )
    untracked = sum(cell.key in runs and runs[cell.key].status == "trained" for cell in cells)
    return Comparison(
        metric=chosen,
        rows=rows,
        columns=columns,
        entries=entries,
        analyses=analyses,
        baseline=against,
        margin=of_metric,
        is_exploratory=not decides,
        without_value=states,
        num_cells=len(cells),
        mixed_data=mixed_data,
        num_untracked=untracked,
    )


def check_comparing(comparing: Comparing, cells: Sequence[Cell], *, file: Path) -> None:
    """Raise UserError if an experiment's tables could not be compared as it says: before anything is trained."""
    try:
        resolve_metric(comparing.metric)
        _baseline(tuple(dict.fromkeys(cell.augment.label for cell in cells)), cells, comparing.baseline)
    except UserError as error:
        raise UserError(f"{file}: compare.{error.args[0]}", allowed=error.allowed, remedy=error.remedy) from error


def value_of(cell: Cell, runs: Mapping[str, CellRun], metric: Metric) -> float | None:
    """The metric of a finished cell; None while it is unfinished (the metrics of an epoch on the way are no result)."""
    run = runs.get(cell.key)
    return run.metrics.get(metric.key) if run is not None and run.has_result else None


def saw_different_data(cells: Sequence[Cell], runs: Mapping[str, CellRun]) -> bool:
    """Whether the finished ones of `cells`, of one data set, saw different images or labels: it was changed between."""
    seen: dict[int | None, set[str]] = {}  # every fold has splits of its own
    for cell in cells:
        run = runs.get(cell.key)
        if run is not None and run.has_result and run.split_hash is not None:
            seen.setdefault(cell.dataset.fold, set()).add(run.split_hash)
    return any(len(hashes) > 1 for hashes in seen.values())


def _column(cell: Cell) -> Column:
    return Column(cell.dataset.label, cell.model)


def _baseline(rows: Sequence[str], cells: Sequence[Cell], wanted: str | None) -> str | None:
    """Return the row that is meant: by its label, or by the name of its augmentation if only one row has it."""
    named = list(dict.fromkeys(cell.augment.label for cell in cells if cell.augment.name == (wanted or BASELINE)))
    if wanted in rows:
        return wanted
    if len(named) == 1 or wanted is None:
        return named[0] if named else None
    meant = nearest(wanted, rows, cutoff=0.5)
    what = f"{len(named)} rows are {wanted}" if named else "there is no such row"
    raise UserError(
        f"baseline = {wanted}: {what}",
        allowed=f"one of the rows: {', '.join(rows)}",
        remedy=f"write {meant}, as the table has it" if meant else "write one of them, as the table has it",
    )


def _entry(members: Sequence[Cell], runs: Mapping[str, CellRun], metric: Metric) -> Entry:
    found = {cell.replicate: value_of(cell, runs, metric) for cell in members}
    if len(found) != len(members):
        raise ValueError(f"two cells share augmentation, data set, model and seed: {', '.join(c.key for c in members)}")
    values = {replicate: value for replicate, value in found.items() if value is not None}
    mean, std = mean_and_std(values.values())
    failed = sum(cell.key in runs and runs[cell.key].status == "failed" for cell in members)
    return Entry(values, tuple(found), mean, std, failed)


def _analysis(
    entries: Mapping[str, Entry], metric: Metric, baseline: str | None, margin: float | None, *, folds: int | None
) -> Analysis:
    """Return what may be said of a column, from the rows whose values say what they are."""
    from orchestrator.results.statistics import analyse  # it needs SciPy, which commands beside compare do not

    judged = {row: entry for row, entry in entries.items() if entry.is_judged}
    in_folds = folds is not None and len({fold for entry in judged.values() for fold in entry.folds}) > 1
    return analyse(
        {row: _of_folds(entry) if in_folds else _of_seeds(entry) for row, entry in judged.items()},
        baseline=baseline if baseline in judged else None,
        higher_is_better=metric.higher_is_better,
        margin=margin,
        # Each image is tested in one fold, and trained on in all others.
        overlap=1 / (folds - 1) if folds is not None and in_folds else 0.0,
    )


def _of_seeds(entry: Entry) -> dict[int, float]:
    return {replicate.seed: value for replicate, value in entry.values.items()}


def _of_folds(entry: Entry) -> dict[int, float]:
    """Return the mean of each fold's seeds."""
    of_fold: dict[int, list[float]] = {}
    for replicate, value in entry.values.items():
        assert replicate.fold is not None
        of_fold.setdefault(replicate.fold, []).append(value)
    return {fold: math.fsum(values) / len(values) for fold, values in of_fold.items()}


def _standings(entries: Mapping[str, Entry], analysis: Analysis) -> dict[str, Standing]:
    kept = analysis.may_be_best
    if not analysis.tells:
        return {}
    alone = len(kept) == 1 and entries[kept[0]].complete
    return {row: "ruled out" if row not in kept else "best" if alone else "may be best" for row in analysis.means}
