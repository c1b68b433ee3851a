"""Claim: a DDP cell inside a sweep trains at least 0.95 times the images per second of a bare PyTorch DDP loop.

Run, 4 to 6 minutes on 2 cores::

    python benchmarks/train_throughput.py [--rounds 3] [--epochs 5] [--workers 2] [--json PATH]

Both sides train `convnet` on the same images of 32 px (4,000 of noise in a temporary image folder, a tenth of them for
validation), with random crops and flips and ζ-mixup of 4 samples, in as many processes of one thread each, with 64
images per step and process. With fewer processes than the machine has cores, one is left to Ray:

* ``sweep``: two cells of ``zetasweep run``, as users run it, one after the other on a local Ray cluster. Ray, Tune and
  MLflow share the cores with the training, and the first cell's model is logged while the second cell trains.
* ``bare``: ``bare_ddp.py`` under torchrun, the loop of PyTorch's tutorials with neither Ray nor MLflow, with one thread
  for each process, too, however many there are.

Measured are images per second of a whole epoch over all processes. What the sweep does between epochs (validation,
checkpoint, report) is outside: the bare loop has nothing like it. The first epoch of each training is left out as
warm-up. The sides take turns, so that slow changes of the machine hit both: the ratio is taken in each round, and the
median of these ratios is judged.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from figures import Spread, origin, say, show, write_json
from harness import client_of, run_quietly, run_sweep, scratch_folder
from PIL import Image

BAR = 0.95
BATCH_SIZE_PER_WORKER = 64
GAMMA, NUM_MIXED = 2.8, 4
NUM_CLASSES, IMAGE_SIZE = 10, 32
NUM_TRAIN, NUM_TEST = 4000, 400
FOLDER = "noise"
CELLS_PER_SWEEP = 2


def main() -> None:
    """Run both sides in turns and print their images per second."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=5, help="per cell, the first is warm-up (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes of a training (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures there, too")
    arguments = parser.parse_args()
    if arguments.rounds < 1 or arguments.workers < 1 or arguments.epochs < 2:
        parser.error("--rounds and --workers must be 1 or more, --epochs 2 or more")
    source = origin()
    workers = arguments.workers
    rounds: dict[str, list[list[float]]] = {"sweep": [], "bare": []}
    with scratch_folder() as folder:
        make_images(folder / "data" / FOLDER)
        for number in range(arguments.rounds):
            say(f"round {number + 1} of {arguments.rounds}")
            rounds["sweep"].append(sweep_images_per_s(folder, number, epochs=arguments.epochs, workers=workers))
            # As many epochs as the cells together, after one that is left out.
            measured = CELLS_PER_SWEEP * (arguments.epochs - 1)
            rounds["bare"].append(bare_images_per_s(folder, epochs=1 + measured, workers=workers))
    present(rounds, source | {"workers": workers}, json_path=arguments.json)


def present(rounds: dict[str, list[list[float]]], source: dict[str, Any], *, json_path: Path | None) -> None:
    """Print the images per second, and write them to `json_path` if there is one."""
    rates = {side: Spread.of([*chain(*values)]) for side, values in rounds.items()}
    medians = (map(statistics.median, rounds[side]) for side in ("sweep", "bare"))
    ratios = [sweep / bare for sweep, bare in zip(*medians, strict=True)]
    # Not the ratio of the medians over all rounds: where the machine drifts, that compares one round's sweep with
    # another round's bare loop.
    ratio = statistics.median(ratios)
    notes = [
        f"ratio sweep to bare, median of the rounds: {ratio:.3f}; bar {BAR}: {'met' if ratio >= BAR else 'NOT met'}",
        f"ratio in each round: {', '.join(f'{one:.3f}' for one in ratios)}",
        ", ".join(f"{name} {value}" for name, value in source.items()),
    ]
    show("images per second of an epoch over all workers", rates, digits=0, notes=notes)
    if json_path is not None:
        verdict = {"ratio": ratio, "ratio_of_rounds": ratios, "bar": BAR, "met": ratio >= BAR}
        write_json(json_path, source=source, images_per_s=rates, rounds=rounds, **verdict)


def make_images(root: Path) -> None:
    """Write noise to `root` as an image folder: how fast a step is does not depend on what the pixels show."""
    generator = np.random.default_rng(0)
    for split, count in (("train", NUM_TRAIN), ("test", NUM_TEST)):
        for label in range(NUM_CLASSES):
            (root / split / str(label)).mkdir(parents=True)
        for number in range(count):
            pixels = generator.integers(0, 256, (IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / split / str(number % NUM_CLASSES) / f"{number}.png")


def sweep_images_per_s(folder: Path, number: int, *, epochs: int, workers: int) -> list[float]:
    """Run one sweep and return the images per second of its epochs, the first one of each cell left out."""
    experiment = {
        "name": "train-throughput",
        "dataset": {"image_folder": {"folder": FOLDER}},
        "model": "convnet",
        "augment": {"zeta_mixup": {"gamma": GAMMA, "num_mixed": NUM_MIXED}},
        "seed": list(range(CELLS_PER_SWEEP)),
        "train": {"epochs": epochs, "batch_size_per_worker": BATCH_SIZE_PER_WORKER},
        "resources": {"workers": workers, "cpus_per_worker": 1, "slots": 1},
        "data_dir": str(folder / "data"),
    }
    runs = run_sweep(experiment, folder / f"sweep-{number}")
    client = client_of(folder / f"sweep-{number}")
    histories = [client.get_metric_history(run.info.run_id, "train/images_per_s") for run in runs]
    return [metric.value for history in histories for metric in history if metric.step > 1]


def bare_images_per_s(folder: Path, *, epochs: int, workers: int) -> list[float]:
    """Run the bare loop and return the images per second of its epochs, the first one left out."""
    out = folder / "bare.json"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={workers}"]
    command += [str(Path(__file__).with_name("bare_ddp.py")), "--data-dir", str(folder / "data"), "--folder", FOLDER]
    command += ["--epochs", str(epochs), "--batch-size-per-worker", str(BATCH_SIZE_PER_WORKER)]
    command += ["--gamma", str(GAMMA), "--num-mixed", str(NUM_MIXED), "--out", str(out)]
    run_quietly(command)
    rates: list[float] = json.loads(out.read_text(encoding="utf-8"))
    return rates[1:]


if __name__ == "__main__":
    main()
