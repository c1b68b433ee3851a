"""Which launch settings of the mixing kernels are fastest on this GPU.

Run, a minute on a GPU::

    python benchmarks/launch_settings.py [--seconds 0.05] [--json PATH]

The constants of `augment.kernel` follow from arithmetic; here each combination of them mixes 128 x 3 x 224 x 224 bytes
to bfloat16, as a training does, with N = 4 by the gather kernel and N = batch by the dense one. Shown are milliseconds
of the kernel, the fastest first, and how many times as fast they are as the present settings. What is fastest here is
written down, and not taken over: settings are chosen for all GPUs in use.

``--smoke`` runs one combination on the CPU, in Triton's interpreter.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import torch
from figures import Spread, origin, say, show, write_json

from augment import Normalization, draw_window, kernel, mix_pixels, sample_indices
from augment.weights import p_series_weights

SHAPE, SMOKE_SHAPE = (128, 3, 224, 224), (4, 3, 6, 6)
GATHER = {"GATHER_TILE": (512, 1024, 2048, 4096), "GATHER_WARPS": (2, 4, 8)}
DENSE = {"DENSE_SAMPLES": (64, 128), "DENSE_TILE": (32, 64, 128), "DENSE_WARPS": (4, 8), "DENSE_REGISTERS": (128, 168)}


def main() -> None:
    """Time every combination and print the fastest."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=0.05, help="for each combination (default: %(default)s)")
    parser.add_argument("--smoke", action="store_true", help="one combination, on the CPU")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures there, too")
    arguments = parser.parse_args()
    if not arguments.smoke and not torch.cuda.is_available():
        sys.exit("error: there is no CUDA device")
    source, tables = origin() | {"smoke": arguments.smoke}, dict[str, Any]()
    for name, choices, num_mixed in (("gather, N=4", GATHER, 4), ("dense, N=batch", DENSE, None)):
        say(name)
        for tables[name] in timed(choices, num_mixed, arguments):
            if arguments.json is not None:
                write_json(arguments.json, source=source, ms=tables)
        show_fastest(tables[name], smoke=arguments.smoke)


def timed(
    choices: Mapping[str, tuple[int, ...]], num_mixed: int | None, arguments: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """Yield, after each combination of settings, milliseconds of all so far, the fastest first, and why some cannot
    run.
    """
    step = make_step(SMOKE_SHAPE if arguments.smoke else SHAPE, num_mixed, on_cpu=arguments.smoke)
    present = {name: getattr(kernel, name) for name in choices}
    combinations = [dict(zip(choices, values, strict=True)) for values in product(*choices.values())]
    found, refused = {}, {}
    for settings in [present] if arguments.smoke else [present, *(each for each in combinations if each != present)]:
        title = title_of(settings)
        try:
            with set_to(settings):
                found[title] = Spread.of(milliseconds(step, arguments))
        except Exception as error:  # noqa: BLE001 - too many registers or too much shared memory is a result, too
            refused[title] = f"{type(error).__name__}: {error}".splitlines()[0]
        ranked = dict(sorted(found.items(), key=lambda entry: entry[1].median))
        yield {"present": present, "ranked": ranked, "refused": refused}


def show_fastest(table: dict[str, Any], *, smoke: bool) -> None:
    """Print the five fastest, and how they compare with the present settings."""
    ranked: dict[str, Spread] = table["ranked"]
    present = ranked.get(title_of(table["present"]))
    notes = []
    if present is not None and not smoke:
        times = present.median / next(iter(ranked.values())).median
        notes.append(f"the fastest is {times:.2f} times as fast as the present settings")
    show("ms", dict(list(ranked.items())[:5]), digits=4, notes=notes)


def title_of(settings: Mapping[str, int]) -> str:
    """Return settings in words."""
    return ", ".join(f"{name.lower()} {value}" for name, value in settings.items())


@contextmanager
def set_to(settings: Mapping[str, int]) -> Iterator[None]:
    """Have the kernels launched so."""
    before = {name: getattr(kernel, name) for name in settings}
    try:
        for name, value in settings.items():
            setattr(kernel, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(kernel, name, value)


def make_step(shape: tuple[int, ...], num_mixed: int | None, *, on_cpu: bool) -> Any:
    """Return what mixes a batch, from bytes to bfloat16."""
    device = torch.device("cpu" if on_cpu else "cuda")
    generator = torch.Generator(device).manual_seed(0)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator, device=device)
    num_mixed = num_mixed or shape[0]
    indices = sample_indices(shape[0], num_mixed, generator=generator)
    weights = p_series_weights(num_mixed, 2.8, device=device)
    window = draw_window(shape[0], crop_padding=2, hflip=True, generator=generator)
    normalization = Normalization((0.5,) * 3, (0.25,) * 3, device=device)
    return lambda: mix_pixels(
        pixels, indices, weights, window=window, normalization=normalization, dtype=torch.bfloat16, backend="triton"
    )


def milliseconds(step: Any, arguments: argparse.Namespace) -> list[float]:
    """Return how long the step takes, each time with the GPU's cache emptied."""
    if arguments.smoke:
        began = time.perf_counter()
        step()
        return [1000 * (time.perf_counter() - began)]
    from triton.testing import do_bench

    found: list[float] = do_bench(step, warmup=20, rep=1000 * arguments.seconds, return_mode="all")
    return found


if __name__ == "__main__":
    main()
