"""The state of each cell as a reader sees it."""

from __future__ import annotations

import pytest
from shown import text_of, words
from sweep_samples import ERM, MIXUP, make_cells, make_run

from orchestrator.results import render_status


@pytest.mark.parametrize("width", [80, 120])
def test_status_shows_each_cell(width: int) -> None:
    cells = make_cells(ERM, MIXUP)
    runs = {
        cells[0].key: make_run(cells[0], {"val/error": 0.3, "best/error": 0.125}),
        cells[1].key: make_run(cells[1], {"val/error": 0.25}, status="running", epoch=3),
        cells[2].key: make_run(cells[2], {}, status="failed", epoch=None, reason="cannot read [b]/data/x.png"),
        cells[3].key: make_run(cells[3], {"val/error": 0.2}, status="interrupted", epoch=1),
    }
    text = text_of(render_status(cells, runs), width)
    lines = [words(line).strip() for line in text.splitlines()]
    assert lines[0] == "digits / convnet"
    assert lines[3:9] == [
        "erm 0 done 5/5 12.50 %",
        "mixup(alpha=1.0) 0 running 3/5 25.00 %",
        "erm 1 failed",
        "mixup(alpha=1.0) 1 interrupted 1/5 20.00 %",
        "erm 2 missing",
        "mixup(alpha=1.0) 2 missing",
    ]
    failures = words(text)
    assert f"failed: {cells[2].label} (cell {cells[2].key}): cannot read [b]/data/x.png" in failures
    assert f"interrupted: {cells[3].label} (cell {cells[3].key}): zetasweep run goes on with it" in failures
    assert lines[-1] == "6 cells: 1 done, 1 running, 1 failed, 1 interrupted, 2 missing"
    assert max(map(len, text.splitlines())) <= width
