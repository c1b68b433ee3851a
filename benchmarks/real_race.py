"""Claim: a race on real images trains a third of the grid's epochs, bit for bit the grid's own, and is as good.

Run, where the whole grid was trained before (``zetasweep run EXPERIMENT -o storage=GRID``)::

    python benchmarks/real_race.py EXPERIMENT --grid GRID [-o KEY=VALUE ...] [--kills 6] [--json PATH]

The experiment is run twice with ``search: {race: ladder}``, in storages of its own:

* ``calm``: as users run it. Said are its epochs and its time beside the grid's, and the slots' idle time.
* ``hit``: with SIGKILL to the driver, which is started again with the same command, and to workers, at random moments.

Both are held against the grid: which cells are stopped and when follows from the grid's curves by
`orchestrator.search.standings`; each epoch that they trained has the grid's numbers, all but times. Bars: no more than
a third of the grid's epochs; the winner is the grid's choice, or not told apart from it by the grid's test errors; at
most 0.1 of the slots' time is idle from the first step to the end; no row differs, is lost or is there twice.

A cell is taken as busy for its epochs times the median time between two of them, with its test: what a slot needs to
load the next cell, and to wait for the end of a rung, is idle. The exit code is 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from figures import origin, say, write_json
from harness import run_quietly, scratch_folder
from mlflow import MlflowClient
from mlflow.entities import Run

from orchestrator.experiment import Cell, expand, load_experiment
from orchestrator.records import EpochResult, best_epoch
from orchestrator.results import statistics as verdicts
from orchestrator.search import Standing, ladder, standings

SHARE_BAR, IDLE_BAR = 1 / 3, 0.1
TIMINGS = {"train/images_per_s", "train/epoch_s"}
WORKER = "ray::RayTrainWorker"


@dataclass
class Trained:
    """What a cell's run in MLflow has.

    Attributes:
        rows: Each epoch's metrics but for times, as far as it is trained.
        reported_ms: When each epoch was reported.
        num_twice: Rows that are there a second time.
    """

    run: Run
    rows: list[dict[str, float]] = field(default_factory=list)
    reported_ms: list[int] = field(default_factory=list)
    num_twice: int = 0

    @property
    def is_stopped(self) -> bool:
        """Whether a race stopped it."""
        return str(self.run.data.tags.get("zetasweep.race")) == "stopped"

    def curve(self, name: str) -> list[float]:
        """Return a metric of each epoch."""
        return [row[name] for row in self.rows]

    @property
    def epoch_ms(self) -> float:
        """The median time between two epochs that follow each other; of a single one, since its run was made."""
        between = [later - before for before, later in zip(self.reported_ms, self.reported_ms[1:], strict=False)]
        return float(statistics.median(between or [self.reported_ms[0] - self.run.info.start_time]))

    @property
    def began_ms(self) -> float:
        """When it took its first step, about: a cell that was stopped says no other time."""
        return self.reported_ms[0] - self.epoch_ms

    @property
    def busy_ms(self) -> float:
        """Its epochs, and the test behind the last one."""
        test_ms = self.run.info.end_time - self.reported_ms[-1] if self.run.info.status == "FINISHED" else 0
        return self.epoch_ms * len(self.rows) + test_ms


def main() -> None:
    """Run both races, hold them against the grid, and print what differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("experiment", type=Path)
    parser.add_argument("--grid", type=Path, required=True, metavar="GRID", help="storage of the finished grid")
    parser.add_argument("-o", "--override", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--kills", type=int, default=6, help="of the race that is hit (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures there, too")
    arguments = parser.parse_args()
    source = origin()
    experiment = load_experiment(arguments.experiment, arguments.override)
    cells, slots = expand(experiment), experiment.resources.slots
    if not isinstance(slots, int):
        parser.error("resources.slots must be a number: idle time is a share of theirs")
    grid = read(arguments.grid, experiment.name)
    if missing := [cell.label for cell in cells if cell.key not in grid or not has_ended(grid[cell.key])]:
        sys.exit(f"error: {arguments.grid} lacks {len(missing)} cells of the grid, such as {missing[0]}")
    race = expected_of(cells, grid)
    figures: dict[str, Any] = {"grid": costs_of(grid, slots), **choices_of(cells, grid, race)}
    with scratch_folder() as folder:
        for name, num_kills in (("calm", 0), ("hit", arguments.kills)):
            storage, moments_s = folder / name, []
            if num_kills:
                chance = random.Random(arguments.seed)
                moments_s = sorted(chance.uniform(0.05, 0.95) * figures["calm"]["command_s"] for _ in range(num_kills))
            command = [sys.executable, "-m", "orchestrator", "run", str(arguments.experiment)]
            for override in (*arguments.override, f"storage={storage}", "search={race: ladder}"):
                command += ["-o", override]
            began_s = time.monotonic()
            hits = run_hit(command, moments_s, storage / "logs", random.Random(arguments.seed))
            found = read(storage, experiment.name)
            figures[name] = {
                **costs_of(found, slots),
                "command_s": time.monotonic() - began_s,
                "hits": hits,
                **differences_of(cells, grid, found, race),
            }
            say(f"{name}: {figures[name]}")
            if arguments.json:
                write_json(arguments.json, source=source, **figures)
    sys.exit(judged(figures))


def has_ended(trained: Trained) -> bool:
    """Whether it was trained to its end."""
    return bool(trained.run.info.status == "FINISHED")


def run_hit(command: Sequence[str], moments_s: Sequence[float], logs: Path, chance: random.Random) -> dict[str, int]:
    """Run the sweep to its end, and again where its driver was killed; `moments_s` count while it runs."""
    hits = {"driver": 0, "worker": 0}
    if not moments_s:
        run_quietly(command, logs=logs)
        return hits
    kinds = [("driver", "worker")[number % 2] for number in range(len(moments_s))]
    chance.shuffle(kinds)
    passed_s = 0.0
    process = start(command)
    for kind, moment_s in zip(kinds, moments_s, strict=True):
        time.sleep(max(0.0, moment_s - passed_s))
        passed_s = max(moment_s, passed_s)
        if process.poll() is not None:
            break
        if kind == "driver":
            process.send_signal(signal.SIGKILL)
            process.wait()
            process = start(command)
        else:
            victim = chance.choice(list(workers(process.pid)))
            victim.send_signal(signal.SIGKILL)
        hits[kind] += 1
    process.wait()
    # Says that nothing is missing, or completes what was.
    run_quietly(command, logs=logs)
    return hits


def start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start the sweep; it logs to its storage."""
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def workers(pid: int) -> Iterator[psutil.Process]:
    """Wait until the sweep has processes that train, and yield them."""
    while True:
        found = []
        for process in psutil.Process(pid).children(recursive=True):
            try:
                if any(WORKER in part for part in process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
        if found:
            yield from found
            return
        time.sleep(0.2)


def read(storage: Path, name: str) -> dict[str, Trained]:
    """Return what MLflow in `storage` has of each cell, by its key."""
    client = MlflowClient(f"sqlite:///{(storage / 'mlflow.db').resolve()}")
    known = client.get_experiment_by_name(name)
    if known is None:
        sys.exit(f"error: {storage} has no sweep named {name}")
    found = {}
    runs: Any = client.search_runs([known.experiment_id], "tags.`zetasweep.kind` = 'cell'", max_results=10_000)
    for run in runs:
        trained = found[run.data.tags["zetasweep.cell"]] = Trained(run)
        rows: dict[int, dict[str, float]] = {}
        for metric in run.data.metrics:
            if not metric.startswith(("train/", "val/")) or metric in TIMINGS:
                continue
            history = client.get_metric_history(run.info.run_id, metric)
            # Those of the tested epoch alone come at the end.
            if metric != "val/error" and len({row.step for row in history}) < run.data.metrics.get("epoch", 0):
                continue
            for row in history:
                trained.num_twice += metric in rows.setdefault(row.step, {})
                rows[row.step][metric] = row.value
            if metric == "val/error":
                trained.reported_ms = [row.timestamp for row in sorted(history, key=lambda row: row.step)]
        trained.rows = [rows[step] for step in sorted(rows)]
    return found


def expected_of(cells: Sequence[Cell], grid: Mapping[str, Trained]) -> tuple[Standing, ...]:
    """Return how a ladder goes on the grid's curves."""
    names = list(dict.fromkeys(cell.config_key for cell in cells))
    seeds = list(dict.fromkeys(cell.seed for cell in cells))
    epochs = max(len(trained.rows) for trained in grid.values())
    curves = {(cell.config_key, cell.seed): best_until(grid[cell.key], by=cell.train.tested_by) for cell in cells}
    errors, losses = (
        {key: [epoch.metrics[metric] for epoch in best] for key, best in curves.items()}
        for metric in ("val/error", "val/loss")
    )
    return standings(ladder(len(names), len(seeds), epochs), names, seeds, errors, ties=losses)


def best_until(trained: Trained, *, by: str) -> list[EpochResult]:
    """Return, for each epoch, the one that would be tested if the training ended there: a race reads its values."""
    epochs = [EpochResult(number, row, timestamp_ms=0) for number, row in enumerate(trained.rows, start=1)]
    return [best_epoch(epochs[:number], by=by) for number in range(1, len(epochs) + 1)]


def choices_of(
    cells: Sequence[Cell], grid: Mapping[str, Trained], race: Sequence[Standing]
) -> dict[str, str | float | dict[str, Any]]:
    """Return the race's winner and the grid's choice, with their test errors in percent, and whether they differ."""
    labels = {cell.config_key: cell.augment.label for cell in cells}
    tests: dict[str, dict[int, float]] = {}
    chosen_by: dict[str, list[float]] = {}
    for cell in cells:
        trained = grid[cell.key]
        tests.setdefault(cell.config_key, {})[cell.seed] = 100 * trained.run.data.metrics["test/error"]
        chosen_by.setdefault(cell.config_key, []).append(min(trained.curve("val/error")))
    choice = min(chosen_by, key=lambda name: statistics.mean(chosen_by[name]))
    best = min(tests, key=lambda name: statistics.mean(tests[name].values()))
    (winner,) = race[-1].going_on
    analysis = verdicts.analyse(tests, baseline=choice, higher_is_better=False)
    told = "the same" if winner == choice else analysis.rows[winner].verdict

    def test_of(name: str) -> dict[str, Any]:
        values = list(tests[name].values())
        return {"row": labels[name], "test_error": statistics.mean(values), "sd": statistics.stdev(values)}

    return {
        "winner": test_of(winner),
        "grid_choice": test_of(choice),
        "lowest_test": test_of(best),
        "winner_against_grid_choice": told,
    }


def costs_of(found: Mapping[str, Trained], slots: int) -> dict[str, float]:
    """Return epochs, and the time from the first step to the end of the last cell, with the idle share of the slots."""
    began_ms = min(trained.began_ms for trained in found.values())
    ended_ms = max(trained.run.info.end_time for trained in found.values())
    busy_ms = sum(trained.busy_ms for trained in found.values())
    return {
        "epochs": sum(len(trained.rows) for trained in found.values()),
        "trained_s": (ended_ms - began_ms) / 1000,
        "idle": 1 - busy_ms / (slots * (ended_ms - began_ms)),
    }


def differences_of(
    cells: Sequence[Cell], grid: Mapping[str, Trained], found: Mapping[str, Trained], race: Sequence[Standing]
) -> dict[str, int]:
    """Return how many cells and rows are not what the grid's curves say."""
    until: dict[str, int] = {}
    for standing in race:
        for cell in cells:
            seeds = list(dict.fromkeys(each.seed for each in cells))[: standing.rung.seeds]
            if cell.config_key in standing.entered and cell.seed in seeds:
                until[cell.key] = standing.rung.epochs
    gone = {name for standing in race[:-1] for name in standing.stopped}
    # What has its last epoch is tested, also where its configuration goes no further.
    stopped = {
        cell.key
        for cell in cells
        if cell.config_key in gone and until.get(cell.key, cell.train.epochs) < cell.train.epochs
    }
    differing = sum(
        ours != theirs
        for key, trained in found.items()
        for ours, theirs in zip(trained.rows, grid[key].rows, strict=False)
    )
    return {
        "cells_of_other_epochs": sum(
            len(found[key].rows if key in found else ()) != until.get(key, 0) for key in {*until, *found}
        ),
        "cells_stopped_otherwise": len({key for key, trained in found.items() if trained.is_stopped} ^ stopped),
        "differing_rows": differing,
        "rows_twice": sum(trained.num_twice for trained in found.values()),
    }


def judged(figures: Mapping[str, Any]) -> int:
    """Print each bar and return the exit code."""
    epochs = figures["grid"]["epochs"]
    bars = {
        f"epochs: {figures['calm']['epochs']} of {epochs}": figures["calm"]["epochs"] <= SHARE_BAR * epochs,
        f"idle: {figures['calm']['idle']:.3f} (the grid's: {figures['grid']['idle']:.3f})": figures["calm"]["idle"]
        <= IDLE_BAR,
        f"winner {figures['winner']['row']}, the grid's choice {figures['grid_choice']['row']}": figures[
            "winner_against_grid_choice"
        ]
        in ("the same", "not told apart"),
    }
    for name in ("calm", "hit"):
        wrong = {what: figures[name][what] for what in ("cells_of_other_epochs", "cells_stopped_otherwise")}
        wrong |= {what: figures[name][what] for what in ("differing_rows", "rows_twice")}
        bars[f"{name}: {wrong}"] = not any(wrong.values())
    for what, is_met in bars.items():
        print(what, "met" if is_met else "NOT MET", sep=": ", flush=True)
    seconds = [figures[name]["trained_s"] for name in ("grid", "calm")]
    print("seconds from the first step to the end, grid and race:", *(f"{each:.0f}" for each in seconds))
    return 0 if all(bars.values()) else 1


if __name__ == "__main__":
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    main()
