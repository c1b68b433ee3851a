"""The curve of a cell's run: in a tag as far as races read it, so that one search tells all, or its history."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence

from orchestrator.records import CellRun, Curve, EpochResult
from orchestrator.tracking.names import CURVE
from orchestrator.tracking.reports import read_epochs
from orchestrator.tracking.store import Store

METRICS = ("error", "loss")


def curve_tag(epochs: Sequence[EpochResult], *, at: Collection[int]) -> str:
    """Return the tag of a training that has finished these epochs, with those of them that are to be read."""
    curve = Curve.of(epochs, at=at, metrics=METRICS)
    values = {name: {str(epoch): value for epoch, value in each.items()} for name, each in curve.values.items()}
    seconds = None if curve.epoch_s is None else round(curve.epoch_s, 3)
    return json.dumps({**values, "epoch_s": seconds}, separators=(",", ":"))


def curve_in(tags: Mapping[str, str]) -> Curve | None:
    """Return the curve that the tags of a run have; None if they have none, or of a later version."""
    try:
        found = json.loads(tags[CURVE])
        values = {name: {int(epoch): float(value) for epoch, value in found[name].items()} for name in METRICS}
        return Curve(values, found["epoch_s"])
    except (KeyError, ValueError, TypeError, AttributeError):
        return None


def read_curve(store: Store, run: CellRun, *, at: Collection[int]) -> Curve:
    """Return the curve of a run from its history: two questions to MLflow.

    Raises:
        TrackingError: The store does not answer.
    """
    assert run.run_id is not None, "MLflow has it"
    return Curve.of(read_epochs(store, run.run_id, [f"val/{name}" for name in METRICS]), at=at, metrics=METRICS)
