"""Claim: in a warm slot the next cell takes its first step less than 0.5 s after the test of the last one ended.

Run, 3 to 5 minutes on 2 cores::

    python benchmarks/trial_overhead.py [--cells 8] [--trials 5] [--json PATH]

The same tiny cells (scikit-learn's digits, `convnet`, 2 epochs, 2 workers of one CPU and one thread each) are trained
twice, one at a time, each way on a local Ray cluster of its own:

* ``warm slot``: by ``zetasweep run``, as users run it, with MLflow and checkpoints.
* ``TorchTrainer per trial``: by a plain Tune function that builds a `ray.train.torch.TorchTrainer` for each trial and
  reports its epochs to Tune, as Ray's documentation shows it
  (https://docs.ray.io/en/latest/train/user-guides/hyperparameter-optimization.html), with the same `train_cell` in its
  workers, and without MLflow. It is tuned: Ray Train polls its workers every 0.1 s instead of every 2 s, and its
  metrics and its preemption watcher are off. Its driver reserves memory and no CPU: with the CPU that Tune reserves by
  default, two cores could not hold the workers beside it.

Measured is the gap between two neighbours: from the end of one cell's test on rank 0 to the start of the next cell's
first step there, by the same clock. So it holds all that lies between: checkpoint, messages, Tune, processes that start
and import, if any, loading the data, building model and optimizer. What the first cell waits for, from the command or
the start of the cluster to its first step, is given apart: a slot pays it once.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from figures import Spread, origin, say, show, write_json
from harness import first_step_ms, run_sweep, scratch_folder

BAR_S = 0.5
WORKERS = 2
EXPERIMENT: dict[str, Any] = {
    "name": "trial-overhead",
    "dataset": "digits",
    "model": "convnet",
    "augment": {"zeta_mixup": {"gamma": 2.8, "num_mixed": 4}},
    "train": {"epochs": 2, "batch_size_per_worker": 64},
    "resources": {"workers": WORKERS, "cpus_per_worker": 1, "slots": 1},
}
DRIVER_MEMORY_BYTES = 256 * 1024**2
TUNED = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.1",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
}


@dataclass(frozen=True)
class Timeline:
    """When the cells of one sweep began and ended.

    Attributes:
        began_ms: When the sweep itself began, Unix milliseconds.
        cells: First step and end of the test of each cell, Unix milliseconds, in order.
    """

    began_ms: int
    cells: list[tuple[int, int]]

    @property
    def start_s(self) -> float:
        """From the beginning to the first step."""
        return (self.cells[0][0] - self.began_ms) / 1000

    @property
    def gaps_s(self) -> list[float]:
        """From the end of each cell to the first step of the next."""
        return [(after[0] - before[1]) / 1000 for before, after in zip(self.cells, self.cells[1:], strict=False)]


def main() -> None:
    """Run both sweeps and print their gaps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=8, help="in the warm slot, 2 or more (default: %(default)s)")
    parser.add_argument("--trials", type=int, default=5, help="with a trainer each, 2 or more (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures there, too")
    arguments = parser.parse_args()
    if min(arguments.cells, arguments.trials) < 2:
        parser.error("a gap lies between two: --cells and --trials must be 2 or more")
    source = origin()
    with scratch_folder() as folder:
        timelines = {
            "warm slot": warm_slot(_experiment(arguments.cells), folder / "slot"),
            "TorchTrainer per trial": trainer_per_trial(_experiment(arguments.trials), folder / "per-trial"),
        }
    present(timelines, source, json_path=arguments.json)


def present(timelines: dict[str, Timeline], source: dict[str, Any], *, json_path: Path | None) -> None:
    """Print the gaps, and write them to `json_path` if there is one."""
    gaps = {name: Spread.of(timeline.gaps_s) for name, timeline in timelines.items()}
    slot, per_trial = (spread.median for spread in gaps.values())
    ratio, met = per_trial / slot, slot < BAR_S
    starts = ", ".join(f"{name} {timeline.start_s:.1f} s" for name, timeline in timelines.items())
    notes = [
        f"ratio of the medians: {ratio:.0f}; bar: warm slot below {BAR_S} s: {'met' if met else 'NOT met'}",
        f"before the very first step: {starts}",
        ", ".join(f"{name} {value}" for name, value in source.items()),
    ]
    show("seconds from the end of one cell to the first step of the next", gaps, digits=3, notes=notes)
    if json_path is not None:
        sweeps = {
            name: {"gap_s": gaps[name], "gaps_s": timeline.gaps_s, "start_s": timeline.start_s}
            for name, timeline in timelines.items()
        }
        write_json(json_path, source=source, sweeps=sweeps, ratio=ratio, bar_s=BAR_S, met=met)


