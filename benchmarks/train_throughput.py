"""Claim: a DDP cell inside a sweep trains at least 0.95 times the images per second of a bare PyTorch DDP loop.

Run::

    python benchmarks/train_throughput.py [--rounds 3] [--epochs 6] [--json PATH]        (about N minutes on 2 cores)

Both train `convnet` on the same 4,000 images of 32 px (noise, in 10 classes, in a temporary image folder) with
ζ-mixup of 4 samples, random crop and flip, in 2 processes of one thread each, 64 images per process and step:

* ``sweep``: two cells of ``zetasweep run``, as users run it, one after the other on a local Ray cluster: workers, slot,
  Tune, MLflow and progress share the cores with the training, and the first cell's results are delivered while the second
  one trains.
* ``bare``: ``bare_ddp.py`` under torchrun: the loop of PyTorch's tutorials, with neither Ray nor MLflow.

Measured are images per second of whole epochs over both processes; what lies between epochs (evaluation, checkpoint,
reports: the sweep only) is outside in both. The first epoch of each training is left out as warm-up. The two sides take
turns, round by round, so that slow changes of the machine hit both; each round's ratio is printed as well.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
from harness import Spread, origin, run_sweep, scratch_folder, show, write_json
from mlflow import MlflowClient
from PIL import Image

BAR = 0.95
WORKERS = 2
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
    parser.add_argument("--epochs", type=int, default=6, help="per cell, the first is warm-up (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures there, too")
    arguments = parser.parse_args()
    source = origin()
    sweep, bare = [], []
    with scratch_folder() as folder:
        make_images(folder / "data" / FOLDER)
        for number in range(arguments.rounds):
            sweep.append(sweep_images_per_s(folder, number, epochs=arguments.epochs))
            bare.append(bare_images_per_s(folder, epochs=CELLS_PER_SWEEP * (arguments.epochs - 1) + 1))
    rates = {"sweep": Spread.of(sum(sweep, [])), "bare": Spread.of(sum(bare, []))}
    ratio = rates["sweep"].median / rates["bare"].median
    pairs = zip(sweep, bare, strict=True)
    ratios = [statistics.median(of_sweep) / statistics.median(of_bare) for of_sweep, of_bare in pairs]
    notes = [
        f"ratio of the medians, sweep to bare: {ratio:.3f}; bar: {BAR}: {'met' if ratio >= BAR else 'NOT met'}",
        f"ratio in each round: {', '.join(f'{one:.3f}' for one in ratios)}",
        ", ".join(f"{name} {value}" for name, value in source.items()),
    ]
    show("images per second of an epoch, over both workers", rates, unit="images/s", digits=0, notes=notes)
    if arguments.json is not None:
        figures = {"sweep": rates["sweep"], "bare": rates["bare"], "rounds": {"sweep": sweep, "bare": bare}}
        verdict = {"ratio": ratio, "ratios": ratios, "bar": BAR, "met": ratio >= BAR}
        write_json(arguments.json, source=source, **figures, **verdict)


def make_images(root: Path) -> None:
    """Write noise to `root` as an image folder: how fast a step is does not depend on what the pixels show."""
    generator = np.random.default_rng(0)
    for split, count in (("train", NUM_TRAIN), ("test", NUM_TEST)):
        for label in range(NUM_CLASSES):
            (root / split / str(label)).mkdir(parents=True)
        for number in range(count):
            pixels = generator.integers(0, 256, (IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / split / str(number % NUM_CLASSES) / f"{number}.png")


def sweep_images_per_s(folder: Path, number: int, *, epochs: int) -> list[float]:
    """Run one sweep and return the images per second of its epochs, the first one of each cell left out."""
    experiment = {
        "name": "train-throughput",
        "dataset": {"image_folder": {"folder": FOLDER}},
        "model": "convnet",
        "augment": {"zeta_mixup": {"gamma": GAMMA, "num_mixed": NUM_MIXED}},
        "seed": list(range(CELLS_PER_SWEEP)),
        "train": {"epochs": epochs, "batch_size_per_worker": BATCH_SIZE_PER_WORKER},
        "resources": {"workers": WORKERS, "cpus_per_worker": 1, "slots": 1},
        "data_dir": str(folder / "data"),
    }
    runs = run_sweep(experiment, folder / f"sweep-{number}")
    client = MlflowClient()
    histories = [client.get_metric_history(run.info.run_id, "train/images_per_s") for run in runs]
    return [metric.value for history in histories for metric in history if metric.step > 1]


def bare_images_per_s(folder: Path, *, epochs: int) -> list[float]:
    """Run the bare loop and return the images per second of its epochs, the first one left out."""
    out = folder / "bare.json"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={WORKERS}"]
    command += [str(Path(__file__).with_name("bare_ddp.py")), "--data-dir", str(folder / "data"), "--folder", FOLDER]
    command += ["--epochs", str(epochs), "--batch-size-per-worker", str(BATCH_SIZE_PER_WORKER)]
    command += ["--gamma", str(GAMMA), "--num-mixed", str(NUM_MIXED), "--out", str(out)]
    process = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    if process.returncode != 0:
        sys.exit(f"{process.stdout}{process.stderr}error: the bare loop ended with exit code {process.returncode}")
    rates: list[float] = json.loads(out.read_text(encoding="utf-8"))
    return rates[1:]


if __name__ == "__main__":
    main()
