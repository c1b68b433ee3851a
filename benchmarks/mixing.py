"""Claim: mixing a batch costs little more than copying it, whatever the number of samples mixed.

Run, 4 minutes on 2 cores::

    python benchmarks/mixing.py [--device cuda] [--seconds 1.0] [--crossover] [--json PATH]

Bars on a CPU, float32: with N ≤ 8 ζ-mixup takes at most 1.3 times as long as torchvision's ``v2.MixUp`` at every shape
and less at 224 px; with N = batch it is at least 1.5 times as fast as the authors' algorithm at 128 x 3 x 32 x 32 and
never slower; beside its input and its result it needs the memory of one batch at most. Bars on a GPU,
128 x 3 x 224 x 224 bytes to bfloat16 channels_last: at most 1.3 times a copy of the same bytes with N = 4 and
N = batch; at least 5 times as fast as the usual chain, and 20 times as fast as the authors' algorithm.

What is timed is a whole step: drawing, mixing the images, mixing the labels; ``mix_pixels`` alone is the part that a
copy is the floor of. The rivals, in the same run:

* ``copy``: reading and writing the same bytes, the floor.
* ``authors``: ranks drawn by NumPy on the host and rotated through an FFT, weights copied to the device, ``einsum``
  (the method of github.com/kakumarabhishek/zeta-mixup at dab71b9, written anew).
* ``v2.MixUp``, ``timm Mixup``: two samples. timm's needs the package timm; without it the row is missing.
* ``product``: one matrix product with a weight matrix that is there already (cuBLAS on a GPU, BLAS on a CPU).
* ``compiled``: `augment.mix` in plain PyTorch under ``torch.compile``, N = batch.
* ``usual chain``, for pixels: to float, crop, mirror, normalise, ``v2.MixUp``, cast, channels_last.

On a CPU the contestants take turns, so that slow changes of the machine hit all of them; on a GPU
``triton.testing.do_bench`` times each with the cache emptied before every call. ``--crossover`` times the two ways of
mixing on this device against each other instead, over N.
"""

from __future__ import annotations

import argparse
import importlib
import platform
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from figures import Spread, origin, say, show, write_json
from torch import Tensor
from torchvision.transforms import v2

from augment import Normalization, ZetaMixup, cut, draw_window, mix, mixing, mixing_matrix, one_hot
from augment.weights import p_series_weights, sample_indices

GAMMA, NUM_CLASSES, CROP_PADDING = 2.8, 10, 4
MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)
SHAPES = [(128, 3, 32, 32), (32, 3, 224, 224), (128, 3, 224, 224)]
TINY = (32, 3, 8, 8)
NUMS_MIXED = (2, 4, 8)

Step = Callable[[], Any]


