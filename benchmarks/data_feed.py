"""Claim: a cell never waits for its images, and they are decoded once, by all cores, for all processes.

Run, 8 to 12 minutes on 2 cores::

    python benchmarks/data_feed.py [--data-dir DIR --folder NAME] [--rounds 5] [--part PART] [--json PATH]

DIR/NAME holds CIFAR-10 as an image folder; without it the images are noise of the same size and number.

* **Feed.** Two ranks of one thread each train `convnet` with DDP, 64 images per step and rank, with random crops and
  flips and ζ-mixup of 4 samples. ``constant``: `orchestrator.train.train_cell` fed with one and the same batch, the
  ceiling. ``resident``, ``streaming``: the same with the feeds of `orchestrator.train.feed`. ``torchvision``: the usual
  way, files decoded by PIL and transformed in a DataLoader with 0, 1 or 2 workers per rank, whichever is fastest, and
  then the same step. They take turns; images per second are those of an epoch after the first. The ratios are taken
  in each round, and their median is judged. Bars: the faster feed at least 0.98 of the ceiling, and 1.5 times
  torchvision.
* **Next cell.** A sweep of cells on these images: seconds from the end of one to the first step of the next. Bar: 0.5.
* **Readers.** The memory of eight processes that read all of one entry of the cache, against that of one: the sum of
  the proportional set sizes (PSS) of its map. Bar: 1.1.
* **Build.** Images per second of a build of the cache from JPEG files of 1,000 px to 224, by one process and by as many
  as there are cores, in turns, starting them included. Bar: 0.8 times the number of cores, the median of the rounds.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing.util
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from figures import Spread, origin, say, show, write_json
from harness import first_step_ms, run_sweep, scratch_folder
from PIL import Image
from torch import Tensor
from train_throughput import make_images

from orchestrator.data import Cache, Dataset, load_dataset
from orchestrator.data.decode import decode_into, num_cores, shape_of
from orchestrator.data.sets.image_folder import open_image_folder
from orchestrator.experiment.cells import Cell, expand
from orchestrator.experiment.load import load_experiment
from orchestrator.train.cell import train_cell
from orchestrator.train.feed import Mode, make_feed

PARTS = ("feed", "next_cell", "readers", "build")
WORKERS, BATCH_SIZE_PER_WORKER, NUM_MIXED, GAMMA = 2, 64, 4, 2.8
EPOCHS = 3
LOADER_WORKERS = (0, 1, 2)
SHARE_OF_CEILING, TIMES_TORCHVISION, GAP_S, READERS, TIMES_MEMORY, SHARE_OF_CORES = 0.98, 1.5, 0.5, 8, 1.1, 0.8
JPEG_PX, NUM_JPEGS, LINKS_PER_JPEG, DECODED_PX = 1000, 60, 50, 224
CPU = torch.device("cpu")


def main() -> None:
    """Measure all four, or what was asked for, and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, help="the folder that holds NAME")
    parser.add_argument("--folder", metavar="NAME", help="CIFAR-10 as {train,test}/CLASS/FILE")
    parser.add_argument("--num-train", type=int, default=10_000, help="training images (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each way to feed (default: %(default)s)")
    parser.add_argument("--part", choices=PARTS, action="append", help="only this one; may be repeated")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures there, too")
    arguments = parser.parse_args()
    source = origin()
    # Made where it outlasts the scratch folder: it is removed when this process ends.
    multiprocessing.util.get_temp_dir()
    with scratch_folder() as folder:
        data_dir, name = arguments.data_dir, arguments.folder
        if name is None:
            data_dir, name = folder / "data", "noise"
            make_images(data_dir / name)
            arguments.num_train = None
        experiment = {
            "name": "data-feed",
            "dataset": {"image_folder": {"folder": name, "num_train": arguments.num_train}},
            "model": "convnet",
            "augment": {"zeta_mixup": {"gamma": GAMMA, "num_mixed": NUM_MIXED}},
            "seed": [0, 1, 2, 3],
            "train": {"epochs": EPOCHS, "batch_size_per_worker": BATCH_SIZE_PER_WORKER},
            "resources": {"workers": WORKERS, "cpus_per_worker": 1, "slots": 1},
            "data_dir": str(data_dir),
            "cache": {"dir": str(folder / "cache")},
        }
        parts: dict[str, Callable[[], dict[str, Any]]] = {
            "feed": lambda: feed_figures(experiment, folder, rounds=arguments.rounds),
            "next_cell": lambda: next_cell_figures(experiment, folder),
            "readers": lambda: reader_figures(data_dir, name, Cache(folder / "cache")),
            "build": lambda: build_figures(folder),
        }
        figures = {part: parts[part]() for part in PARTS if part in (arguments.part or PARTS)}
    print(", ".join(f"{key} {value}" for key, value in source.items()))
    if arguments.json is not None:
        write_json(arguments.json, source=source, images=name, **figures)


