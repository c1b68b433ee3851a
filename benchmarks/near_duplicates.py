"""Claim: ``data check`` lists most pictures that stand in training and test, and hardly any other.

Run, some minutes on 2 cores::

    python benchmarks/near_duplicates.py --images DIR [--part judged|changed] [--json PATH]
    python benchmarks/near_duplicates.py --torchvision cifar100 --data-dir DIR --cifair duplicates_cifar100.csv

``DIR`` holds CIFAR-10 as {train,test}/CLASS/FILE, or what torchvision reads. Bar: of the test images that have the same
picture in training at least 0.85 are listed, and of those listed at least 0.95 have one.

* ``judged``: the test images listed, against pairs that somebody looked at. ``--images``: ``cifar10_judged.csv``, one
  judge; what was looked at was found by three ways (this search before and after it was mended, and the nearest by
  learned patches of 6 px), so that recall is of their union. An image listed without a pair judged the same counts as
  wrong, also where nobody looked at its pairs: few for this search, many for the loose hashes. ``--cifair``: the lists
  of Barz and Denzler (github.com/cvjena/cifair, ``meta``), where 0 and 1 are the same picture and 2 is a similar one,
  told apart; they are of the nearest training image by a network, so that more is no error: no precision is told.
* ``changed``: images of the training set, each changed and searched for among many: the recall of each kind of change,
  and the pairs found that the unchanged images do not have.

Beside it, in the same run, the hashes of the package imagehash (without it the rows are missing), each image compared
mirrored, too: two are one picture where at most so many of their bits differ.
"""

from __future__ import annotations

import argparse
import csv
import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from figures import origin, say, write_json
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from orchestrator.data.duplicates import fingerprints, near_pairs
from orchestrator.data.loading import split_samples
from orchestrator.data.sets.image_folder import open_image_folder

JUDGED = Path(__file__).with_name("cifar10_judged.csv")
MIN_RECALL, MIN_PRECISION = 0.85, 0.95
HASHES = {"phash": (0, 2, 4, 6, 8, 10), "dhash": (0, 2, 4, 6, 8, 10)}
SAME, SIMILAR = "same", "similar"
OURS = "data check"

Pixels = NDArray[np.uint8]
"""[n, H, W, 3]"""
Pairs = NDArray[np.int64]
"""[k, 2]: rows of the training images and of the test images."""


@dataclass(frozen=True)
class Judged:
    """The images, and what is known of pairs of them."""

    train: Pixels
    test: Pixels
    pairs: dict[str, Pairs]