def main() -> None:
    """Time every contestant at every shape and print the figures with the bars."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"], help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=1.0, help="per contestant and shape (default: %(default)s)")
    parser.add_argument("--crossover", action="store_true", help="time gathering against the product, over N")
    parser.add_argument("--smoke", action="store_true", help="one tiny shape: shows that all run, and measures nothing")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures there, too")
    arguments = parser.parse_args()
    if arguments.smoke:
        SHAPES[:], arguments.seconds = [TINY], 0.0
    device = torch.device(arguments.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit("error: --device cuda: there is no CUDA device")
    source = origin() | {"device": device_name(device), "threads": torch.get_num_threads(), "smoke": arguments.smoke}

    def keep(tables: dict[str, dict[str, Spread]], verdicts: dict[str, bool]) -> None:
        if arguments.json is not None:
            write_json(arguments.json, source=source, ms=tables, bars=verdicts)

    timer = Timer(device, arguments.seconds, keep=keep)
    if arguments.crossover:
        tables, verdicts = crossover(timer), dict[str, bool]()
    else:
        tables, verdicts = race(timer)
    if arguments.smoke:
        verdicts = {}
    for verdict, fulfilled in verdicts.items():
        print(f"{'met' if fulfilled else 'NOT met':>8}: {verdict}")
    print(", ".join(f"{name} {value}" for name, value in source.items()))
    keep(tables, verdicts)


class Timer:
    """Times contestants on one device.

    Args:
        device: Which.
        seconds: Per contestant.
        keep: Takes all that was timed so far, and `bars`, after each figure.

    Attributes:
        bars: Which are met, as far as that is known.
    """

    def __init__(
        self,
        device: torch.device,
        seconds: float,
        *,
        keep: Callable[[dict[str, dict[str, Spread]], dict[str, bool]], None],
    ) -> None:
        self.device, self._seconds, self._keep = device, seconds, keep
        self._tables: dict[str, dict[str, Spread]] = {}
        self.bars: dict[str, bool] = {}

    def __call__(self, title: str, contestants: dict[str, Step]) -> dict[str, Spread]:
        """Return the milliseconds of each contestant, and print them."""
        say(title)
        times = self._tables[title] = {}
        for name, spread in self._on_gpu(contestants) if self.device.type == "cuda" else self._in_turns(contestants):
            times[name] = spread
            self._keep(self._tables, self.bars)
        show(f"\n{title}: ms", times, digits=3, notes=())
        return times

    def _in_turns(self, contestants: dict[str, Step]) -> Iterator[tuple[str, Spread]]:
        calls = {}
        for name, step in contestants.items():
            step()
            started = time.perf_counter()
            step()
            # A measurement of 5 ms or more: the clock and the switch of contestants then do not count.
            calls[name] = max(1, round(0.005 / (time.perf_counter() - started)))
        times: dict[str, list[float]] = {name: [] for name in contestants}
        deadline = time.perf_counter() + self._seconds * len(contestants)
        while time.perf_counter() < deadline or len(times[next(iter(times))]) < 5:
            for name, step in contestants.items():
                step()
                started = time.perf_counter()
                for _ in range(calls[name]):
                    step()
                times[name].append(1000 * (time.perf_counter() - started) / calls[name])
        yield from ((name, Spread.of(values)) for name, values in times.items())

    def _on_gpu(self, contestants: dict[str, Step]) -> Iterator[tuple[str, Spread]]:
        from triton.testing import do_bench

        for name, step in contestants.items():
            yield name, Spread.of(do_bench(step, warmup=100, rep=1000 * self._seconds, return_mode="all"))


def race(timer: Timer) -> tuple[dict[str, dict[str, Spread]], dict[str, bool]]:
    """Return the figures of every shape and which bars are met."""
    tables: dict[str, dict[str, Spread]] = {}
    verdicts: dict[str, bool] = {}
    # The table that the bars of a GPU need comes first: there is little time there.
    title = f"uint8 {'x'.join(map(str, SHAPES[-1]))} to bfloat16 channels_last"
    tables[title] = timer(title, pixel_contestants(SHAPES[-1], timer.device))
    if timer.device.type == "cuda":
        verdicts |= gpu_bars(title, tables[title])
        timer.bars = verdicts
    for shape in SHAPES:
        title = f"float32 {'x'.join(map(str, shape))}"
        tables[title] = timer(title, float_contestants(shape, timer.device))
        if timer.device.type == "cpu":
            verdicts |= cpu_bars(title, shape, tables[title])
    if timer.device.type == "cpu":
        verdicts |= memory_bars()
    return tables, verdicts


def cpu_bars(title: str, shape: tuple[int, ...], table: dict[str, Spread]) -> dict[str, bool]:
    """Return the bars of a CPU at one shape."""
    ms = {name: spread.median for name, spread in table.items()}
    verdicts = {}
    limit = 1.3 if shape[-1] < 224 else 1.0
    for num_mixed in NUMS_MIXED:
        ratio = ms[f"zeta_mixup N={num_mixed}"] / ms["v2.MixUp"]
        verdicts[f"{title}: N={num_mixed} takes {ratio:.2f} times as long as v2.MixUp, at most {limit}"] = (
            ratio <= limit
        )
    ratio, least = ms["authors"] / ms["zeta_mixup N=batch"], 1.5 if shape[-1] == 32 else 1.0
    verdicts[f"{title}: N=batch is {ratio:.2f} times as fast as the authors' algorithm, at least {least}"] = (
        ratio >= least
    )
    return verdicts


def gpu_bars(title: str, table: dict[str, Spread]) -> dict[str, bool]:
    """Return the bars of a GPU."""
    ms = {name: spread.median for name, spread in table.items()}
    verdicts = {}
    for num_mixed in ("4", "batch"):
        # A copy draws nothing and has no labels, the others do.
        for ours, rival, most in (
            ("mix_pixels", "copy", 1.3),
            ("step", "usual chain", 1 / 5),
            ("step", "authors", 1 / 20),
        ):
            ratio = ms[f"{ours} N={num_mixed}"] / ms[rival]
            verdicts[f"{title}: {ours} N={num_mixed} takes {ratio:.3f} of {rival}, at most {most:.2f}"] = ratio <= most
    return verdicts


def memory_bars() -> dict[str, bool]:
    """Return whether mixing needs no more memory than one batch beside its input and its result."""
    verdicts = {}
    for shape in SHAPES:
        images, labels, generator = make_batch(shape, torch.device("cpu"))
        for num_mixed in (4, shape[0]):
            peak = peak_bytes(zeta_step(images, labels, generator, num_mixed)) / images.nbytes
            text = f"{'x'.join(map(str, shape))}, N={num_mixed}: peak memory beside the input {peak:.3f} batches"
            verdicts[f"{text}, of which 1 is the result; at most 2"] = peak <= 2
    return verdicts


def peak_bytes(step: Step) -> int:
    """Return the most memory that was allocated at a time while `step` ran, its result included."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
        kept = step()
    del kept
    peak = now = 0
    for event in profiler.profiler.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            peak = max(peak, now)
    return peak


