"""What ``plan`` says of a search: how many epochs of how many at most, and what waits on the disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.experiment import Experiment, expand, known_from_start, load_experiment
from orchestrator.plan import Layout, Node, make_plan, plan_lines, search_lines, searched
from orchestrator.search import MostCells, Rung, most_cells

LAYOUT = Layout(slots=2, nodes=(Node(cpus=2, gpus=0),))
BASE: dict[str, Any] = {
    "name": "s",
    "dataset": "digits",
    "model": "convnet",
    "augment": ["erm", {"mixup": {"alpha": {"uniform": [0.1, 2.0]}}}],
    "seed": [0, 1, 2, 3, 4],
    "train": {"epochs": 16},
    "search": {"sampler": "random", "num_samples": 12, "race": "ladder"},
}


def experiment(folder: Path, **search: Any) -> Experiment:
    path = folder / "s.yaml"
    path.write_text(yaml.safe_dump(BASE | {"storage": str(folder), "search": BASE["search"] | search}))
    return load_experiment(path)


@pytest.mark.parametrize(
    ("rungs", "num", "num_kept", "cells"),
    [
        ([(5, 16, 1)], 12, 0, (60, 60, 0)),
        # 12, then 8 with another seed each, then 4 of them to the end, then 2 with all seeds.
        ([(1, 4, 8), (2, 8, 4), (2, 16, 2), (5, 16, 1)], 12, 0, (26, 14, 20)),
        ([(1, 4, 8), (2, 8, 4), (2, 16, 2), (5, 16, 1)], 12, 1, (30, 19, 21)),
        ([(1, 8, 1), (2, 16, 1)], 1, 0, (2, 2, 1)),
    ],
)
def test_how_many_cells_a_race_has(
    rungs: list[tuple[int, int, int]], num: int, num_kept: int, cells: tuple[int, int, int]
) -> None:
    assert most_cells([Rung(*rung) for rung in rungs], num, num_kept=num_kept) == MostCells(*cells)


@pytest.mark.parametrize(
    ("search", "lines"),
    [
        (
            {},
            [
                "search:    12 configurations: random, seed 0",
                "race:      12: 1 seed to epoch 4, 8 go on; 2 seeds to epoch 8, 4 go on; 2 seeds to epoch 16, 2 go on; "
                "5 seeds to epoch 16",
                "epochs:    at most 304 of 960, 32 %, in 26 cells at most",
            ],
        ),
        (
            {"sampler": "optuna", "batch": 4, "keep": "erm", "warm_start": True, "seed": 3, "budget": {"epochs": 500}},
            [
                "search:    8 of 12 configurations, as many as the budget allows: optuna, seed 3, in batches of 4, "
                "told what is finished already",
                "race:      4 at a time: 1 seed to epoch 4, 2 go on; 5 seeds to epoch 16; never stopped: erm",
                "epochs:    at most 488 of 960, 51 %, in 32 cells at most",
            ],
        ),
        (
            {"race": "none", "sampler": "optuna", "batch": 4, "budget": {"device_hours": 0.5}, "confirm": {"top": 2}},
            [
                "search:    12 configurations: optuna, seed 0, in batches of 4",
                "race:      none: all are trained to the end, with 5 seeds",
                "epochs:    at most 960, in 60 cells at most; fewer if 0.5 device hours are fewer: the first rung says "
                "how fast an epoch is, and that is kept",
            ],
        ),
    ],
)
def test_what_is_said(tmp_path: Path, search: dict[str, Any], lines: list[str]) -> None:
    assert search_lines(searched(experiment(tmp_path, **search))) == lines


def test_nothing_is_said_without_a_search(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(yaml.safe_dump(BASE | {"augment": "erm", "search": None}))
    assert search_lines(searched(load_experiment(path))) == []


def test_what_waits_on_the_disk_counts_for_each_cell_and_not_for_each_slot(tmp_path: Path) -> None:
    found = {race: experiment(tmp_path, race=race) for race in ("none", "ladder")}
    cells = {race: expand(each, known_from_start(each)) for race, each in found.items()}
    plans = {race: make_plan(each, cells[race], {}, LAYOUT) for race, each in found.items()}
    assert plans["none"].paused_bytes == 0
    (of_column,) = searched(found["ladder"])
    weights = (plans["none"].disk_peak_bytes - plans["ladder"].disk_peak_bytes + plans["ladder"].paused_bytes) / (
        60 + 12 - 14 - 12
    )
    # SGD keeps a copy of each weight beside it; the newest checkpoint, and that of the best epoch.
    assert plans["ladder"].paused_bytes == weights * 2 * 2 * of_column.cells.paused
    lines = plan_lines(plans["ladder"], found["ladder"])
    assert any(line.startswith("disk:") and "of it for cells that wait" in line for line in lines)
    assert "60 known that may run, up to 16 epochs each" in lines[0]
