"""What our modules take in place of torchvision's ``v2.MixUp``.

Run::

    python benchmarks/drop_in.py [--pairs 40] [--json PATH]

Bar, on a CPU: at 224 px each takes at most 1.3 times as long as ``v2.MixUp``. What is timed is a call with images and
labels, in pairs: ours, then torchvision's, so that slow changes of the machine hit both. The quotient is that of each
pair; its quartiles are shown.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from figures import Spread, origin, say, show, write_json
from torchvision.transforms import v2

from augment.modules import CutMix, MixUp, ZetaMixup

NUM_CLASSES, LIMIT = 10, 1.3
SHAPES = [(128, 3, 32, 32), (32, 3, 224, 224)]

Module = Callable[..., Any]


def main() -> None:
    """Time the pairs and print the figures with the bars."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=40, help="per module and shape (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures there, too")
    arguments = parser.parse_args()
    source = origin() | {"threads": torch.get_num_threads()}
    tables: dict[str, dict[str, Spread]] = {}
    quotients: dict[str, dict[str, Spread]] = {}
    for shape in SHAPES:
        title = f"float32 {'x'.join(map(str, shape))}"
        say(title)
        tables[title], quotients[title] = race(shape, arguments.pairs)
        show(f"\n{title}: ms", tables[title], digits=3, notes=())
        show(f"\n{title}: times v2.MixUp", quotients[title], digits=2, notes=())
    bars = {
        f"{title}: {name} takes {spread.median:.2f} times as long as v2.MixUp, at most {LIMIT}": spread.median <= LIMIT
        for title, table in quotients.items()
        for name, spread in table.items()
        if title.endswith("x224x224")
    }
    for bar, is_met in bars.items():
        print(f"{'met' if is_met else 'NOT met':>8}: {bar}")
    print(", ".join(f"{name} {value}" for name, value in source.items()))
    if arguments.json is not None:
        write_json(arguments.json, source=source, ms=tables, times_v2_mixup=quotients, bars=bars)


def race(shape: tuple[int, ...], num_pairs: int) -> tuple[dict[str, Spread], dict[str, Spread]]:
    """Return milliseconds, and quotients of pairs, by module."""
    images, labels = torch.rand(shape), torch.randint(NUM_CLASSES, shape[:1])
    theirs = v2.MixUp(alpha=0.2, num_classes=NUM_CLASSES)
    ours: dict[str, Module] = {
        "MixUp": MixUp(alpha=0.2, num_classes=NUM_CLASSES),
        "MixUp per sample": MixUp(alpha=0.2, num_classes=NUM_CLASSES, per="sample"),
        "CutMix": CutMix(num_classes=NUM_CLASSES),
        "ZetaMixup N=4": ZetaMixup(2.8, 4, num_classes=NUM_CLASSES),
        "ZetaMixup N=batch": ZetaMixup(2.8, num_classes=NUM_CLASSES),
    }
    times: dict[str, list[float]] = {"v2.MixUp": [], **{name: [] for name in ours}}
    quotients: dict[str, list[float]] = {name: [] for name in ours}
    for module in (theirs, *ours.values()):
        module(images, labels)
    for _ in range(num_pairs):
        for name, module in ours.items():
            mine, other = (timed(each, images, labels) for each in (module, theirs))
            times[name].append(mine)
            times["v2.MixUp"].append(other)
            quotients[name].append(mine / other)
    return tuple({name: Spread.of(values) for name, values in table.items()} for table in (times, quotients))  # type: ignore[return-value]


def timed(module: Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Return how many milliseconds a call takes."""
    started = time.perf_counter()
    module(images, labels)
    return 1000 * (time.perf_counter() - started)


if __name__ == "__main__":
    main()