def feed_figures(experiment: dict[str, Any], folder: Path, *, rounds: int) -> dict[str, Any]:
    """Images per second of each way to feed, and the ratios that are judged."""
    file, out = folder / "feed.yaml", folder / "feed.json"
    file.write_text(json.dumps({**experiment, "storage": str(folder / "runs")}), encoding="utf-8")
    say(f"feed: {rounds} rounds")
    mp.start_processes(feed_rank, (file, folder, out, rounds), nprocs=WORKERS, start_method="spawn")
    found: list[dict[str, list[float]]] = json.loads(out.read_text(encoding="utf-8"))
    medians = [{way: statistics.median(rates) for way, rates in of_round.items()} for of_round in found]
    best = [max(rates["resident"], rates["streaming"]) for rates in medians]
    usual = [max(rate for way, rate in rates.items() if way.startswith("torchvision")) for rates in medians]
    share = statistics.median(rate / rates["constant"] for rate, rates in zip(best, medians, strict=True))
    times = statistics.median(rate / rival for rate, rival in zip(best, usual, strict=True))
    rates = {way: Spread.of([rate for of_round in found for rate in of_round[way]]) for way in sorted(found[0])}
    notes = [
        f"share of the ceiling, median of the rounds: {share:.3f}; "
        f"bar {SHARE_OF_CEILING}: {said(share >= SHARE_OF_CEILING)}",
        f"times torchvision: {times:.2f}; bar {TIMES_TORCHVISION}: {said(times >= TIMES_TORCHVISION)}",
    ]
    show("images per second of an epoch over both ranks", rates, digits=0, notes=notes)
    return {"images_per_s": rates, "rounds": found, "share_of_ceiling": share, "times_torchvision": times}


