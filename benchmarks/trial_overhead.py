"""Claim: in a warm slot the next cell takes its first step less than 0.5 s after the test of the last one ended.

Run::

    python benchmarks/trial_overhead.py [--cells 8] [--trials 4] [--json PATH]        (about N minutes on 2 cores)

The same tiny cells (scikit-learn's digits, `convnet`, 2 workers of one CPU and one thread each) are run twice, one at a
time, each way on a local Ray cluster of its own:

* ``warm slot``: by ``zetasweep run``, as users run it, MLflow and checkpoints included.
* ``TorchTrainer per trial``: by a plain Tune function that builds one `ray.train.torch.TorchTrainer` per trial, as
  Ray's documentation does (https://docs.ray.io/en/latest/train/user-guides/hyperparameter-optimization.html), with the
  same `train_cell` in its workers. It has no MLflow. It is tuned: Train polls its workers every 0.1 s instead of every
  2 s, and Train's metrics and preemption watcher are off. Tune's driver reserves memory and no CPU: with the one CPU
  that it takes by default, two cores could not hold the workers beside it.

Measured is the gap between two neighbours: from the end of one cell's test on rank 0 to the start of the next one's
first step there, both by the same clock. So everything between is in it: messages, Tune, process starts and imports if
there are any, loading the data, building model and optimizer. The start is given apart: from the command, or from the
start of the cluster, to the first step of the first cell.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import Spread, first_step_ms, origin, run_sweep, scratch_folder, show, write_json

BAR_S = 0.5
WORKERS = 2
EXPERIMENT = {
    "name": "trial-overhead",
    "dataset": "digits",
    "model": "convnet",
    "augment": ["erm", {"zeta_mixup": {"gamma": 2.8, "num_mixed": 4}}],
    "train": {"epochs": 2, "batch_size_per_worker": 64},
    "resources": {"workers": WORKERS, "cpus_per_worker": 1, "slots": 1},
}
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
    parser.add_argument("--cells", type=int, default=8, help="cells in the warm slot (default: %(default)s)")
    parser.add_argument("--trials", type=int, default=4, help="trials with their own trainer (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures there, too")
    arguments = parser.parse_args()
    source = origin()
    with scratch_folder() as folder:
        slot = warm_slot(_experiment(arguments.cells), folder / "slot")
        per_trial = trainer_per_trial(_experiment(arguments.trials), folder / "per-trial")
    gaps = {"warm slot": Spread.of(slot.gaps_s), "TorchTrainer per trial": Spread.of(per_trial.gaps_s)}
    ratio = gaps["TorchTrainer per trial"].median / gaps["warm slot"].median
    met = gaps["warm slot"].median < BAR_S
    notes = [
        f"ratio of the medians: {ratio:.0f}; bar: warm slot below {BAR_S} s: {'met' if met else 'NOT met'}",
        f"start, from nothing to the first step: warm slot {slot.start_s:.1f} s, per trial {per_trial.start_s:.1f} s",
        ", ".join(f"{name} {value}" for name, value in source.items()),
    ]
    show("from the end of one cell to the first step of the next", gaps, unit="s", digits=3, notes=notes)
    if arguments.json is not None:
        figures = {
            name: {"gap": Spread.of(timeline.gaps_s), "gaps_s": timeline.gaps_s, "start_s": timeline.start_s}
            for name, timeline in (("warm_slot", slot), ("trainer_per_trial", per_trial))
        }
        write_json(arguments.json, source=source, **figures, ratio=ratio, bar_s=BAR_S, met=met)


def warm_slot(experiment: dict[str, Any], folder: Path) -> Timeline:
    """Run `experiment` with ``zetasweep run``."""
    began_ms = _now_ms()
    runs = run_sweep(experiment, folder)
    return Timeline(began_ms, [(first_step_ms(run), run.info.end_time) for run in runs])


def trainer_per_trial(experiment: dict[str, Any], folder: Path) -> Timeline:
    """Run the cells of `experiment` with one TorchTrainer each."""
    os.environ.update(TUNED)
    from ray import tune

    from orchestrator.cells import expand
    from orchestrator.cluster import joined_or_started
    from orchestrator.experiment_file import load_experiment
    from orchestrator.quiet import output_to

    folder.mkdir()
    file, times = folder / "experiment.yaml", folder / "times.jsonl"
    file.write_text(json.dumps(experiment), encoding="utf-8")
    loaded = load_experiment(file)
    trials = [
        {"cell": cell.model_dump(mode="json"), "folder": str(folder), "times": str(times)} for cell in expand(loaded)
    ]
    began_ms = _now_ms()
    with output_to(folder / "log"), joined_or_started(loaded.resources):
        tune.Tuner(
            tune.with_resources(run_trial, tune.PlacementGroupFactory([{"memory": 256 * 1024**2}])),
            param_space={"trial": tune.grid_search(trials)},
            tune_config=tune.TuneConfig(max_concurrent_trials=1),
            run_config=tune.RunConfig(name="tune", storage_path=str(folder), verbose=0),
        ).fit()
    cells = [json.loads(line) for line in times.read_text(encoding="utf-8").splitlines()]
    assert len(cells) == len(trials), f"{len(trials) - len(cells)} trials did not finish"
    return Timeline(began_ms, sorted(tuple(cell) for cell in cells))


def run_trial(config: dict[str, Any]) -> None:
    """Train one cell with a trainer of its own: the Tune function."""
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

    from orchestrator.cells import Cell
    from orchestrator.data import load_dataset
    from orchestrator.train import train_cell

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
    if dist.get_rank() == 0:
        with Path(trial["times"]).open("a", encoding="utf-8") as file:
            file.write(json.dumps([result.first_step_ms, result.timestamp_ms]) + "\n")


def _experiment(num_cells: int) -> dict[str, Any]:
    """Return the experiment with seeds for at least `num_cells` cells."""
    return {**EXPERIMENT, "seed": list(range(-(-num_cells // len(EXPERIMENT["augment"]))))}


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    main()
