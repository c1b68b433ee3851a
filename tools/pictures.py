"""Draws the pictures of ``docs/augmentations.md``: what each augmentation makes of eight real digits.

Run, a few seconds::

    make pictures

The upper row is the batch, each further row is a draw, with the largest shares of the soft label below each image. The
same code that trains makes them, from fixed seeds.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from augment import AUGMENTATIONS, SINGLE_IMAGES, Augmentation, Combined, Erm
from orchestrator.data import load_dataset

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"
NUM_CLASSES, BATCH_SIZE = 10, 8
TILE_PX, GAP, LINE_PX, FONT_PX = 64, 6, 12, 11
# Of what moves pixels by whole ones the small digits would show little.
ENLARGED = 4
NUM_SHARES = 3

SETTINGS: dict[str, dict[str, int | float]] = {
    "erm": {},
    "mixup": {"alpha": 1.0},
    "cutmix": {"alpha": 1.0},
    "zeta_mixup": {"gamma": 2.8, "num_mixed": BATCH_SIZE},
    "zeta_mixup_range": {"gamma_low": 1.8, "gamma_high": 4.0, "num_mixed": BATCH_SIZE},
    "cutmix_zeta_mixup": {"gamma": 2.8, "num_mixed": BATCH_SIZE},
    "mixup_pseries": {"gamma": 2.8},
    "dirichlet": {"num_mixed": BATCH_SIZE, "alpha": 1.0},
}
# Two draws of each that differ as far as theirs can: with these seeds the coin falls once either way.
SEEDS = (3, 6)


def main() -> None:
    """Write one PNG for each augmentation, of batches and of single images."""
    assert SETTINGS.keys() == AUGMENTATIONS.keys(), "each augmentation has a picture"
    images, labels = digits()
    FOLDER.mkdir(exist_ok=True)
    for name, settings in SETTINGS.items():
        make: Callable[..., Augmentation] = AUGMENTATIONS[name]
        picture(make(**settings), images, labels).save(FOLDER / f"{name}.png", optimize=True)
    enlarged = images.repeat_interleave(ENLARGED, dim=2).repeat_interleave(ENLARGED, dim=3)
    for name, single in SINGLE_IMAGES.items():
        picture(Combined(single(), Erm()), enlarged, labels).save(FOLDER / f"{name}.png", optimize=True)


def digits() -> tuple[Tensor, Tensor]:
    """Return the first test image of each of eight classes, float32 ``[8, 1, 8, 8]`` in [0, 1], and its label."""
    dataset = load_dataset("digits", Path("unused"))
    places = [int((dataset.test.labels == label).nonzero()[0]) for label in range(BATCH_SIZE)]
    return dataset.images[dataset.test.rows[places]].float() / 255, dataset.test.labels[places]


def picture(augmentation: Augmentation, images: Tensor, labels: Tensor) -> Image.Image:
    """Return the batch and, below it, what becomes of it."""
    rows = [(images, torch.nn.functional.one_hot(labels, NUM_CLASSES).float())]
    for seed in SEEDS:
        generator = torch.Generator().manual_seed(seed)
        rows.append(augmentation(images, labels, num_classes=NUM_CLASSES, generator=generator))
    tile = TILE_PX
    heights = [tile + LINE_PX + GAP, *(tile + NUM_SHARES * LINE_PX + GAP for _ in SEEDS)]
    sheet = Image.new("L", (BATCH_SIZE * (tile + GAP), sum(heights)), 255)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT_PX)
    for row, (shown, targets) in enumerate(rows):
        top = sum(heights[:row])
        for column in range(BATCH_SIZE):
            # Dark on light, as ink is.
            ink = (255 * (1 - shown[column, 0])).round().to(torch.uint8).numpy()
            left = column * (tile + GAP)
            sheet.paste(Image.fromarray(ink).resize((tile, tile), Image.Resampling.NEAREST), (left, top))
            draw.rectangle((left, top, left + tile - 1, top + tile - 1), outline=190)
            for line, text in enumerate(shares(targets[column])):
                draw.text((left + 2, top + tile + line * LINE_PX), text, fill=0, font=font)
    return sheet


def shares(target: Tensor) -> list[str]:
    """Return the largest shares of a soft label, e.g. ``3: 0.77``."""
    largest = target.topk(NUM_SHARES)
    pairs = zip(largest.indices.tolist(), largest.values.tolist(), strict=True)
    return [f"{label}: {share:.2f}" for label, share in pairs if share >= 0.005]


if __name__ == "__main__":
    main()