def feed_rank(rank: int, file: Path, folder: Path, out: Path, rounds: int) -> None:
    """Let the ways to feed take turns on one rank; rank 0 writes their images per second to `out`."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=WORKERS)
    experiment = load_experiment(file)
    cell = expand(experiment)[0]
    spec = cell.dataset
    options = {**spec.decode_options(), **spec.split_options()}
    dataset = load_dataset(spec.name, experiment.data_in, **options, cache=experiment.cache.open())
    modes = ["constant", "resident", "streaming"]
    assert isinstance(experiment.data_dir, Path)
    root = experiment.data_dir / str(spec.path)
    found = []
    for number in range(rounds):
        of_round: dict[str, list[float]] = {}
        # Each is the first of a round in turn: what comes after a DataLoader may find the machine otherwise.
        for mode in modes[number % len(modes) :] + modes[: number % len(modes)]:
            with tempfile.TemporaryDirectory(dir=folder) as checkpoint_dir:
                of_round[mode] = cell_images_per_s(cell, dataset, mode, Path(checkpoint_dir))
        for workers in LOADER_WORKERS:
            of_round[f"torchvision, {workers} workers"] = usual_images_per_s(cell, dataset, root, workers)
        found.append(of_round)
        if rank == 0:
            say(f"round {number + 1}: {', '.join(f'{way} {max(rates):.0f}' for way, rates in of_round.items())}")
    if rank == 0:
        out.write_text(json.dumps(found), encoding="utf-8")
    dist.barrier()
    dist.destroy_process_group()


class ConstantFeed:
    """Yields one and the same batch, whatever is asked for: see `orchestrator.train.feed.Feed`."""

    mode: Mode = "resident"
    device = CPU

    def __init__(self, images: Tensor) -> None:
        self._images = images[:BATCH_SIZE_PER_WORKER].clone()

    def batches(self, rows: Sequence[Tensor]) -> Iterator[Tensor]:
        """Yield as many images as each batch has rows."""
        yield from (self._images[: len(of_batch)] for of_batch in rows)


def cell_images_per_s(cell: Cell, dataset: Dataset, mode: str, checkpoint_dir: Path) -> list[float]:
    """Train the cell and return the images per second of its epochs, the first one left out."""
    rates: list[float] = []
    feed = ConstantFeed(dataset.images) if mode == "constant" else make_feed(dataset.images, CPU, mode=cast(Mode, mode))
    train_cell(
        cell,
        dataset,
        checkpoint_dir=checkpoint_dir,
        device=CPU,
        report=lambda epoch: rates.append(epoch.metrics["train/images_per_s"]),
        feed=feed,
    )
    return rates[1:]


def usual_images_per_s(cell: Cell, dataset: Dataset, root: Path, loader_workers: int) -> list[float]:
    """Train one epoch after a few steps as torchvision's references do, from the files."""
    import torch.nn.functional as F
    from torch.nn.parallel import DistributedDataParallel
    from torch.utils.data import DataLoader, Subset
    from torch.utils.data.distributed import DistributedSampler
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    from augment import one_hot
    from orchestrator.models.registry import build_model

    transform = v2.Compose(
        [
            v2.RandomCrop(dataset.stored_size, padding=cell.dataset.crop_padding),
            v2.RandomHorizontalFlip(),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(dataset.mean, dataset.std),
        ]
    )
    # As many images as the cell trains on; which ones does not matter.
    images = Subset(ImageFolder(root / "train", transform), range(len(dataset.train)))
    loader = DataLoader(
        images,
        batch_size=BATCH_SIZE_PER_WORKER,
        sampler=DistributedSampler(images),
        num_workers=loader_workers,
        drop_last=True,
        persistent_workers=loader_workers > 0,
    )
    network = build_model("convnet", num_classes=dataset.num_classes, num_channels=3, image_size=dataset.stored_size)
    model = DistributedDataParallel(network.to(memory_format=torch.channels_last))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    augment, generator = cell.augment.build(), torch.Generator().manual_seed(0)
    rates = []
    model.train()
    for _ in range(2):
        started = time.perf_counter()
        total = torch.zeros(())
        for pixels, labels in loader:
            draw = augment.draw(pixels.shape, generator=generator)
            batch, targets = augment.apply(
                pixels.contiguous(memory_format=torch.channels_last), one_hot(labels, dataset.num_classes), draw
            )
            loss = F.cross_entropy(model(batch), targets)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total += loss.detach()
        dist.all_reduce(total)
        rates.append(len(loader) * BATCH_SIZE_PER_WORKER * WORKERS / (time.perf_counter() - started))
    return rates[1:]


