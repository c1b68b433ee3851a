"""The comparison of a sweep's augmentations: a pure function of its cells and their tracked runs.

Nothing is dropped: a cell without a value stays in the table as missing, and a row that lacks seeds is never best.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.experiment import Cell, Replicate
from orchestrator.records import CellRun
from orchestrator.results.contrasts import Contrast, contrast, mean_and_std
from orchestrator.results.metric import Metric, classes_tracked, resolve_metric

BASELINE = "erm"


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
        best: It has the best mean of its column among the complete entries (ties are all best); none has where the
            metric cannot compare.
    """

    values: Mapping[Replicate, float]
    planned: tuple[Replicate, ...]
    mean: float
    std: float | None
    best: bool = False

    @property
    def n(self) -> int:
        """The number of replicates with a value."""
        return len(self.values)

    @property
    def complete(self) -> bool:
        """Every planned replicate has a finite value."""
        return bool(self.planned) and self.n == len(self.planned) and math.isfinite(self.mean)


@dataclass(frozen=True)
class Comparison:
    """Everything a table needs.

    Attributes:
        rows: Augmentations with their values, in the experiment's order.
        columns: Data set and model, in the experiment's order.
        entries: One for each row and column.
        contrasts: For each column the best row against the runner-up and against erm; empty without another row.
        without_value: How many cells have no value, by their state (``missing`` was never started).
        num_cells: The number of cells planned.
        mixed_data: Columns whose cells did not see the same images: the data set was changed between them.
        num_untracked: How many of the values come from storage, and are not in MLflow yet.
    """

    metric: Metric
    rows: tuple[str, ...]
    columns: tuple[Column, ...]
    entries: Mapping[tuple[str, Column], Entry]
    contrasts: Mapping[Column, tuple[Contrast, ...]]
    without_value: Mapping[str, int]
    num_cells: int
    mixed_data: tuple[Column, ...]
    num_untracked: int = 0


def compare(cells: Sequence[Cell], runs: Mapping[str, CellRun], *, metric: str = "test/error") -> Comparison:
    """Compare the augmentations of a sweep.

    Args:
        cells: The planned cells, in the experiment's order.
        runs: The tracked runs by cell key; runs of other cells are ignored.
        metric: ``error`` means ``test/error``; ``val/error``, ``best/error``, ``train/loss``, ``test/recall/CLASS`` and
            ``test/group/error`` work, too.

    Raises:
        UserError: No such metric.
        ValueError: Two cells share augmentation, data set, model and seed.
    """
    chosen = resolve_metric(metric, tracked=classes_tracked(name for run in runs.values() for name in run.metrics))
    rows = tuple(dict.fromkeys(cell.augment.label for cell in cells))
    columns = tuple(dict.fromkeys(_column(cell) for cell in cells))
    grouped: dict[tuple[str, Column], list[Cell]] = {(row, column): [] for column in columns for row in rows}
    for cell in cells:
        grouped[cell.augment.label, _column(cell)].append(cell)
    entries = {place: _entry(members, runs, chosen) for place, members in grouped.items()}
    baseline = next((cell.augment.label for cell in cells if cell.augment.name == BASELINE), None)
    folds = {_column(cell): cell.dataset.folds for cell in cells}
    contrasts: dict[Column, tuple[Contrast, ...]] = {}
    for column in columns:
        in_column = {row: entries[row, column] for row in rows}
        ranked = _ranked(in_column, chosen) if chosen.is_comparable else []
        contrasts[column] = _contrasts(in_column, ranked, baseline, chosen, folds=folds[column])
        for row in ranked:
            entries[row, column] = replace(in_column[row], best=in_column[row].mean == in_column[ranked[0]].mean)
    without_value = [cell for cell in cells if value_of(cell, runs, chosen) is None]
    states = Counter(runs[cell.key].status if cell.key in runs else "missing" for cell in without_value)
    mixed_data = tuple(
        column for column in columns if saw_different_data([cell for cell in cells if _column(cell) == column], runs)
    )
    untracked = sum(cell.key in runs and runs[cell.key].status == "trained" for cell in cells)
    return Comparison(chosen, rows, columns, entries, contrasts, states, len(cells), mixed_data, untracked)


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


def _entry(members: Sequence[Cell], runs: Mapping[str, CellRun], metric: Metric) -> Entry:
    found = {cell.replicate: value_of(cell, runs, metric) for cell in members}
    if len(found) != len(members):
        raise ValueError(f"two cells share augmentation, data set, model and seed: {', '.join(c.key for c in members)}")
    values = {replicate: value for replicate, value in found.items() if value is not None}
    mean, std = mean_and_std(values.values())
    return Entry(values, tuple(found), mean, std)


def _ranked(entries: Mapping[str, Entry], metric: Metric) -> list[str]:
    """The complete rows, best first; equal ones in the experiment's order."""
    sign = -1.0 if metric.higher_is_better else 1.0
    return sorted((row for row, entry in entries.items() if entry.complete), key=lambda row: sign * entries[row].mean)


def _contrasts(
    entries: Mapping[str, Entry], ranked: Sequence[str], baseline: str | None, metric: Metric, *, folds: int | None
) -> tuple[Contrast, ...]:
    if not ranked:
        return ()
    others = [*ranked[1:2], *([baseline] if baseline is not None and entries[baseline].planned else [])]
    return tuple(
        contrast(
            ranked[0],
            other,
            best_values=entries[ranked[0]].values,
            other_values=entries[other].values,
            higher_is_better=metric.higher_is_better,
            folds=folds,
        )
        for other in dict.fromkeys(others)
        if other != ranked[0]
    )
