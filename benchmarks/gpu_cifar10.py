"""What the published column of CIFAR-10 would cost on this GPU, and its first epochs.

Run, for as long as there is time::

    python benchmarks/gpu_cifar10.py --data-dir DIR [--seconds 120] [--price 2.5] [--json PATH]

ResNet-18 as `experiments/cifar10.yaml` trains it, with erm, mixup and ζ-mixup, through `orchestrator.train.train_cell`:
one epoch of warm-up says how long an epoch takes, and then each is trained as many epochs as fit into the seconds, on
as many seeds as fit. Their schedules are those of so many epochs: the errors are of short trainings, and no figures of
the paper's. Written are the learning curves, and the hours and the price of the whole file's column at this speed.

Without --data-dir the images are noise: the time is the same, and no error is shown. ``--smoke`` trains
digits on the CPU.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from figures import origin, say, write_json
from gpu_training import Setting, noise

from orchestrator.data import Cache, Dataset, Split, load_dataset
from orchestrator.experiment import Cell, expand, load_experiment
from orchestrator.records import CellResult, EpochResult
from orchestrator.train import make_feed, train_cell

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "experiments" / "cifar10.yaml"
NAMES = ("erm", "mixup", "zeta_mixup")
MAX_SEEDS = 3
# Of the seconds, what epochs may fill: the rest is for tests, checkpoints and what takes longer than expected.
SHARE = 0.8


def main() -> None:
    """Train what fits and print what the column costs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, help="the folder that holds cifar-10-batches-py")
    parser.add_argument("--seconds", type=float, default=120, help="for all of it (default: %(default)s)")
    parser.add_argument("--price", type=float, default=2.5, help="of an hour of the GPU (default: %(default)s)")
    parser.add_argument("--smoke", action="store_true", help="digits on the CPU: nothing is measured")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures there, too")
    arguments = parser.parse_args()
    if not arguments.smoke and not torch.cuda.is_available():
        sys.exit("error: there is no CUDA device")
    deadline = time.monotonic() + arguments.seconds
    device = torch.device("cpu") if arguments.smoke else torch.device("cuda", 0)
    cells, num_cells = chosen_cells(smoke=arguments.smoke)
    with tempfile.TemporaryDirectory() as folder:
        dataset, is_real = dataset_of(arguments, Path(folder))
        source = origin() | {"smoke": arguments.smoke, "images": "real" if is_real else "noise"}
        epoch_s = epoch_seconds(cells["erm"], dataset, Path(folder), device)
        hours = epoch_s * cells["erm"].train.epochs * num_cells / 3600
        price = {"epoch_s": epoch_s, "cells": num_cells, "hours": hours, "price": hours * arguments.price}
        curves: dict[str, Any] = {}

        def keep() -> None:
            if arguments.json is not None:
                write_json(arguments.json, source=source, column={} if arguments.smoke else price, curves=curves)

        keep()
        for cell in fitting(cells, epoch_s, deadline - time.monotonic(), smoke=arguments.smoke):
            if not arguments.smoke and time.monotonic() + epoch_s * cell.train.epochs > deadline:
                say(f"the time is up before {cell.label}")
                break
            curves[cell.label] = curve(cell, dataset, Path(folder), device, is_real=is_real)
            keep()
    if arguments.smoke:
        return
    cost = f"{hours:.1f} hours, {hours * arguments.price:.0f} at {arguments.price:g} an hour"
    print(f"the column of {num_cells} cells: {cost}")
    for label, found in curves.items():
        print(f"{label}: {found['epochs']} epochs, test error {found['test_error']}")


def chosen_cells(*, smoke: bool) -> tuple[dict[str, Cell], int]:
    """Return a cell of each method, as the file has it, and how many cells its column of ResNet-18 has."""
    overrides = ["dataset=digits", "model=convnet", "train.warmup_epochs=0"] if smoke else ["model=resnet18"]
    cells = expand(load_experiment(FILE, overrides))
    found = {name: next(cell for cell in cells if cell.augment.name == name) for name in NAMES}
    return found, len(cells)


