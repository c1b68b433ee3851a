"""Claim: on a GPU a training waits for nothing: not for mixing, not for images, and not for Python.

Run, some minutes on a GPU; each figure is written as soon as it is there::

    python benchmarks/gpu_training.py [--seconds 0.5] [--json PATH]

ResNet-18 on 50,000 images of noise of CIFAR-10's size, bf16, channels_last, with 128 and 512 images per step, random
crops and flips; the steps are those of `orchestrator.train`, optimizer included.

* **Step.** ζ-mixup with N = 4 as Python runs it, compiled, compiled and launched as a CUDA graph, and without held to
  deterministic algorithms. Bar: compiled at least 1.2 times as fast.
* **Mixing.** Every augmentation beside ``erm``: the step, and the part of it that makes the batch. Bar: what mixing
  adds to that part is at most 3 % of the step.
* **Feed.** A constant batch, the ceiling; resident and streaming feeds; and the usual way: torchvision's transforms of
  PIL images in a DataLoader, its workers as many as are fastest, ``v2.MixUp`` and the same network. Bars: the faster
  feed at least 0.98 of the ceiling, and 1.5 times the usual way.

Times are of chunks of steps, each with the GPU waited for at its end; the first chunk is warm-up. ``--smoke`` runs all
of it on the CPU with a small network and few images: its figures say nothing.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from figures import Spread, origin, say, show, write_json
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from orchestrator.data import Dataset, Split
from orchestrator.experiment import ArithmeticSpec, Cell, DatasetSpec, ModelSpec, TrainSettings
from orchestrator.experiment.augment_spec import AugmentSpec
from orchestrator.models import build_model
from orchestrator.train.feed import Feed, ResidentFeed, StreamingFeed
from orchestrator.train.learner import Learner
from orchestrator.train.ranks import Ranks

NUM_CLASSES, SIDE, CROP_PADDING = 10, 32, 4
ZETA = AugmentSpec(name="zeta_mixup", params={"gamma": 2.8, "num_mixed": 4})
ERM = AugmentSpec(name="erm")
MIXING = (
    ZETA,
    AugmentSpec(name="mixup", params={"alpha": 1.0}),
    AugmentSpec(name="cutmix", params={"alpha": 1.0}),
    AugmentSpec(name="zeta_mixup_range", params={"gamma_low": 2.0, "gamma_high": 4.0, "num_mixed": 4}),
    AugmentSpec(name="cutmix_zeta_mixup", params={"gamma": 2.8, "num_mixed": 4}),
    AugmentSpec(name="mixup_pseries", params={"gamma": 2.8}),
    AugmentSpec(name="dirichlet", params={"num_mixed": 4, "alpha": 1.0}),
)
MOST_OF_STEP, LEAST_OF_CEILING, TIMES_USUAL, TIMES_EAGER = 0.03, 0.98, 1.5, 1.2
CHUNK_STEPS, MIN_CHUNKS = 10, 5
TABLES = ("step", "making the batch", "fed")
Tables = dict[str, dict[str, Spread]]


@dataclass(frozen=True)
class Setting:
    """What is trained, where and how long.

    Attributes:
        device: Where.
        model: Which network.
        batch_sizes: Images per step.
        num_images: Of the data set.
        seconds: For each figure.
        loader_workers: Of the DataLoader.
    """

    device: torch.device
    model: str = "resnet18"
    batch_sizes: tuple[int, ...] = (128, 512)
    num_images: int = 50_000
    seconds: float = 0.5
    loader_workers: tuple[int, ...] = (4, 8, 16)


SMOKE = Setting(torch.device("cpu"), "convnet", (8,), 64, 0.0, (0,))


def main() -> None:
    """Time all of it and print the figures with the bars."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=0.5, help="for each figure (default: %(default)s)")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes on the CPU: nothing is measured")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures there, too")
    arguments = parser.parse_args()
    if not arguments.smoke and not torch.cuda.is_available():
        sys.exit("error: there is no CUDA device")
    setting = SMOKE if arguments.smoke else Setting(torch.device("cuda", 0), seconds=arguments.seconds)
    device = "cpu" if arguments.smoke else torch.cuda.get_device_name()
    source = origin() | {"device": device, "smoke": arguments.smoke}
    tables: dict[int, Tables] = {size: {name: {} for name in TABLES} for size in setting.batch_sizes}
    bars: dict[str, bool] = {}
    for batch_size, table, name, spread in measured(setting):
        tables[batch_size][table][name] = spread
        if not arguments.smoke:
            bars = {said: met for size, found in tables.items() for said, met in bars_of(size, found).items()}
        if arguments.json is not None:
            write_json(arguments.json, source=source, ms_per_step=tables, bars=bars)
    for size, name in ((size, name) for size in tables for name in TABLES):
        show(f"\nms, {size} images, {name}", tables[size][name], digits=3, notes=())
    for said, met in bars.items():
        print(f"{'met' if met else 'NOT met':>8}: {said}")
    print(", ".join(f"{name} {value}" for name, value in source.items()))


