"""Claim: a sweep of 1,000 cells of one second each finishes at least 0.8 times as many a second as a bare loop.

Run, about 40 minutes on 2 cores; ``--cells 50`` takes 4::

    python benchmarks/many_cells.py [--cells 1000] [--seconds 1.0] [--slots N] [--json PATH]

The cells (scikit-learn's digits, `convnet`, erm and mixup, half as many seeds each, one worker of one CPU and one
thread) have as many epochs as make one of them take a second in the loop. They are trained twice:

* ``bare loop``: `train_cell` for one after the other, in one process with one thread: with checkpoints and results on
  disk, without Ray and MLflow.
* ``sweep``: by ``zetasweep run``, as users run it: from the command to its end, so with imports, Ray's start, and the
  delivery of everything to MLflow's SQLite file, the models of both rows among it.

The sweep has as many slots as the machine has room for, unless ``--slots`` says how many: the loop has one core.
Beside the throughput it says how long MLflow lagged behind: from the end of the last test to that of the command.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from figures import Spread, origin, say, show, write_json
from harness import run_sweep, scratch_folder

from orchestrator.data import load_dataset
from orchestrator.experiment import Cell, expand, load_experiment
from orchestrator.train import train_cell

BAR = 0.8
CALIBRATING_EPOCHS = 10


def main() -> None:
    """Run loop and sweep and print how many cells a second each finishes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=1000, help="an even number (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=1.0, help="that a cell takes in the loop (default: %(default)s)"
    )
    parser.add_argument("--loop", type=int, default=50, help="cells of the loop at most (default: %(default)s)")
    parser.add_argument("--slots", type=int, help="of the sweep (default: as many as fit)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures there, too")
    arguments = parser.parse_args()
    if arguments.cells < 4 or arguments.cells % 2:
        parser.error("--cells must be even, 4 or more")
    source = origin()
    with scratch_folder() as folder:
        epochs = calibrated(folder, arguments.seconds)
        loop_s = bare_loop(cells_of(arguments.cells, epochs)[: arguments.loop], folder / "loop")
        sweep_s, lag_s = sweep(arguments.cells, epochs, arguments.slots, folder / "sweep")
    loop, swept = len(loop_s) / sum(loop_s), arguments.cells / sweep_s
    ratio = swept / loop
    notes = [
        f"cells a second: sweep {swept:.3f}, loop {loop:.3f}; ratio {ratio:.2f}; bar {BAR}: "
        f"{'met' if ratio >= BAR else 'NOT met'}",
        f"sweep of {arguments.cells} cells of {epochs} epochs: {sweep_s:.0f} s, of which the last {lag_s:.1f} s after "
        "the last test",
        ", ".join(f"{name} {value}" for name, value in source.items()),
    ]
    show("seconds that a cell takes in a bare loop", {"bare loop": Spread.of(loop_s)}, digits=3, notes=notes)
    if arguments.json is not None:
        figures = {"loop_s": Spread.of(loop_s), "sweep_s": sweep_s, "cells": arguments.cells, "lag_s": lag_s}
        write_json(arguments.json, source=source, **figures, ratio=ratio, bar=BAR, met=ratio >= BAR)


def cells_of(num: int, epochs: int) -> list[Cell]:
    """Return the cells of the sweep."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump(experiment_of(num, epochs), file)
        file.flush()
        return expand(load_experiment(Path(file.name)))


def experiment_of(num: int, epochs: int, slots: int | None = None) -> dict[str, Any]:
    """Return the experiment with so many cells."""
    return {
        "name": "many-cells",
        "dataset": "digits",
        "model": "convnet",
        "augment": ["erm", {"mixup": {"alpha": 1.0}}],
        "seed": list(range(num // 2)),
        "train": {"epochs": epochs},
        "resources": {"workers": 1, "cpus_per_worker": 1} | ({} if slots is None else {"slots": slots}),
    }


def calibrated(folder: Path, seconds: float) -> int:
    """Return how many epochs a cell of so many seconds has."""
    _, second = bare_loop(cells_of(4, CALIBRATING_EPOCHS)[:2], folder / "calibrating")
    return max(1, round(CALIBRATING_EPOCHS * seconds / second))


def bare_loop(cells: Sequence[Cell], folder: Path) -> list[float]:
    """Train cells one after the other in this process; return the seconds of each."""
    say(f"bare loop: {len(cells)} cells")
    folder.mkdir()
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=0, world_size=1)
    try:
        dataset = load_dataset("digits", folder)
        seconds = []
        for cell in cells:
            began_at = time.perf_counter()
            train_cell(
                cell,
                dataset,
                checkpoint_dir=folder / cell.key,
                device=torch.device("cpu"),
                report=lambda _: None,
            )
            seconds.append(time.perf_counter() - began_at)
        return seconds
    finally:
        dist.destroy_process_group()


def sweep(num: int, epochs: int, slots: int | None, folder: Path) -> tuple[float, float]:
    """Run the same cells with ``zetasweep run``; return its seconds, and those after the last test."""
    say(f"sweep: {num} cells of {epochs} epochs")
    began_at = time.time()
    runs = run_sweep(experiment_of(num, epochs, slots), folder)
    ended_at = time.time()
    if len(runs) != num:
        sys.exit(f"error: {len(runs)} of {num} cells finished")
    return ended_at - began_at, ended_at - max(run.info.end_time for run in runs) / 1000


if __name__ == "__main__":
    main()