def main() -> None:
    """Measure both parts, or what was asked for, and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, metavar="DIR", help="CIFAR-10 as {train,test}/CLASS/FILE")
    parser.add_argument("--torchvision", choices=["cifar10", "cifar100"], help="read torchvision's files instead")
    parser.add_argument("--data-dir", type=Path, help="where these are")
    parser.add_argument("--cifair", type=Path, metavar="CSV", help="ciFAIR's list for them")
    parser.add_argument("--part", choices=["judged", "changed"], action="append", help="only this one")
    parser.add_argument("--num-changed", type=int, default=500, help="images that are changed (default: %(default)s)")
    parser.add_argument("--among", type=int, default=10_000, help="images searched (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures there, too")
    arguments = parser.parse_args()
    if (arguments.images is None) == (arguments.torchvision is None):
        parser.error("name either --images or --torchvision")
    if arguments.torchvision and not (arguments.data_dir and arguments.cifair):
        parser.error("--torchvision needs --data-dir and --cifair")
    source = origin()
    judged = from_folder(arguments.images) if arguments.images else from_torchvision(arguments)
    finders = {OURS: ours, **hash_finders()}
    figures: dict[str, Any] = {}
    if "judged" in (arguments.part or ["judged"]):
        figures["judged"] = judged_figures(judged, finders, complete=arguments.cifair is None)
    if "changed" in (arguments.part or ["changed"]):
        figures["changed"] = changed_figures(judged.train, finders, arguments.num_changed, arguments.among)
    print(", ".join(f"{key} {value}" for key, value in source.items()))
    if arguments.json is not None:
        write_json(arguments.json, source=source, **figures)


def from_folder(root: Path) -> Judged:
    """CIFAR-10 as PNG files, whose names are those of the original."""
    parts = split_samples(open_image_folder(root), val_fraction=0.1, num_train=None)
    pixels, rows = {}, {}
    for split, names in (("train", ("train", "val")), ("test", ("test",))):
        samples = [(parts[name][0], parts[name][1]) for name in names]
        pixels[split] = np.concatenate([channels_last(of.read(indices, None)) for of, indices in samples])
        ids = [of.ids[index] for of, indices in samples for index in indices]
        rows[split] = {name.removeprefix(f"{split}/"): row for row, name in enumerate(ids)}
    with JUDGED.open(newline="", encoding="utf-8") as table:
        judged = [pair for pair in csv.DictReader(table) if pair["same"] == "1"]
    same = [(rows["train"][pair["train"]], rows["test"][pair["test"]]) for pair in judged]
    return Judged(pixels["train"], pixels["test"], {SAME: np.array(same)})


def from_torchvision(arguments: argparse.Namespace) -> Judged:
    """In the original's order, by which ciFAIR's lists count."""
    from torchvision import datasets

    kind = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[arguments.torchvision]
    train, test = (kind(arguments.data_dir, train=train).data for train in (True, False))
    found: dict[str, list[tuple[int, int]]] = {SAME: [], SIMILAR: []}
    with arguments.cifair.open(newline="", encoding="utf-8") as table:
        for pair in csv.DictReader(table):
            judgement = SIMILAR if pair["Judgment"] == "2" else SAME
            found[judgement].append((int(pair["TrainID"]), int(pair["TestID"])))
    return Judged(train, test, {judgement: np.array(pairs).reshape(-1, 2) for judgement, pairs in found.items()})


def channels_last(images: torch.Tensor) -> Pixels:
    """Return uint8 [n, C, H, W] as pixels."""
    return np.ascontiguousarray(images.numpy().transpose(0, 2, 3, 1))


Finder = Callable[[Pixels, Pixels], dict[str, Pairs]]
"""Returns the pairs found for each setting."""


def ours(train: Pixels, test: Pixels) -> dict[str, Pairs]:
    """Search as ``data check`` does."""
    left, right = (fingerprints(torch.from_numpy(np.ascontiguousarray(p.transpose(0, 3, 1, 2)))) for p in (train, test))
    return {"": near_pairs(left.thumbnails, right.thumbnails).rows}


def hash_finders() -> dict[str, Finder]:
    """One for each kind of hash, if the package is there."""
    try:
        import imagehash
    except ImportError:
        say("imagehash is not installed: its rows are missing")
        return {}
    kinds = {"phash": imagehash.phash, "dhash": imagehash.dhash}

    def finder(name: str) -> Finder:
        def bits(pixels: Pixels) -> NDArray[np.float32]:
            hashes = [kinds[name](Image.fromarray(image)).hash.ravel() for image in pixels]
            return np.stack(hashes).astype(np.float32) * 2 - 1

        def find(train: Pixels, test: Pixels) -> dict[str, Pairs]:
            known, pairs, bits_differ = bits(train), [], []
            for queries in (bits(test), bits(test[:, :, ::-1])):
                for start in range(0, len(queries), 500):
                    differ = (known.shape[1] - queries[start : start + 500] @ known.T) / 2
                    rows, others = np.nonzero(differ <= HASHES[name][-1])
                    pairs.append(np.stack([others, rows + start], axis=1))
                    bits_differ.append(differ[rows, others])
            every, limits = np.concatenate(pairs), np.concatenate(bits_differ)
            return {f"at most {most}": np.unique(every[limits <= most], axis=0) for most in HASHES[name]}

        return find

    return {name: finder(name) for name in HASHES}


@dataclass(frozen=True)
class Listed:
    """What one way to search lists.

    Attributes:
        pairs: How many.
        images: How many test images stand in one.
        recall: Of the test images with a pair of each judgement in training, the share listed.
        precision: Of the test images listed, the share that has the same picture in training; None where not all known.
        cpu_s: For all settings together.
    """

    pairs: int
    images: int
    recall: dict[str, float]
    precision: float | None
    cpu_s: float

    @property
    def meets_the_bar(self) -> bool:
        """Whether enough is found and little else."""
        return self.recall[SAME] >= MIN_RECALL and self.precision is not None and self.precision >= MIN_PRECISION


def judged_figures(judged: Judged, finders: dict[str, Finder], *, complete: bool) -> dict[str, Listed]:
    """What each way lists, held against the judgements; `complete` if what is not judged the same is wrong."""
    known = {kind: set(pairs[:, 1].tolist()) for kind, pairs in judged.pairs.items()}
    print("test images with one in training:", {kind: len(tests) for kind, tests in known.items()})
    figures = {}
    for name, finder in finders.items():
        say(f"judged: {name}")
        started = time.process_time()
        of_setting = finder(judged.train, judged.test)
        cpu_s = round(time.process_time() - started, 1)
        for setting, pairs in of_setting.items():
            images = set(pairs[:, 1].tolist())
            recall = {kind: round(len(images & tests) / len(tests), 3) for kind, tests in known.items()}
            precision = round(len(images & known[SAME]) / max(1, len(images)), 3) if complete else None
            listed = figures[f"{name} {setting}".strip()] = Listed(len(pairs), len(images), recall, precision, cpu_s)
            print(f"{name} {setting}".ljust(20), listed, flush=True)
    if complete:
        met = "met" if figures[OURS].meets_the_bar else "NOT met"
        print(f"bar: recall {MIN_RECALL}, precision {MIN_PRECISION}: {met}")
    return figures


def encoded(image: Image.Image, quality: int) -> Image.Image:
    """Return it as a JPEG file has it."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def resized(image: Image.Image, side: int) -> Image.Image:
    """Return it made smaller and enlarged again."""
    return image.resize((side, side), Image.Resampling.BILINEAR).resize(image.size, Image.Resampling.BILINEAR)