def next_cell_figures(experiment: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Seconds between two cells of a sweep on these images."""
    say("next cell: a sweep")
    runs = run_sweep(experiment, folder / "sweep")
    gaps = [(first_step_ms(after) - before.info.end_time) / 1000 for before, after in pairwise(runs)]
    spread = Spread.of(gaps)
    notes = [f"bar {GAP_S} s: {said(spread.median <= GAP_S)}"]
    show("seconds from the end of one cell to the first step of the next", {"cells": spread}, digits=3, notes=notes)
    return {"gap_s": spread, "gaps_s": gaps}


def reader_figures(data_dir: Path, name: str, cache: Cache) -> dict[str, Any]:
    """PSS of the map of one entry, of one reader and of eight."""
    say(f"readers: 1 and {READERS}")
    mib = {str(number): sum(readers_pss_kib(data_dir, name, cache, number)) / 1024 for number in (1, READERS)}
    ratio = mib[str(READERS)] / mib["1"]
    print(
        f"MiB of the images in memory, summed over the readers: 1 reader {mib['1']:.1f}, {READERS} readers "
        f"{mib[str(READERS)]:.1f}; ratio {ratio:.3f}; bar {TIMES_MEMORY}: {said(ratio <= TIMES_MEMORY)}"
    )
    return {"pss_mib": mib, "ratio": ratio}


def readers_pss_kib(data_dir: Path, name: str, cache: Cache, number: int) -> list[int]:
    """Let `number` processes read every image at the same time; return the KiB of each."""
    context = mp.get_context("spawn")
    all_read, measured, answers = context.Barrier(number), context.Barrier(number), context.Queue()
    arguments = (data_dir, name, cache, all_read, measured, answers)
    processes = [context.Process(target=read_all, args=arguments) for _ in range(number)]
    for process in processes:
        process.start()
    found = [answers.get() for _ in processes]
    for process in processes:
        process.join()
    return found


def read_all(data_dir: Path, name: str, cache: Cache, all_read: Any, measured: Any, answers: Any) -> None:
    """Read every image, and when all others have, too, say how much of the map is this process's share."""
    dataset = load_dataset("image_folder", data_dir, path=name, cache=cache)
    int(dataset.images.sum())
    all_read.wait()
    share, inside = 0, False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        if "-" in line.split(" ", 1)[0]:
            inside = line.endswith("images.npy")
        elif inside and line.startswith("Pss:"):
            share += int(line.split()[1])
    measured.wait()
    answers.put(share)


def build_figures(folder: Path) -> dict[str, Any]:
    """Images per second of a build, by one process and by all cores."""
    root, cores = folder / "jpegs", num_cores()
    make_jpegs(root)
    rates: dict[str, list[float]] = {"1 process": [], f"{cores} processes": []}
    for _ in range(3):
        for way, processes in zip(rates, (1, cores), strict=True):
            say(f"build: {way}")
            rates[way].append(build_images_per_s(root, folder, processes))
    share = statistics.median(every / one / cores for one, every in zip(*rates.values(), strict=True))
    notes = [
        f"share of {cores} times one process, median of the rounds: {share:.3f}; "
        f"bar {SHARE_OF_CORES}: {said(share >= SHARE_OF_CORES)}"
    ]
    show("images decoded per second", {way: Spread.of(values) for way, values in rates.items()}, digits=1, notes=notes)
    return {"images_per_s": rates, "share_of_cores": share, "cores": cores}


def make_jpegs(root: Path) -> None:
    """Write photographs-to-be: smooth noise, each file under many names."""
    generator = np.random.default_rng(0)
    for split, count in (("train", NUM_JPEGS), ("test", 2)):
        for number in range(count):
            target = root / split / str(number % 2)
            target.mkdir(parents=True, exist_ok=True)
            coarse = Image.fromarray(generator.integers(0, 256, (40, 40, 3), dtype=np.uint8))
            first = target / f"{number}-0.jpg"
            coarse.resize((JPEG_PX, JPEG_PX), Image.Resampling.BICUBIC).save(first, quality=90)
            for link in range(1, LINKS_PER_JPEG):
                os.link(first, target / f"{number}-{link}.jpg")


def build_images_per_s(root: Path, folder: Path, processes: int) -> float:
    """Decode all of `root` with so many processes."""
    source = open_image_folder(root)
    count, shape = shape_of(source, DECODED_PX)
    path = folder / "images.npy"
    np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(count, *shape)).flush()
    started = time.perf_counter()
    decode_into(path, source, DECODED_PX, processes=processes)
    return count / (time.perf_counter() - started)


def said(met: bool) -> str:
    """Return how a bar is reported."""
    return "met" if met else "NOT met"


if __name__ == "__main__":
    main()