def make_batch(shape: tuple[int, ...], device: torch.device) -> tuple[Tensor, Tensor, torch.Generator]:
    """Return noise, labels and a generator on `device`."""
    generator = torch.Generator(device).manual_seed(0)
    images = torch.randn(shape, generator=generator, device=device)
    return images, torch.randint(NUM_CLASSES, (shape[0],), generator=generator, device=device), generator


def zeta_step(images: Tensor, labels: Tensor, generator: torch.Generator, num_mixed: int) -> Step:
    """Return ζ-mixup as a training calls it."""
    augmentation = ZetaMixup(gamma=GAMMA, num_mixed=num_mixed)
    return lambda: augmentation(images, labels, num_classes=NUM_CLASSES, generator=generator)


def float_contestants(shape: tuple[int, ...], device: torch.device) -> dict[str, Step]:
    """Return the contestants that mix normalised images."""
    images, labels, generator = make_batch(shape, device)
    batch_size = shape[0]
    indices = sample_indices(batch_size, batch_size, generator=generator)
    weights = p_series_weights(batch_size, GAMMA, device=device)
    matrix = mixing_matrix(indices, weights, batch_size)
    torchvisions = v2.MixUp(num_classes=NUM_CLASSES)
    contestants: dict[str, Step] = {
        "copy": lambda: images.clone(),
        "v2.MixUp": lambda: torchvisions(images, labels),
        **timm_mixup(images, labels),
        "product": lambda: matrix @ images.view(batch_size, -1),
        "authors": lambda: authors_step(images, labels),
    }
    if has_compiler(device):
        compiled = torch.compile(lambda *arguments: mix(*arguments, backend="torch"))
        contestants["compiled"] = lambda: compiled(images, indices, weights)
    for num_mixed in NUMS_MIXED:
        contestants[f"zeta_mixup N={num_mixed}"] = zeta_step(images, labels, generator, num_mixed)
    contestants["zeta_mixup N=batch"] = zeta_step(images, labels, generator, batch_size)
    return contestants


def pixel_contestants(shape: tuple[int, ...], device: torch.device) -> dict[str, Step]:
    """Return the contestants that make a training batch of raw images."""
    generator = torch.Generator(device).manual_seed(0)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator, device=device)
    labels = torch.randint(NUM_CLASSES, (shape[0],), generator=generator, device=device)
    normalization = Normalization(MEAN, STD, device=device)
    torchvisions = v2.MixUp(num_classes=NUM_CLASSES)
    written = torch.empty(shape, dtype=torch.bfloat16, device=device, memory_format=torch.channels_last)
    in_order = pixels.to(memory_format=torch.channels_last)

    def window() -> Any:
        return draw_window(shape[0], crop_padding=CROP_PADDING, hflip=True, generator=generator)

    def usual_chain() -> Any:
        images = cut(pixels.float().div_(255), window())
        images = v2.functional.normalize(images, list(MEAN), list(STD))
        mixed, targets = torchvisions(images, labels)
        return mixed.to(torch.bfloat16, memory_format=torch.channels_last), targets

    def authors() -> Any:
        mixed, targets = authors_step(normalization(cut(pixels, window())), labels)
        return mixed.to(torch.bfloat16, memory_format=torch.channels_last), targets

    def ours(num_mixed: int) -> Step:
        augmentation = ZetaMixup(gamma=GAMMA, num_mixed=num_mixed)
        return lambda: augmentation.apply_to_pixels(
            pixels,
            one_hot(labels, NUM_CLASSES),
            augmentation.draw(shape, generator=generator),
            window=window(),
            normalization=normalization,
            dtype=torch.bfloat16,
        )

    def kernel_alone(num_mixed: int) -> Step:
        indices = sample_indices(shape[0], num_mixed, generator=generator)
        weights = p_series_weights(num_mixed, GAMMA, device=device)
        fixed = window()
        return lambda: mixing.mix_pixels(
            pixels, indices, weights, window=fixed, normalization=normalization, dtype=torch.bfloat16
        )

    contestants: dict[str, Step] = {
        # Bytes in, bfloat16 out, both in the same order: what must be read and written, and nothing else.
        "copy": lambda: written.copy_(in_order),
        "usual chain": usual_chain,
        "authors": authors,
    }
    for name, num_mixed in (("4", 4), ("batch", shape[0])):
        contestants[f"mix_pixels N={name}"] = kernel_alone(num_mixed)
        contestants[f"step N={name}"] = ours(num_mixed)
    return contestants