def dataset_of(arguments: argparse.Namespace, folder: Path) -> tuple[Dataset, bool]:
    """Return the images, and whether they are CIFAR-10's."""
    if arguments.smoke:
        return load_dataset("digits", folder), False
    if arguments.data_dir is not None:
        if not (arguments.data_dir / "cifar-10-batches-py").is_dir():
            sys.exit(f"error: --data-dir {arguments.data_dir} holds no cifar-10-batches-py")
        return load_dataset("cifar10", arguments.data_dir.absolute(), cache=Cache(folder / "cache", None)), True
    say("no --data-dir: the images are noise, and no error is shown")
    # Split like the real ones.
    made = noise(Setting(torch.device("cuda", 0)))
    rows = made.train.rows.split([45_000, 5_000]), made.train.labels.split([45_000, 5_000])
    train, val = (Split(*each) for each in zip(*rows, strict=True))
    return replace(made, train=train, val=val, test=Split(made.test.rows[:10_000], made.test.labels[:10_000])), False


def epoch_seconds(cell: Cell, dataset: Dataset, folder: Path, device: torch.device) -> float:
    """Return how long an epoch of a cell takes with its validation, the first one left out."""
    stamps: list[float] = []
    short = with_epochs(cell, 1 if device.type == "cpu" else 2)
    began = time.monotonic()
    train_cell(
        short,
        dataset,
        checkpoint_dir=folder / "warm-up",
        device=device,
        report=lambda _: stamps.append(time.monotonic()),
        feed=make_feed(dataset.images, device),
    )
    return stamps[-1] - (stamps[-2] if len(stamps) > 1 else began)


def fitting(cells: dict[str, Cell], epoch_s: float, left_s: float, *, smoke: bool) -> list[Cell]:
    """Return the cells to train, so long as they fit: all methods on one seed, then on the next."""
    epochs_left = int(SHARE * left_s / epoch_s)
    seeds = 1 if smoke else max(1, min(MAX_SEEDS, epochs_left // (len(cells) * 10)))
    epochs = 1 if smoke else max(1, min(cells["erm"].train.epochs, epochs_left // (len(cells) * seeds)))
    return [
        with_epochs(cell.model_copy(update={"seed": seed}), epochs) for seed in range(seeds) for cell in cells.values()
    ]


def with_epochs(cell: Cell, epochs: int) -> Cell:
    """Return a cell that trains so long; what the file says in epochs, as warm-up, is cut to it."""
    warmup, last = min(cell.train.warmup_epochs, epochs - 1), cell.train.mixing_off_epochs
    changes = {
        "epochs": epochs,
        "warmup_epochs": warmup,
        "milestones": tuple(epoch for epoch in cell.train.milestones if epoch < epochs),
        "mixing_off_epochs": last if last is None or last < epochs else None,
    }
    return cell.model_copy(update={"train": cell.train.model_copy(update=changes)})


def curve(cell: Cell, dataset: Dataset, folder: Path, device: torch.device, *, is_real: bool) -> dict[str, Any]:
    """Train a cell and return its curve."""
    say(f"{cell.label}: {cell.train.epochs} epochs")
    history: list[EpochResult] = []
    result = train_cell(
        cell,
        dataset,
        checkpoint_dir=folder / cell.key,
        device=device,
        report=history.append,
        feed=make_feed(dataset.images, device),
    )
    assert isinstance(result, CellResult), "it is trained to its end"
    return {
        "epochs": cell.train.epochs,
        "val_error": [entry.metrics["val/error"] for entry in history] if is_real else None,
        "test_error": result.metrics["test/error"] if is_real else None,
        "images_per_s": [entry.metrics["train/images_per_s"] for entry in history],
    }


if __name__ == "__main__":
    main()
