"""The curve of a cell's run: in a tag as far as races read it, so that one search tells all, or its history."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from orchestrator.records import EPOCH_S, CellRun, Curve, EpochResult
from orchestrator.tracking.names import CURVE, LAYOUT
from orchestrator.tracking.reports import read_epochs
from orchestrator.tracking.store import Store

METRICS = ("best/error", "best/loss")


def curve_tag(epochs: Sequence[EpochResult], *, at: Collection[int], by: str) -> str:
    """Return the tag of a training that has finished these epochs; arguments of `Curve.of`."""
    curve = Curve.of(epochs, at=at, by=by)
    values = {name: {str(epoch): value for epoch, value in each.items()} for name, each in curve.values.items()}
    seconds = None if curve.epoch_s is None else round(curve.epoch_s, 3)
    return json.dumps({**values, "epoch_s": seconds}, separators=(",", ":"))


def curve_in(tags: Mapping[str, str]) -> Curve | None:
    """Return the curve that the tags of a run have; None if they have none, or of another version."""
    try:
        found = json.loads(tags[CURVE])
        values = {name: {int(epoch): float(value) for epoch, value in found[name].items()} for name in METRICS}
        return Curve(values, found["epoch_s"])
    except (KeyError, ValueError, TypeError, AttributeError):
        return None


def read_curve(store: Store, run: CellRun, *, at: Collection[int], by: str) -> Curve:
    """Return the curve of a run from its history, otherwise as `Curve.of`: a question to MLflow for each metric.

    Raises:
        TrackingError: The store does not answer.
    """
    assert run.run_id is not None, "MLflow has it"
    names = dict.fromkeys(f"val/{name}" for name in ("error", "loss", *([by] if by != "last" else [])))
    return Curve.of(read_epochs(store, run.run_id, [*names, EPOCH_S]), at=at, by=by)


def layout_in(tags: Mapping[str, str]) -> dict[str, Any] | None:
    """Return how a run was placed and fed, as its tags have it; None if they do not."""
    try:
        found = json.loads(tags[LAYOUT])
        return dict(found)
    except (KeyError, ValueError, TypeError):
        return None