def authors_step(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return images and targets mixed by the authors' algorithm."""
    weights = authors_weights(images.shape[0]).to(images.device)
    targets = torch.nn.functional.one_hot(labels, NUM_CLASSES).float()
    return torch.einsum("ijkl,pi->pjkl", images, weights), torch.einsum("pq,qj->pj", weights, targets)


def authors_weights(batch_size: int) -> Tensor:
    """Return the weight matrix as the authors draw it, on the host."""
    ranks = 1 + np.argsort(np.random.rand(batch_size, batch_size), axis=1)
    shift = np.nonzero(ranks == 1)[1] - np.arange(batch_size)
    phase = np.exp(2j * np.pi / batch_size * np.outer(shift, np.arange(batch_size)))
    rotated = np.fft.ifft(np.fft.fft(ranks, axis=1) * phase, axis=1).round().real
    weights = torch.from_numpy(rotated).float().pow(GAMMA).reciprocal()
    return weights / weights.sum(1)


def timm_mixup(images: Tensor, labels: Tensor) -> dict[str, Step]:
    """Return timm's contestant, if timm is installed; it mixes in place."""
    try:
        from timm.data.mixup import Mixup
    except ImportError:
        return {}
    mixup = Mixup(mixup_alpha=1.0, label_smoothing=0.0, num_classes=NUM_CLASSES)
    scratch = images.clone()
    return {"timm Mixup": lambda: mixup(scratch, labels)}


def crossover(timer: Timer) -> dict[str, dict[str, Spread]]:
    """Return the figures of both ways of mixing, over N."""
    tables = {}
    for shape in SHAPES:
        title = f"gather or product, {'x'.join(map(str, shape))}"
        tables[title] = timer(title, crossover_contestants(shape, timer.device))
    return tables


def crossover_contestants(shape: tuple[int, ...], device: torch.device) -> dict[str, Step]:
    """Return both ways of mixing for a range of N: on a CPU PyTorch's two, on a GPU the two kernels."""
    images, _, generator = make_batch(shape, device)
    contestants: dict[str, Step] = {}
    for num_mixed in (2, 4, 6, 8, 12, 16, 24, 32):
        indices = sample_indices(shape[0], num_mixed, generator=generator)
        weights = p_series_weights(num_mixed, GAMMA, device=device)
        step = crossover_step(images, indices, weights)
        for name, limit in (("gather", 1000), ("product", 0)):
            contestants[f"{name} N={num_mixed}"] = limited(step, device, limit)
    return contestants


def crossover_step(images: Tensor, indices: Tensor, weights: Tensor) -> Step:
    """Return what a training does: on a CPU it mixes normalised images, on a GPU raw ones."""
    if images.device.type == "cpu":
        return lambda: mix(images, indices, weights)
    pixels = (images * 50 + 128).clamp(0, 255).to(torch.uint8)
    normalization = Normalization(MEAN, STD, device=images.device)
    return lambda: mixing.mix_pixels(
        pixels, indices, weights, window=None, normalization=normalization, dtype=torch.bfloat16
    )


def limited(step: Step, device: torch.device, limit: int) -> Step:
    """Return `step` with the constant that chooses between the two ways set to `limit` while it runs."""
    module, name = ("mixing", "DENSE_FROM") if device.type == "cpu" else ("kernel", "GATHER_MAX_NUM_MIXED")
    owner = importlib.import_module(f"augment.{module}")

    def run() -> Any:
        kept = getattr(owner, name)
        setattr(owner, name, limit)
        try:
            return step()
        finally:
            setattr(owner, name, kept)

    return run


def has_compiler(device: torch.device) -> bool:
    """Return whether ``torch.compile`` can make code here: on a CPU it needs a C++ compiler."""
    from shutil import which

    return device.type == "cuda" or any(which(name) for name in ("g++", "clang++"))


def device_name(device: torch.device) -> str:
    """Return what the figures are about."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()


if __name__ == "__main__":
    main()