def measured(setting: Setting) -> Iterator[tuple[int, str, str, Spread]]:
    """Yield each figure, in ms per step, with its images per step, its table and its name; those of compilers last."""
    dataset = noise(setting)
    for batch_size in setting.batch_sizes:
        yield from steps(eager(batch_size, setting), dataset, setting)
        for name, step_of_feed in feeds(batch_size, dataset, setting):
            say(f"{batch_size} images: {name}")
            yield batch_size, "fed", name, timed(step_of_feed, setting)
    for batch_size in setting.batch_sizes:
        yield from steps(compiled(batch_size, setting, compile="default"), dataset, setting)
    # Tuning takes a minute: for one size of batch.
    tuned = compiled(setting.batch_sizes[0], setting, compile="max-autotune", deterministic=False)
    yield from steps({"max-autotune, CUDA graph": tuned["compiled, CUDA graph"]}, dataset, setting)


def steps(cells: dict[str, Cell], dataset: Dataset, setting: Setting) -> Iterator[tuple[int, str, str, Spread]]:
    """Yield the figures of cells whose batch stays the same."""
    for name, cell in cells.items():
        batch_size = cell.train.batch_size_per_worker
        say(f"{batch_size} images: {name}")
        pixels, labels = (each[:batch_size].to(setting.device) for each in (dataset.images, dataset.train.labels))
        generator = torch.Generator(setting.device).manual_seed(0)
        # Made before each figure: what libraries may do is set for the process.
        learner = learner_of(cell, dataset, setting)
        yield batch_size, "step", name, timed(partial(learner.step, pixels, labels, generator), setting)
        if cell.augment.name == name:
            make = partial(learner.mixed, pixels, labels, NUM_CLASSES, generator)
            yield batch_size, "making the batch", name, timed(make, setting)


def bars_of(batch_size: int, tables: Tables) -> dict[str, bool]:
    """Return which bars are met, of those whose figures are there."""
    step, making, fed = ({name: spread.median for name, spread in tables[table].items()} for table in TABLES)
    found = {}
    for augment in MIXING:
        if {"erm", augment.name} <= making.keys():
            share = (making[augment.name] - making["erm"]) / step[augment.name]
            found[f"{augment.label} adds {share:.3f} of a step, at most {MOST_OF_STEP}"] = share <= MOST_OF_STEP
    if {"resident", "streaming"} <= fed.keys():
        feed = min(fed["resident"], fed["streaming"])
        share = step["zeta_mixup"] / feed
        found[f"the faster feed {share:.3f} of the ceiling, at least {LEAST_OF_CEILING}"] = share >= LEAST_OF_CEILING
        if usual := [ms for name, ms in fed.items() if name.startswith("DataLoader")]:
            times = min(usual) / feed
            found[f"{times:.2f} times as fast as torchvision's way, at least {TIMES_USUAL}"] = times >= TIMES_USUAL
    if {"compiled", "compiled, CUDA graph"} <= step.keys():
        times = step["zeta_mixup"] / min(step["compiled"], step["compiled, CUDA graph"])
        found[f"compiled {times:.2f} times as fast as eager, at least {TIMES_EAGER}"] = times >= TIMES_EAGER
    return {f"batch of {batch_size}: {said}": met for said, met in found.items()}


def eager(batch_size: int, setting: Setting) -> dict[str, Cell]:
    """Return the cells whose steps are not compiled."""
    cells = {augment.name: cell_of(augment, batch_size, setting) for augment in (ERM, *MIXING)}
    return cells | {"not deterministic": cell_of(ZETA, batch_size, setting, deterministic=False)}


def compiled(batch_size: int, setting: Setting, **arithmetic: Any) -> dict[str, Cell]:
    """Return those whose are; that with a CUDA graph is the same."""
    cell = cell_of(ZETA, batch_size, setting, **arithmetic)
    return {"compiled": cell, "compiled, CUDA graph": cell.model_copy(update={"apart": ("CUDA graph",)})}


def cell_of(augment: AugmentSpec, batch_size: int, setting: Setting, **arithmetic: Any) -> Cell:
    """Return a cell of the noise, computed as usual or as `arithmetic` says."""
    return Cell(
        dataset=DatasetSpec.model_validate({"name": "cifar10", "crop_padding": CROP_PADDING, "hflip": True}),
        model=ModelSpec(name=setting.model),
        augment=augment,
        seed=0,
        train=TrainSettings(epochs=10, precision="bf16", batch_size_per_worker=batch_size, lr=0.01),
        workers=1,
        arithmetic=ArithmeticSpec.model_validate(arithmetic) if arithmetic else None,
    )


