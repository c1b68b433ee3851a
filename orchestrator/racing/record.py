"""What is kept and decided of a search, as plain data that people and programs read: ``race.json``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from orchestrator.experiment import Cell
from orchestrator.racing.followed import Followed, FollowedColumn
from orchestrator.racing.kept import Kept
from orchestrator.search import Race, Standing


def record(followed: Followed) -> dict[str, Any]:
    """Return all decisions with their numbers; ``kept`` is what `kept_in` reads."""
    return {
        "kept": followed.kept.model_dump(mode="json"),
        "epochs": followed.epochs._asdict(),
        "columns": [_column(each) for each in followed.columns],
    }


def kept_in(recorded: Mapping[str, Any], *, origin: str) -> Kept:
    """Return what a record says is kept.

    Args:
        recorded: From `record`.
        origin: Where it stands, for messages.

    Raises:
        UserError: It is damaged, or of a later version.
    """
    return Kept.of(recorded.get("kept"), origin=origin)


def _column(followed: FollowedColumn) -> dict[str, Any]:
    column = followed.column
    return {
        "dataset": column.dataset.label,
        "model": column.model.label,
        "budget": followed.budget,
        "epochs": followed.epochs._asdict(),
        "is_over": followed.is_over,
        "winner": _variant(followed.cells[followed.winner]) if followed.winner is not None else None,
        "races": [_race(race, followed.cells) for race in followed.search.races],
    }


def _race(race: Race, cells: Mapping[str, Mapping[str, Cell]]) -> dict[str, Any]:
    return {
        "configurations": {name: _variant(cells[name]) for name in race.points},
        "rungs": [_rung(standing) for standing in race.standings],
        "rungs_to_come": [rung._asdict() for rung in race.rungs[len(race.standings) :]],
    }


def _rung(standing: Standing) -> dict[str, Any]:
    places = [
        {"configuration": name, "mean": _finite(place.mean), "loss": _finite(place.loss)}
        for name, place in standing.places.items()
    ]
    return {
        **standing.rung._asdict(),
        "is_decided": not standing.legs,
        "entered": list(standing.entered),
        "places": places,
        "going_on": list(standing.going_on),
    }


def _variant(cells: Mapping[str, Cell]) -> str:
    return next(iter(cells.values())).variant


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
