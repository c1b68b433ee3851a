"""A comparison as JSON: everything that is known of it, for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from orchestrator.experiment import Cell
from orchestrator.results.column_words import ASKED_POINTS
from orchestrator.results.comparison import Column, Comparison
from orchestrator.results.formats.source import Place, Source
from orchestrator.results.meant_images import about
from orchestrator.results.names import Names, named
from orchestrator.results.raced import Reached
from orchestrator.results.statistics import Analysis
from orchestrator.results.wording import remarks

# Goes up when something that is there has another meaning or place, or is there no more.
SCHEMA_VERSION = 1


def as_json(source: Source) -> str:
    """Return the document; docs/comparing.md says what is in it. A number that is not finite is null."""
    comparison, names = source.comparison, source.names
    metric = comparison.metric
    one_cell = {place.row: place.cell for place in source.places()}
    settings = source.settings()
    document = {
        "schema_version": SCHEMA_VERSION,
        "metric": {
            "name": metric.key,
            "higher_is_better": metric.higher_is_better,
            "unit": "fraction" if metric.is_fraction else None,
            "comparable": metric.is_comparable,
            "exploratory": comparison.is_exploratory,
        },
        "baseline": comparison.baseline,
        "margin": comparison.margin,
        "family": comparison.family,
        "rows": [_row(row, names, cell) for row, cell in one_cell.items()],
        "columns": [_column(source, column) for column in comparison.columns],
        "entries": [_entry(source, row, column, settings) for row, column in comparison.entries],
        "claims_over_datasets": [asdict(claim) for claim in comparison.claims],
        "chosen_settings": _choices(comparison),
        "cells": {
            "planned": comparison.num_cells,
            "without_value": dict(comparison.without_value),
            "not_in_mlflow": comparison.num_untracked,
        },
        "remarks": remarks(named(comparison, names)),
    }
    return json.dumps(_finite(document), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _row(row: str, names: Names, cell: Cell) -> dict[str, Any]:
    return {
        "row": row,
        "shown_as": names.row(row),
        "augment": cell.augment.name,
        "parameters": cell.augment.values,
    }


def _column(source: Source, column: Column) -> dict[str, Any]:
    comparison, names = source.comparison, source.names
    headline = comparison.headline(column)
    is_fraction = comparison.metric.is_fraction
    of_new = headline is not None and column in comparison.new_images
    return {
        "dataset": column.dataset,
        "model": column.model,
        "dataset_shown_as": names.dataset(column.dataset),
        "model_shown_as": names.model(column.model),
        "settings": comparison.settings.get(column),
        "baseline": comparison.baseline_of(column),
        "mixed_data": column in comparison.mixed_data,
        "looks": comparison.looks.get(column, 0),
        "race": _race(source, column),
        "about": None if headline is None else "new images" if about(comparison, column).new else "these images",
        "headline": None if headline is None else "new_images" if of_new else "these_images",
        "these_images": _analysis(comparison.analyses.get(column), is_fraction=is_fraction),
        "new_images": _analysis(comparison.new_images.get(column), is_fraction=is_fraction),
    }


def _analysis(analysis: Analysis | None, *, is_fraction: bool) -> dict[str, Any] | None:
    if analysis is None:
        return None
    asked = ASKED_POINTS if is_fraction else (analysis.detectable or 0.0) / 2 or None
    return {
        "tells": analysis.tells,
        "alpha": analysis.alpha,
        "df": analysis.df,
        "may_be_best": list(analysis.may_be_best),
        "means": dict(analysis.means),
        "against_baseline": {
            row: {
                "verdict": verdict.verdict,
                "difference": verdict.difference,
                "low": verdict.low,
                "high": verdict.high,
                "p": verdict.p,
                "rough": verdict.is_rough,
            }
            for row, verdict in analysis.rows.items()
        },
        "detectable": analysis.detectable,
        "asked_difference": asked,
        "seeds_needed": None if asked is None else analysis.seeds_needed(asked),
    }


def _choices(comparison: Comparison) -> list[dict[str, Any]] | None:
    """Return which settings validation chose for each row; None if all are shown."""
    if comparison.choices is None:
        return None
    of_choice = {"by": comparison.choices.metric.key, "among": list(comparison.choices.names)}
    return [{**asdict(choice), **of_choice} for choice in comparison.choices.made]


def _entry(source: Source, row: str, column: Column, settings: Sequence[str]) -> dict[str, Any]:
    entry = source.comparison.entries[row, column]
    cells = source.comparison.cells.get((row, column), ())
    return {
        "row": row,
        "dataset": column.dataset,
        "model": column.model,
        "settings": {name: cell.params().get(name) for cell in cells[:1] for name in settings},
        "standing": entry.standing,
        "mean": entry.mean,
        "std": entry.std,
        "n": entry.n,
        "planned": len(entry.planned),
        "failed": entry.num_failed,
        "mean_with_failures": entry.mean_with_failures,
        "race": _reached(entry.reached),
        "replicates": [_replicate(source, Place(row, column, cell)) for cell in cells],
    }


def _replicate(source: Source, place: Place) -> dict[str, Any]:
    cell = place.cell
    return {
        "seed": cell.seed,
        "fold": cell.dataset.fold,
        "value": source.value(place),
        "state": source.state(place),
        "cell": cell.key,
        "run": source.run_id(cell),
    }


def _race(source: Source, column: Column) -> dict[str, Any] | None:
    """Return what the race of a column is; None where it has none, or where that left nothing out."""
    raced = source.comparison.raced.get(column)
    if raced is None:
        return None
    winner = raced.winner
    return {
        "over": raced.is_over,
        "winner": None if winner is None else source.comparison.rows_of(column).get(winner),
        "configurations": len(raced.points),
        "configurations_wanted": raced.num_samples,
        "epochs": {"trained": raced.trained_epochs, "at_most": raced.most_epochs, "grid": raced.grid_epochs},
        "batches": [[rung._asdict() for rung in race.rungs] for race in raced.search.races],
    }


def _reached(found: Reached | None) -> dict[str, Any] | None:
    """Return how far a row got in a race, by validation: means of other rungs are not to be compared with its own."""
    if found is None:
        return None
    rung = found.standing.rung
    return {
        "rung": found.standing.number,
        "seeds": rung.seeds,
        "epochs": rung.epochs,
        "val_error": found.place.mean,
        "place": found.number,
        "of": len(found.standing.places),
        "stopped": found.stop is not None,
        "cut": None if found.stop is None else found.stop.cut,
    }


def _finite(value: Any) -> Any:
    """Return `value` with null for what JSON has no number for."""
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
