"""Predictions that are in MLflow alone, while its artifacts cannot be reached."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import TrackingError
from orchestrator.tracking import FetchedOrNot, Store


def test_artifacts_that_cannot_be_reached_are_said_once_and_asked_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked = []

    def connect() -> Store:
        asked.append(1)
        raise TrackingError("MLflow at http://lab: its artifacts cannot be read (no credentials)")

    fetched = FetchedOrNot(connect, lost="figures are without them")
    assert not any(fetched(run_id, tmp_path / "predictions.npz") for run_id in ("a", "b", "c"))
    assert len(asked) == 1
    assert [record.message for record in caplog.records] == [
        "MLflow at http://lab: its artifacts cannot be read (no credentials): figures are without them"
    ]
