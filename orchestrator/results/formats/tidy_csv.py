"""A comparison as data: a line for each cell, for spreadsheets and programs."""

from __future__ import annotations

import csv
import io
import json
import math

from orchestrator.column_names import IDENTITY, RUNG, VALUE
from orchestrator.results.formats.source import Place, Source
from orchestrator.spreadsheets import shielded


def tidy_csv(source: Source) -> str:
    """Return a line for each row, column, seed and fold: numbers unrounded, fractions in [0, 1], empty where unknown.

    What distinguishes the cells has columns of its own: each parameter of an augmentation under its name, and what
    else differs. A text that a spreadsheet would compute has an apostrophe before it, see `shielded`.
    """
    parameters, settings = source.parameters(), source.settings()
    folds = any(place.cell.dataset.fold is not None for place in source.places())
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    where = [*IDENTITY[1:], *parameters, *settings, "seed", *(["fold"] if folds else [])]
    raced = bool(source.comparison.raced)
    writer.writerow([*where, *VALUE, *(RUNG if raced else [])])
    metric = shielded(source.comparison.metric.key)
    for place in source.places():
        cell, value = place.cell, source.value(place)
        params = cell.params()
        texts = (place.column.dataset, place.column.model, place.row, cell.augment.name)
        line: list[object] = [shielded(each) for each in texts]
        line += [_plain(cell.augment.values.get(name, "")) for name in parameters]
        line += [shielded(params.get(name, "")) for name in settings]
        line += [cell.seed, *([cell.dataset.fold] if folds else [])]
        line += [metric, "" if value is None else repr(value), source.state(place), cell.key, source.run_id(cell)]
        line += _rung(source, place) if raced else []
        writer.writerow(line)
    return text.getvalue()


def _rung(source: Source, place: Place) -> list[object]:
    """Return how far the row got in a race, the same in each of its lines; the cut only where it was stopped."""
    found = source.comparison.entries[place.row, place.column].reached
    if found is None:
        return [""] * len(RUNG)
    rung = found.standing.rung
    mean = repr(found.place.mean) if math.isfinite(found.place.mean) else ""
    cut = repr(found.stop.cut) if found.stop is not None and math.isfinite(found.stop.cut) else ""
    return [found.standing.number, rung.seeds, rung.epochs, mean, found.number, cut]


def _plain(value: object) -> object:
    """Return a pair as JSON has it, and a word as `shielded` has it."""
    if isinstance(value, str):
        return shielded(value)
    return json.dumps(value) if isinstance(value, tuple) else value
