"""What it takes to change each image before mixing (``combine``), beside a copy of the images.

Run::

    python benchmarks/combine_cost.py [--rounds 15] [--json PATH]

Timed is drawing and changing a batch of bytes; ``random_erasing`` is timed on normalised images, as it is trained with.
``v2, image by image`` is torchvision's transform in a loop over the batch, which is what a step would take without the
operations of `augment.image_ops`. The contestants take turns.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from figures import Spread, origin, say, show, write_json
from torchvision.transforms import v2

from augment import SINGLE_IMAGES

SHAPES = [(128, 3, 32, 32), (32, 3, 224, 224)]


def main() -> None:
    """Time every contestant at every shape and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="per contestant and shape (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures there, too")
    arguments = parser.parse_args()
    source = origin() | {"threads": torch.get_num_threads()}
    tables = {}
    for shape in SHAPES:
        title = f"uint8 {'x'.join(map(str, shape))}"
        say(title)
        tables[title] = race(contestants(shape), arguments.rounds)
        show(f"\n{title}: ms", tables[title], digits=2, notes=())
    print(", ".join(f"{name} {value}" for name, value in source.items()))
    if arguments.json is not None:
        write_json(arguments.json, source=source, ms=tables)


def contestants(shape: tuple[int, ...]) -> dict[str, Callable[[], object]]:
    """Return what is timed, by name."""
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8)
    images, generator = pixels.float(), torch.Generator().manual_seed(0)
    found: dict[str, Callable[[], object]] = {"copy of bytes": pixels.clone, "copy, normalised": images.clone}
    for name, make in SINGLE_IMAGES.items():
        single = make()
        given = images if single.is_normalized_first else pixels

        def change(single=single, given=given) -> object:  # type: ignore[no-untyped-def]
            return single.apply(given, single.draw(given.shape, generator=generator))

        found[name] = change
    theirs = v2.TrivialAugmentWide()
    found["trivial_augment: v2, image by image"] = lambda: [theirs(image) for image in pixels]
    return found


def race(steps: dict[str, Callable[[], object]], rounds: int) -> dict[str, Spread]:
    """Return the milliseconds of each."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()
    for _ in range(rounds):
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            times[name].append(1000 * (time.perf_counter() - started))
    return {name: Spread.of(values) for name, values in times.items()}


if __name__ == "__main__":
    main()
