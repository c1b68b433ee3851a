"""Measurements are kept by machine, code and layout."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from test_estimates import MEASURED

from orchestrator.costs import KeptMeasurements, layout_id
from orchestrator.experiment import Resources


def test_what_was_kept_is_read_and_added_to(tmp_path: Path) -> None:
    kept = KeptMeasurements(tmp_path, code="c0ffee")
    assert kept.read("one") == {}
    kept.add("one", {"a": MEASURED})
    kept.add("one", {"b": replace(MEASURED, step_s=0.2)})
    kept.add("two", {"a": replace(MEASURED, watts=40.0)})
    assert kept.read("one") == {"a": MEASURED, "b": replace(MEASURED, step_s=0.2)}
    assert KeptMeasurements(tmp_path, code="0ther").read("one") == {}


@pytest.mark.parametrize("text", ["{", "[]", '{"one": {"a": {"step": 1}}}', '{"one": []}'])
def test_a_file_that_cannot_be_read_is_said_and_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    kept = KeptMeasurements(tmp_path, code="c0ffee")
    kept.file.parent.mkdir(parents=True)
    kept.file.write_text(text)
    assert kept.read("one") == {}
    assert "is not used" in caplog.text
    kept.add("one", {"a": MEASURED})
    assert kept.read("one") == {"a": MEASURED}


def test_other_workers_are_another_layout() -> None:
    usual = {"device": "cpu", "slots": 1}
    layouts = {
        layout_id(Resources(), **usual),
        layout_id(Resources(workers=2), **usual),
        layout_id(Resources(cpus_per_worker=2), **usual),
        layout_id(Resources(feed="streaming"), **usual),
        layout_id(Resources(gpus_per_worker=1, compile="default"), **usual),
        layout_id(Resources(gpus_per_worker=1, compile="default", cuda_graphs=True), **usual),
        layout_id(Resources(), device="cpu", slots=2),
        layout_id(Resources(), device="NVIDIA H200", slots=1),
    }
    assert len(layouts) == 8
    assert layout_id(Resources(max_failures=9), **usual) in layouts
