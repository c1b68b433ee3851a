"""What our modules take in place of torchvision's ``v2.MixUp`` and ``v2.CutMix``.

Run::

    export MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=4294967296
    python benchmarks/drop_in.py [--pairs 200] [--rounds 5] [--json PATH]

The two variables have memory kept between calls. Without them each result at 224 px is memory that the system hands out
anew or not, by what was freed before: that is more than the mixing, and changes sides from run to run.

Bars, on a CPU at 224 px, each against what it takes the place of (CutMix of ``v2.CutMix``, all others of ``v2.MixUp``):

* ``module``: a call with images and labels takes at most 1.3 times as long. The two take turns, so that slow changes of
  the machine hit both; the quotient is that of each pair, and its quantiles are shown.
* ``loop``: a pass of the loop of torchvision's references, ResNet-18 with batches of 32 mixed in ``collate_fn``, takes
  at most 1.3 times as long with the one line changed. All take turns; the quotient is that of each round.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from figures import Spread, origin, say, show, write_json
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, default_collate
from torchvision.models import resnet18
from torchvision.transforms import v2

from augment.modules import CutMix, MixUp, ZetaMixup

NUM_CLASSES, LIMIT = 10, 1.3
SHAPES = [(128, 3, 32, 32), (32, 3, 224, 224)]
LOOP, NUM_BATCHES = "loop of 3 batches, float32 32x3x224x224", 3

Module = Callable[..., Any]


def main() -> None:
    """Time the pairs and print the figures with the bars."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=200, help="per module and shape (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="of passes of the loop (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures there, too")
    arguments = parser.parse_args()
    source = origin() | {
        "threads": torch.get_num_threads(),
        "kept_memory": {name: os.environ.get(name) for name in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")},
    }
    tables: dict[str, dict[str, Spread]] = {}
    quotients: dict[str, dict[str, Spread]] = {}
    for shape in SHAPES:
        title = f"module, float32 {'x'.join(map(str, shape))}"
        say(title)
        tables[title], quotients[title] = race(shape, arguments.pairs)
    say(LOOP)
    tables[LOOP], quotients[LOOP] = race_of_loops(arguments.rounds)
    for title in tables:
        show(f"\n{title}: ms", tables[title], digits=3, notes=())
        show(f"\n{title}: times its rival", quotients[title], digits=2, notes=())
    bars = {
        f"{title}: {name} {spread.median:.2f} times, at most {LIMIT}": spread.median <= LIMIT
        for title, table in quotients.items()
        for name, spread in table.items()
        if title.endswith("x224x224")
    }
    for bar, is_met in bars.items():
        print(f"{'met' if is_met else 'NOT met':>8}: {bar}")
    print(", ".join(f"{name} {value}" for name, value in source.items()))
    if arguments.json is not None:
        write_json(arguments.json, source=source, ms=tables, times_rival=quotients, bars=bars)


def contestants() -> tuple[dict[str, Module], dict[str, tuple[Module, str]]]:
    """Return torchvision's modules by name, and ours, each with the name of what it takes the place of."""
    mixup, cutmix = v2.MixUp(alpha=0.2, num_classes=NUM_CLASSES), v2.CutMix(num_classes=NUM_CLASSES)
    return {"v2.MixUp": mixup, "v2.CutMix": cutmix}, {
        "MixUp": (MixUp(alpha=0.2, num_classes=NUM_CLASSES), "v2.MixUp"),
        "MixUp per sample": (MixUp(alpha=0.2, num_classes=NUM_CLASSES, per="sample"), "v2.MixUp"),
        "CutMix": (CutMix(num_classes=NUM_CLASSES), "v2.CutMix"),
        "ZetaMixup N=4": (ZetaMixup(2.8, 4, num_classes=NUM_CLASSES), "v2.MixUp"),
        "ZetaMixup N=batch": (ZetaMixup(2.8, num_classes=NUM_CLASSES), "v2.MixUp"),
    }


def race(shape: tuple[int, ...], num_pairs: int) -> tuple[dict[str, Spread], dict[str, Spread]]:
    """Return milliseconds of a call, and quotients of pairs, by module."""
    images, labels = torch.rand(shape), torch.randint(NUM_CLASSES, shape[:1])
    theirs, ours = contestants()
    times: dict[str, list[float]] = {name: [] for name in (*theirs, *ours)}
    quotients: dict[str, list[float]] = {f"{name} / {rival}": [] for name, (_, rival) in ours.items()}
    for module in (*theirs.values(), *(module for module, _ in ours.values())):
        module(images, labels)
    for _ in range(num_pairs):
        for name, (module, rival) in ours.items():
            mine, other = (timed(lambda: each(images, labels)) for each in (module, theirs[rival]))  # noqa: B023
            times[name].append(mine)
            times[rival].append(other)
            quotients[f"{name} / {rival}"].append(mine / other)
    return _spreads(times), _spreads(quotients)


def race_of_loops(num_rounds: int) -> tuple[dict[str, Spread], dict[str, Spread]]:
    """Return milliseconds of a pass of the training loop, and quotients of rounds, by module."""
    images = torch.rand(32 * NUM_BATCHES, 3, 224, 224)
    data = TensorDataset(images, torch.randint(NUM_CLASSES, (len(images),)))
    model = resnet18(num_classes=NUM_CLASSES)
    criterion, optimizer = nn.CrossEntropyLoss(), torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def one_pass(mixing: Module) -> None:
        loader = DataLoader(data, batch_size=32, collate_fn=lambda samples: mixing(*default_collate(samples)))
        for batch, targets in loader:
            loss = criterion(model(batch), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    theirs, ours = contestants()
    everyone = theirs | {name: module for name, (module, _) in ours.items()}
    one_pass(theirs["v2.MixUp"])
    times: dict[str, list[float]] = {name: [] for name in everyone}
    for _ in range(num_rounds):
        for name, module in everyone.items():
            times[name].append(timed(lambda: one_pass(module)))  # noqa: B023
    quotients = {
        f"{name} / {rival}": [mine / other for mine, other in zip(times[name], times[rival], strict=True)]
        for name, (_, rival) in ours.items()
    }
    return _spreads(times), _spreads(quotients)


def timed(call: Callable[[], None]) -> float:
    """Return how many milliseconds a call takes."""
    started = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - started)


def _spreads(table: Mapping[str, list[float]]) -> dict[str, Spread]:
    return {name: Spread.of(values) for name, values in table.items()}


if __name__ == "__main__":
    main()
