"""What the figures of classes and of calibration are made of: the predictions of finished cells, counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from orchestrator.amounts import counted
from orchestrator.errors import DataError
from orchestrator.experiment import Replicate
from orchestrator.report.figure import Material, Unavailable
from orchestrator.report.measures.calibration import Reliability, reliability
from orchestrator.report.style import printable
from orchestrator.results import Column
from orchestrator.storage import Predictions


@dataclass(frozen=True)
class Counts:
    """The predictions of one cell.

    Attributes:
        confusion: int64 [K, K]: of how many test images of class i the prediction is j.
        reliability: By confidence.
    """

    confusion: NDArray[np.int64]
    reliability: Reliability

    @property
    def recall(self) -> NDArray[np.float64]:
        """Of each class the share that is recognised, [K]; NaN of one without test images."""
        with np.errstate(invalid="ignore"):
            found: NDArray[np.float64] = np.diag(self.confusion) / self.confusion.sum(axis=1)
        return found

    def of_classes(self, num_classes: int) -> Counts:
        """Return the same of at least as many classes, the last of which have neither images nor predictions."""
        more = num_classes - len(self.confusion)
        return replace(self, confusion=np.pad(self.confusion, (0, more)))


@dataclass(frozen=True)
class Counted:
    """The predictions of a column of the table.

    Attributes:
        rows: Of each row that has some, by replicate.
        class_names: In the order of the labels.
        remark: Which finished cells are missing, and what to do; empty if none is.
    """

    rows: Mapping[str, Mapping[Replicate, Counts]]
    class_names: tuple[str, ...]
    remark: str


def count_column(material: Material, column: Column) -> Counted:
    """Count the predictions of the finished cells of a column.

    Raises:
        Unavailable: There are none.
    """
    found: dict[str, dict[Replicate, Counts]] = {}
    num_lacking = num_classes = 0
    orders: set[str] = set()
    for row in material.comparison.rows:
        for cell in material.comparison.cells.get((row, column), ()):
            run = material.runs.get(cell.key)
            if run is None or not run.has_result:
                continue
            predictions = material.predictions(cell)
            if predictions is None:
                num_lacking += 1
                continue
            # Counted at once: all predictions of a column may be more than there is memory.
            counts = _counts(predictions)
            found.setdefault(row, {})[cell.replicate] = counts
            orders.add(predictions.order)
            num_classes = max(num_classes, len(counts.confusion))
    trains = material.comparison.remedies.trains
    remedy = f"zetasweep doctor {material.experiment.file} --fix computes them"
    if not found:
        raise Unavailable(
            f"No finished cell of {column.label} has its predictions for each test image: {remedy}."
            if num_lacking
            else f"No cell of {column.label} is finished: {trains} {material.experiment.file} goes on."
        )
    names = _class_names(material, column, orders)
    if len(names) < num_classes:
        names = tuple(f"class {at}" for at in range(num_classes))
    rows = {row: {at: each.of_classes(len(names)) for at, each in of_row.items()} for row, of_row in found.items()}
    lacking = f" {counted(num_lacking, 'finished cell')} without predictions for each test image"
    return Counted(rows, names, f"{lacking} left out: {remedy}." if num_lacking else "")


def chosen_rows(material: Material, column: Column, rows: Sequence[str], *, at_most: int) -> list[str]:
    """Return the baseline and the rows with the best means, in the table's order: those that are shown."""
    comparison = material.comparison
    baseline = comparison.baseline_of(column)
    entries = {row: comparison.entries[row, column] for row in rows}
    sign = -1 if comparison.metric.higher_is_better else 1

    def rank(row: str) -> tuple[bool, bool, float]:
        mean = entries[row].mean
        # The trainings that are left of a row flatter it.
        return row != baseline, not entries[row].is_judged, sign * mean if np.isfinite(mean) else np.inf

    ranked = sorted(rows, key=rank)
    return [row for row in rows if row in ranked[:at_most]]


def best_row(material: Material, column: Column, rows: Sequence[str]) -> str | None:
    """Return the row other than the baseline with the best mean, of those that are judged; None if there is none."""
    entries = material.comparison.entries
    baseline = material.comparison.baseline_of(column)
    others = [row for row in rows if row != baseline and entries[row, column].is_judged]
    return next(iter(chosen_rows(material, column, others, at_most=1)), None)


def _class_names(material: Material, column: Column, orders: Set[str]) -> tuple[str, ...]:
    """Return the names of the classes in the order of the labels; none where the data set is not there, or was changed.

    Args:
        material: Opens it.
        column: Its column.
        orders: `Predictions.order` of the cells: of other images or labels, another class may be the first by now.
    """
    spec = next(cells[0].dataset for (_, of), cells in material.comparison.cells.items() if of == column)
    try:
        dataset = material.open_dataset(spec) if material.open_dataset is not None else None
    except DataError:
        return ()
    return tuple(map(printable, dataset.class_names)) if dataset is not None and dataset.test_hash in orders else ()


def _counts(predictions: Predictions) -> Counts:
    labels, predicted = predictions.labels.astype(np.int64), predictions.predicted.astype(np.int64)
    num_classes = int(max(labels.max(), predicted.max())) + 1
    confusion = np.bincount(num_classes * labels + predicted, minlength=num_classes**2)
    return Counts(
        confusion=confusion.reshape(num_classes, num_classes),
        reliability=reliability(predictions.confidence, labels == predicted),
    )
