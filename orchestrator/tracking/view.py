"""A sweep's cells as MLflow's UI shows them best: a saved view of the experiment, which it lists under Views.

Left to itself the UI sorts by the time of the start, groups nothing, and opens its charts in the order of the alphabet.
The format is that of its own "Save view" (seen in MLflow 3.17): a tag of the experiment. A UI that does not know it is
as it was without.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from orchestrator.column_names import SETTING
from orchestrator.experiment import Cell, Experiment
from orchestrator.results import resolve_metric
from orchestrator.tracking.names import KIND, VIEW
from orchestrator.tracking.rows import IN_PERCENT

# What MLflow takes as a tag of an experiment.
LIMIT = 20_000
# Cells, and links to cells of other experiments.
CELLS_ALONE = f"tags.`{KIND}` != 'sweep'"
# Of sections and charts: any, that do not change.
_MARK = "zetasweep"


def view_tag(sweep: str) -> str:
    """Return the name of the tag that holds a sweep's view."""
    return f"{VIEW}{sweep}"


def view_key(sweep: str) -> str:
    """Return what an address names the view by."""
    return view_tag(sweep).removeprefix("mlflow.sharedViewState.")


def view_value(experiment: Experiment, cells: Sequence[Cell], *, created_ms: int) -> str:
    """Return what the tag holds.

    Args:
        experiment: The sweep.
        cells: All of its cells.
        created_ms: When the MLflow experiment was made, by which MLflow sorts views.
    """
    state = _state(experiment, cells)
    value = _packed(experiment.name, state, created_ms)
    if len(value) > LIMIT:  # so many settings that their groups stay open
        value = _packed(experiment.name, state | {"groupsExpanded": {}}, created_ms)
    return value


def order(experiment: Experiment) -> tuple[str, bool]:
    """Return the metric that sorts the cells, as MLflow names it, and whether the lowest comes first."""
    metric = resolve_metric(experiment.compare.metric)
    shown = next((name for name, of in IN_PERCENT.items() if of == metric.key), metric.key)
    return shown, not metric.higher_is_better


def _packed(name: str, state: dict[str, Any], created_ms: int) -> str:
    return json.dumps({"name": f"zetasweep {name}", "createdAt": created_ms, "state": json.dumps(state)})


def _state(experiment: Experiment, cells: Sequence[Cell]) -> dict[str, Any]:
    metric, ascending = order(experiment)
    metrics = list(dict.fromkeys([metric, *IN_PERCENT]))
    columns = [f"metrics.`{name}`" for name in metrics]
    sections = list(dict.fromkeys(["answer", metric.rpartition("/")[0], "test", "val", "train", "best", "audit"]))
    return {
        "searchFilter": CELLS_ALONE,
        "orderByKey": f"metrics.`{metric}`",
        "orderByAsc": ascending,
        "groupBy": {"aggregateFunction": "average", "groupByKeys": [{"mode": "tag", "groupByData": SETTING}]},
        "groupsExpanded": {f"tag.{SETTING}.{setting}": False for setting in dict.fromkeys(c.setting for c in cells)},
        "runsHiddenMode": "SHOW_ALL",
        "selectedColumns": columns,
        # A width counts for the columns of the order alone.
        "columnOrder": ["attributes.`Run Name`", *columns],
        "columnWidths": {"attributes.`Run Name`": 330} | dict.fromkeys(columns, 230),
        # Without it the UI sorts the sections by their names.
        "isAccordionReordered": True,
        "compareRunSections": [_section(name) for name in sections],
        "compareRunCharts": [_bar(name) for name in metrics],
    }


def _section(name: str) -> dict[str, Any]:
    display = name in ("answer", "test", "val")
    return {
        "uuid": f"{_MARK}-{name}",
        "name": name,
        "display": display,
        "isReordered": False,
        "deleted": False,
        "isGenerated": True,
    }


def _bar(metric: str) -> dict[str, Any]:
    section, _, name = metric.rpartition("/")
    return {
        "type": "BAR",
        "uuid": f"{_MARK}-{metric}",
        "metricSectionId": f"{_MARK}-{section}",
        "metricKey": metric,
        "displayName": name,
        "runsCountToCompare": 10,
        "deleted": False,
        "isGenerated": True,
    }
