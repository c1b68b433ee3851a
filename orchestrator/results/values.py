"""What the cells of a table have: values of a metric, and the images that these are of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from orchestrator.experiment import Cell
from orchestrator.metric_names import GROUP, OPERATING_POINTS, RECALL, sensitivity_name, specificity_name
from orchestrator.records import CellRun
from orchestrator.results.metric import Metric
from orchestrator.results.statistics import RESOLUTION

# What counts whole images, or images of a class: of those a step is rather larger than one of all images.
_COUNTED = frozenset(("error", "accuracy", "f1_micro", "f1_macro", "balanced_accuracy", RECALL)) | {
    name(percent) for name in (sensitivity_name, specificity_name) for percent in OPERATING_POINTS
}


def value_of(cell: Cell, runs: Mapping[str, CellRun], metric: Metric) -> float | None:
    """The metric of a finished cell; None while it is unfinished (the metrics of an epoch on the way are no result)."""
    return value_in(runs.get(cell.key), metric)


def value_in(run: CellRun | None, metric: Metric) -> float | None:
    """Likewise, of a cell's run; None for a cell without one."""
    return run.metrics.get(metric.key) if run is not None and run.has_result else None


def resolution_in(runs: Iterable[CellRun], metric: Metric) -> float:
    """Return the least step between two values: one image of those that were judged, where they are counted."""
    split = "test" if metric.stage == "test" else "val"
    num_images = max((run.num_images.get(split, 0) for run in runs), default=0)
    name = metric.name.removeprefix(GROUP).partition("/")[0]
    return 1 / num_images if num_images and name in _COUNTED else RESOLUTION


def saw_different_data(cells: Sequence[Cell], runs: Mapping[str, CellRun]) -> bool:
    """Whether the finished ones of `cells`, of one data set, saw different images or labels: it was changed between.

    That is by the names and labels of each split, and by the pixels of all.
    """
    seen: dict[object, set[str]] = {}
    for cell in cells:
        run = runs.get(cell.key)
        if run is not None and run.has_result and run.split_hash is not None:
            seen.setdefault(cell.dataset.fold, set()).add(run.split_hash)  # every fold has splits of its own
        if run is not None and run.has_result and run.pixel_hash is not None:
            seen.setdefault(cell.dataset.images_id, set()).add(run.pixel_hash)
    return any(len(hashes) > 1 for hashes in seen.values())