def noise(setting: Setting) -> Dataset:
    """Return images of noise: how fast a step is does not depend on what they show."""
    shape = (setting.num_images, 3, SIDE, SIDE)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    split = Split(torch.arange(setting.num_images), torch.arange(setting.num_images) % NUM_CLASSES)
    names = tuple(map(str, range(NUM_CLASSES)))
    return Dataset(
        "cifar10", images, split, split, split, class_names=names, mean=(0.5,) * 3, std=(0.25,) * 3,
        split_hash="noise", groups="none", test_hash="noise",
    )  # fmt: skip


def learner_of(cell: Cell, dataset: Dataset, setting: Setting) -> Learner:
    """Return a network and its optimizer on the device."""
    return Learner(
        cell,
        dataset,
        device=setting.device,
        ranks=Ranks(setting.device),
        backend="auto",
        steps_per_epoch=100,
        cuda_graphs="CUDA graph" in cell.apart and setting.device.type == "cuda",
    )


def feeds(batch_size: int, dataset: Dataset, setting: Setting) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield the steps of ζ-mixup, fed by each feed, and torchvision's way."""
    usual = cell_of(ZETA, batch_size, setting)
    rows = list(torch.randperm(setting.num_images, generator=torch.Generator().manual_seed(0)).split(batch_size))
    rows = [each for each in rows if len(each) == batch_size]
    for feed in (ResidentFeed(dataset.images, setting.device), StreamingFeed(dataset.images, setting.device)):
        learner = learner_of(usual, dataset, setting)
        generator = torch.Generator(setting.device).manual_seed(0)
        batches = again(partial(in_step, feed, rows))

        def step(learner: Learner = learner, generator: Any = generator, batches: Any = batches) -> object:
            pixels, of_batch = next(batches)
            labels = dataset.train.labels[of_batch].to(setting.device, non_blocking=True)
            return learner.step(pixels, labels, generator)

        yield feed.mode, step
    for workers in setting.loader_workers:
        yield f"DataLoader, {workers} workers", usual_step(dataset, batch_size, workers, setting)


def in_step(feed: Feed, rows: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield each batch of a feed with its rows."""
    return zip(feed.batches(rows), rows, strict=True)


def again(start: Callable[[], Any]) -> Iterator[Any]:
    """Yield what `start` yields, again and again."""
    while True:
        yield from start()


class Pictures(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """The noise as torchvision's data sets have it: an array, of which each item is a PIL image that is transformed."""

    def __init__(self, dataset: Dataset) -> None:
        self._pixels = dataset.images.permute(0, 2, 3, 1).numpy()
        self._transform = v2.Compose(
            [
                v2.RandomCrop(SIDE, padding=CROP_PADDING),
                v2.RandomHorizontalFlip(),
                v2.ToImage(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize((0.5,) * 3, (0.25,) * 3),
            ]
        )

    def __len__(self) -> int:
        return len(self._pixels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self._transform(Image.fromarray(np.ascontiguousarray(self._pixels[index]))), index % NUM_CLASSES


def usual_step(dataset: Dataset, batch_size: int, workers: int, setting: Setting) -> Callable[[], object]:
    """Return a step of torchvision's way: the same network and optimizer, images from a DataLoader."""
    on_gpu = setting.device.type == "cuda"
    loader: Any = torch.utils.data.DataLoader(
        Pictures(dataset),
        batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        pin_memory=on_gpu,
        persistent_workers=workers > 0,
    )
    network = build_model(setting.model, num_classes=NUM_CLASSES, num_channels=3, image_size=SIDE)
    network = network.to(device=setting.device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    mixup, batches = v2.MixUp(num_classes=NUM_CLASSES), again(lambda: loader)

    def step() -> object:
        images, labels = (each.to(setting.device, non_blocking=True) for each in next(batches))
        images, targets = mixup(images.to(memory_format=torch.channels_last), labels)
        with torch.autocast(setting.device.type, dtype=torch.bfloat16):
            logits = network(images)
        loss = F.cross_entropy(logits.float(), targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss

    return step


def timed(step: Callable[[], object], setting: Setting) -> Spread:
    """Return ms per step, of chunks of steps; the first is warm-up."""
    on_gpu = setting.device.type == "cuda"
    steps, chunks = (CHUNK_STEPS, MIN_CHUNKS) if on_gpu else (1, 1)
    found: list[float] = []
    deadline: float | None = None
    while deadline is None or time.perf_counter() < deadline or len(found) < chunks:
        began = time.perf_counter()
        for _ in range(steps):
            step()
        if on_gpu:
            torch.cuda.synchronize()
        ended = time.perf_counter()
        if deadline is None:
            deadline = ended + setting.seconds
        else:
            found.append(1000 * (ended - began) / steps)
    return Spread.of(found)


if __name__ == "__main__":
    main()