def cropped(image: Image.Image, left: float, top: float) -> Image.Image:
    """Return it without so many pixels at the left and at the top, enlarged."""
    box = (left, top, image.width, image.height)
    return image.resize(image.size, Image.Resampling.BILINEAR, box=box)


def shifted(image: Image.Image, px: int) -> Image.Image:
    """Return it moved to the right and down; its first row and column are repeated."""
    moved = np.pad(np.asarray(image), ((px, 0), (px, 0), (0, 0)), mode="edge")
    return Image.fromarray(moved[: image.height, : image.width])


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG, quality 60": lambda image: encoded(image, 60),
    "resized to a half and back": lambda image: resized(image, image.width // 2),
    "20 % brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "shifted by a pixel": lambda image: shifted(image, 1),
    "shifted by 3 pixels": lambda image: shifted(image, 3),
    "2 of 32 pixels cropped": lambda image: cropped(image, 2, 2),
    "4 of 32 pixels cropped": lambda image: cropped(image, 4, 4),
    "6 of 32 pixels cropped": lambda image: cropped(image, 6, 6),
    "turned by 3 degrees": lambda image: image.rotate(3, Image.Resampling.BILINEAR),
    "mirrored": ImageOps.mirror,
    "mirrored, JPEG, 2 of 32 cropped": lambda image: encoded(ImageOps.mirror(cropped(image, 2, 2)), 75),
    "upside down": ImageOps.flip,
}


def changed_figures(pixels: Pixels, finders: dict[str, Finder], num: int, among: int) -> dict[str, object]:
    """The recall of each change, and the pairs that the unchanged images do not have."""
    chosen = np.random.default_rng(0).permutation(len(pixels))[:among]
    known, originals = pixels[chosen], pixels[chosen[:num]]
    changed = [altered(originals, change) for change in CHANGES.values()]
    found: dict[str, object] = {}
    for name, finder in finders.items():
        say(f"changed: {name}")
        plain = finder(known, originals)
        every = finder(known, np.concatenate(changed))
        for setting, pairs in every.items():
            row, kind, original = pairs[:, 0], pairs[:, 1] // num, pairs[:, 1] % num
            hits = np.bincount(kind[row == original], minlength=len(CHANGES)) / num
            # Natural duplicates are no error of the search for changed ones.
            others = np.setdiff1d((row * num + original)[row != original], plain[setting] @ [num, 1])
            recalls = dict(zip(CHANGES, np.round(hits, 3).tolist(), strict=True))
            found[f"{name} {setting}".strip()] = {"recall": recalls, "other_pairs": len(others)}
            print(f"{name} {setting}".ljust(20), recalls, f"other pairs {len(others)}", flush=True)
    return found


def altered(pixels: Pixels, change: Callable[[Image.Image], Image.Image]) -> Pixels:
    """Return each image changed."""
    return np.stack([np.asarray(change(Image.fromarray(image))) for image in pixels])


if __name__ == "__main__":
    main()