def warm_slot(experiment: dict[str, Any], folder: Path) -> Timeline:
    """Run `experiment` with ``zetasweep run``."""
    say("warm slot: a sweep")
    began_ms = _now_ms()
    runs = run_sweep(experiment, folder)
    return Timeline(began_ms, [(first_step_ms(run), run.info.end_time) for run in runs])


def trainer_per_trial(experiment: dict[str, Any], folder: Path) -> Timeline:
    """Train the cells of `experiment` with a TorchTrainer each."""
    # What Ray starts inherits it, so it must stand before Ray is imported.
    os.environ.update(TUNED)
    from ray import tune

    from orchestrator.experiment.cells import expand
    from orchestrator.experiment.load import load_experiment
    from orchestrator.sweep.cluster import joined_or_started
    from orchestrator.sweep.output import output_to

    say("TorchTrainer per trial: a sweep")
    folder.mkdir()
    file, times = folder / "experiment.yaml", folder / "times.jsonl"
    file.write_text(json.dumps(experiment), encoding="utf-8")
    loaded = load_experiment(file)
    common = {"folder": str(folder), "times": str(times)}
    trials = [{"cell": cell.model_dump(mode="json"), **common} for cell in expand(loaded)]
    began_ms = _now_ms()
    with output_to(folder / "log"), joined_or_started(loaded.resources):
        results = tune.Tuner(
            tune.with_resources(run_trial, tune.PlacementGroupFactory([{"memory": DRIVER_MEMORY_BYTES}])),
            param_space={"trial": tune.grid_search(trials)},
            tune_config=tune.TuneConfig(max_concurrent_trials=1),
            run_config=tune.RunConfig(name="tune", storage_path=str(folder), verbose=0),
        ).fit()
    if results.errors:
        sys.exit(f"{results.errors[0]}\nerror: {len(results.errors)} of {len(trials)} trials failed")
    first_steps_and_ends = map(json.loads, times.read_text(encoding="utf-8").splitlines())
    return Timeline(began_ms, sorted((first_step, end) for first_step, end in first_steps_and_ends))


def run_trial(config: dict[str, Any]) -> None:
    """Train one cell with a trainer of its own: the Tune function, as in Ray's documentation."""
    import ray.train
    from ray import tune
    from ray.train.torch import TorchTrainer
    from ray.tune.integration.ray_train import TuneReportCallback

    TorchTrainer(
        train_on_worker,
        train_loop_config=config["trial"],
        scaling_config=ray.train.ScalingConfig(num_workers=WORKERS, resources_per_worker={"CPU": 1}),
        run_config=ray.train.RunConfig(
            name=f"train-{tune.get_context().get_trial_id()}",
            storage_path=config["trial"]["folder"],
            callbacks=[TuneReportCallback()],
        ),
    ).fit()


def train_on_worker(trial: dict[str, Any]) -> None:
    """Train the cell on one rank; rank 0 notes when it took its first step and when its test ended."""
    import ray.train
    import torch
    import torch.distributed as dist

    from orchestrator.data import load_dataset
    from orchestrator.experiment.cells import Cell
    from orchestrator.records import CellResult
    from orchestrator.train.cell import train_cell

    torch.set_num_threads(1)
    cell = Cell.model_validate(trial["cell"])
    folder = Path(trial["folder"])
    result = train_cell(
        cell,
        load_dataset(cell.dataset.name, folder, val_fraction=cell.dataset.val_fraction),
        checkpoint_dir=folder / cell.key,
        device=torch.device("cpu"),
        report=lambda epoch: ray.train.report(epoch.metrics),
    )
    assert isinstance(result, CellResult), "it is trained to its end"
    if dist.get_rank() == 0:
        with Path(trial["times"]).open("a", encoding="utf-8") as file:
            file.write(json.dumps([result.first_step_ms, result.timestamp_ms]) + "\n")


def _experiment(num_cells: int) -> dict[str, Any]:
    """Return the experiment with `num_cells` cells."""
    return {**EXPERIMENT, "seed": list(range(num_cells))}


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    main()
