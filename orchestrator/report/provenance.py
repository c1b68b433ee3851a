"""Where the numbers come from: commits, versions, devices, the images, and the run of every cell."""

from __future__ import annotations

import re
from collections.abc import Iterable

from orchestrator.amounts import counted
from orchestrator.experiment import Cell
from orchestrator.report.columns import label_of
from orchestrator.report.figure import Figure, Material
from orchestrator.report.markup import filled
from orchestrator.results import Column, number

NOT_KNOWN = "not known"
# What may be clicked on: an address in a run's link comes from the user's own tracking URI.
_WEB = re.compile(r"https?://")


def provenance(material: Material) -> list[Figure]:
    """Return what the numbers were made with, and a line for each cell."""
    cells = [
        _of_cell(material, row, column, cell)
        for (row, column), members in material.comparison.cells.items()
        for cell in members
    ]
    facts = _facts(material)
    finished = sum(cell.key in material.runs and material.runs[cell.key].has_result for cell in material.cells)
    return [
        Figure(
            name="provenance",
            title="Where this comes from",
            sentence=f"{finished} of {counted(len(material.cells), 'cell')} have a result. A cell's key is a hash of "
            "all that determines its result; images have a hash of which there are, with which labels, in which split.",
            html=filled("provenance.html", facts=facts, cells=cells, metric=material.comparison.metric.key),
            data={"facts": facts, "cells": cells},
        )
    ]


def _facts(material: Material) -> dict[str, str]:
    runs = [material.runs[cell.key] for cell in material.cells if cell.key in material.runs]
    hashes: dict[str, set[str]] = {}
    for cell in material.cells:
        run = material.runs.get(cell.key)
        if run is not None and run.split_hash:
            fold = "" if cell.dataset.fold is None else f", fold {cell.dataset.fold}"
            what = f"images of {material.names.dataset(cell.dataset.label)}{fold}"
            hashes.setdefault(what, set()).add(run.split_hash)
    return {
        "experiment": f"{material.experiment.name}, {material.experiment.file.name}",
        "commits": _listed(run.commit for run in runs),
        "devices": _listed(run.device for run in runs),
        "workers of each cell": _listed(str(cell.workers) for cell in material.cells),
        **material.environment,
        **{what: _listed(found) for what, found in hashes.items()},
    }


def _listed(found: Iterable[str | None]) -> str:
    known = sorted({each for each in found if each})
    return ", ".join(known) or NOT_KNOWN


def _of_cell(material: Material, row: str, column: Column, cell: Cell) -> dict[str, str]:
    comparison, run = material.comparison, material.runs.get(cell.key)
    value = run.metrics.get(comparison.metric.key) if run is not None and run.has_result else None
    link = (material.link(run) or "") if run is not None else ""
    return {
        "row": material.names.row(row),
        "column": label_of(material.names, column),
        "replicate": cell.replicate.short,
        "status": run.status if run is not None else "missing",
        "value": number(value, comparison.metric) if value is not None else "",
        "key": cell.key,
        "run": (run.run_id or "") if run is not None else "",
        "link": link if _WEB.match(link) else "",
    }
