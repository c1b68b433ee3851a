"""The race against the grid, on tables of learning curves, and its null: see ``benchmarks/race.py``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from commands import ROOT


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "options",
    [["--resamplings", "25", "--slack", "0.12"], pytest.param([], marks=pytest.mark.slow)],
    ids=["a few", "all"],
)
def test_a_race_finds_what_the_grid_does_in_a_third_of_its_epochs(
    environment: dict[str, str], tmp_path: Path, options: list[str]
) -> None:
    out = tmp_path / "race.json"
    command = [sys.executable, ROOT / "benchmarks" / "race.py", "--json", out, *options]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    # Three of each of the three tables, the null, the cost.
    assert done.stderr.count(" met") == 11
    found = json.loads(out.read_text())
    for table in ("digits", "cifarmlp", "cifarmlp2"):
        figures = found[table]["figures"]
        assert figures["ladder"]["epochs"] <= 1 / 3
        assert figures["ASHA, each seed a trial"]["epochs"] < figures["ladder"]["epochs"]
