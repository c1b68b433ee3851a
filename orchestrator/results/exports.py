"""Which finished cells MLflow is to have the model of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from orchestrator.experiment import Cell, Models
from orchestrator.records import CellRun
from orchestrator.results.metric import resolve_metric
from orchestrator.results.values import value_of


def models_to_export(cells: Sequence[Cell], runs: Mapping[str, CellRun], models: Models) -> list[Cell]:
    """Return the finished cells of which MLflow lacks a model that it should have.

    Args:
        cells: Of a sweep, all of the configurations that are asked about.
        runs: What is known of them, by key.
        models: What ``tracking.models`` says.
    """
    if models == "none":
        return []
    alone = [[cell] for cell in cells]
    groups = [
        members
        for members in (alone if models == "all" else _configurations(cells))
        if all(cell.key in runs and runs[cell.key].status == "done" for cell in members)
    ]
    best = [best_replicate(members, runs) for members in groups]
    return [cell for cell in best if runs[cell.key].model_uri is None]


def best_replicate(cells: Sequence[Cell], runs: Mapping[str, CellRun]) -> Cell:
    """Return the cell of a configuration that is best on validation, by what its epochs are chosen by; of equal ones
    the first.
    """
    by = cells[0].train.best_by
    metric = resolve_metric(by if by not in (None, "last") else "error", default_stage="best")

    def rank(cell: Cell) -> float:
        value = value_of(cell, runs, metric)
        if value is None or math.isnan(value):
            return math.inf
        return -value if metric.higher_is_better else value

    return min(cells, key=rank)


def _configurations(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Return the cells that differ in seed and fold alone, together."""
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        found.setdefault(cell.config_key, []).append(cell)
    return list(found.values())
