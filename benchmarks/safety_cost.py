"""Claim: while nothing fails, checkpoints and MLflow leave a sweep at least 0.97 of the throughput it has without.

Run, 7 to 10 minutes on 2 cores::

    python benchmarks/safety_cost.py [--rounds 3] [--epochs 6] [--json PATH]

Both sides train the same cells one after the other in one warm slot (`convnet`, ζ-mixup of 4 samples, 2 workers of one
thread each with 64 images per step; 4,000 images of noise of 32 px, a tenth of them for validation):

* ``safe``: by ``zetasweep run``, as users run it: a checkpoint after every epoch, each synced to the disk, results in
  MLflow, a model logged per cell.
* ``unsafe``: by ``unsafe_sweep.py``: the same slot, workers and training loop, but nothing is written; the weights of
  the best epoch stay in memory.

Measured is the time from the first cell's first step to the end of the last cell's test, so it holds everything that
the cells wait for, and what MLflow's share of the cores costs them. Its inverse, times the images trained on, is the
throughput. The start of cluster and workers is outside: the sides share it. The sides take turns, and which comes first
changes from round to round, so that slow changes of the machine hit both: the ratio is taken in each round, and the
median of these ratios is judged. An epoch takes about two seconds here; where it takes longer, all this costs less.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from figures import Spread, origin, say, show, write_json
from harness import first_step_ms, run_quietly, run_sweep, scratch_folder
from train_throughput import FOLDER, NUM_TRAIN, make_images

BAR = 0.97
WORKERS = 2
BATCH_SIZE_PER_WORKER = 64
GAMMA, NUM_MIXED = 2.8, 4
NUM_CELLS = 3
VAL_FRACTION = 0.1


def main() -> None:
    """Run both sides in turns and print their throughput."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=6, help="of each cell (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures there, too")
    arguments = parser.parse_args()
    if min(arguments.rounds, arguments.epochs) < 1:
        parser.error("--rounds and --epochs must be 1 or more")
    source = origin()
    sides: dict[str, Callable[[dict[str, Any], Path], float]] = {"safe": safe_s, "unsafe": unsafe_s}
    rates: dict[str, list[float]] = {side: [] for side in sides}
    with scratch_folder() as folder:
        make_images(folder / "data" / FOLDER)
        experiment = experiment_on(folder / "data", epochs=arguments.epochs)
        for number in range(arguments.rounds):
            say(f"round {number + 1} of {arguments.rounds}")
            for side in list(sides) if number % 2 else reversed(sides):
                seconds = sides[side](experiment, folder / f"{side}-{number}")
                rates[side].append(num_images(arguments.epochs) / seconds)
    present(rates, source, json_path=arguments.json)


def present(rates: dict[str, list[float]], source: dict[str, Any], *, json_path: Path | None) -> None:
    """Print the images per second, and write them to `json_path` if there is one."""
    spreads = {side: Spread.of(values) for side, values in rates.items()}
    ratios = [safe / unsafe for safe, unsafe in zip(rates["safe"], rates["unsafe"], strict=True)]
    ratio = statistics.median(ratios)
    notes = [
        f"ratio safe to unsafe, median of the rounds: {ratio:.3f}; bar {BAR}: {'met' if ratio >= BAR else 'NOT met'}",
        f"ratio in each round: {', '.join(f'{one:.3f}' for one in ratios)}",
        ", ".join(f"{name} {value}" for name, value in source.items()),
    ]
    show(f"images per second over {NUM_CELLS} cells and both workers", spreads, digits=0, notes=notes)
    if json_path is not None:
        verdict = {"ratio": ratio, "ratio_of_rounds": ratios, "bar": BAR, "met": ratio >= BAR}
        write_json(json_path, source=source, images_per_s=spreads, rounds=rates, **verdict)


def experiment_on(data_dir: Path, *, epochs: int) -> dict[str, Any]:
    """Return the content of the experiment file, without ``storage``."""
    return {
        "name": "safety-cost",
        "dataset": {"image_folder": {"folder": FOLDER, "val_fraction": VAL_FRACTION}},
        "model": "convnet",
        "augment": {"zeta_mixup": {"gamma": GAMMA, "num_mixed": NUM_MIXED}},
        "seed": list(range(NUM_CELLS)),
        "train": {"epochs": epochs, "batch_size_per_worker": BATCH_SIZE_PER_WORKER},
        "resources": {"workers": WORKERS, "cpus_per_worker": 1, "slots": 1},
        "data_dir": str(data_dir),
    }


def num_images(epochs: int) -> int:
    """Return how many images a sweep trains on: whole steps only."""
    step = WORKERS * BATCH_SIZE_PER_WORKER
    return NUM_CELLS * epochs * (round(NUM_TRAIN * (1 - VAL_FRACTION)) // step * step)


def safe_s(experiment: dict[str, Any], folder: Path) -> float:
    """Run the sweep as users do and return how long its cells took, seconds."""
    runs = run_sweep(experiment, folder)
    ended_ms: int = max(run.info.end_time for run in runs)
    return (ended_ms - first_step_ms(runs[0])) / 1000


def unsafe_s(experiment: dict[str, Any], folder: Path) -> float:
    """Run the sweep that keeps nothing and return how long its cells took, seconds."""
    folder.mkdir()
    file, storage, out = folder / "experiment.yaml", folder / "runs", folder / "ends.json"
    file.write_text(yaml.safe_dump({**experiment, "storage": str(storage)}), encoding="utf-8")
    script = Path(__file__).with_name("unsafe_sweep.py")
    run_quietly([sys.executable, str(script), str(file), str(out)], logs=storage / "logs")
    ends: list[tuple[int, int]] = json.loads(out.read_text(encoding="utf-8"))
    return (max(end for _, end in ends) - min(first for first, _ in ends)) / 1000


if __name__ == "__main__":
    main()
