"""The panel of an audit: mixed images with their soft labels."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

NUM_COLUMNS, MIN_TILE, CAPTION_LINES, LINE_HEIGHT, FONT_SIZE = 4, 128, 3, 13, 11


def draw_panel(path: Path, pixels: Tensor, targets: Sequence[Mapping[str, float]]) -> None:
    """Write a grid of images, the largest shares of each soft label below each.

    Args:
        path: A PNG file.
        pixels: uint8 ``[n, C, H, W]`` on the CPU, C = 1 or 3.
        targets: For each image the share of each class, by name.
    """
    height, width = pixels.shape[-2:]
    # Small images are shown pixel by pixel, several times their size.
    factor = max(1, math.ceil(MIN_TILE / max(height, width)))
    tile = (width * factor, height * factor)
    caption = (CAPTION_LINES + 1) * LINE_HEIGHT + 2
    font = ImageFont.load_default(FONT_SIZE)
    rows = math.ceil(len(targets) / NUM_COLUMNS)
    panel = Image.new("RGB", (NUM_COLUMNS * (tile[0] + 4), rows * (tile[1] + caption + 4)), "white")
    draw = ImageDraw.Draw(panel)
    for number, (image, shares) in enumerate(zip(pixels, targets, strict=True)):
        left, top = number % NUM_COLUMNS * (tile[0] + 4), number // NUM_COLUMNS * (tile[1] + caption + 4)
        colours = image.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()
        panel.paste(Image.fromarray(colours).resize(tile, Image.Resampling.NEAREST), (left, top))
        for line, text in enumerate(_caption(shares)):
            while font.getlength(text) > tile[0]:
                text = f"{text.rstrip('…')[:-1]}…"
            draw.text((left, top + tile[1] + 1 + line * LINE_HEIGHT), text, fill="black", font=font)
    panel.save(path)


def _caption(shares: Mapping[str, float]) -> list[str]:
    """Return a line for each of the largest shares, and in the last one how many there are beside them."""
    ranked = sorted(shares.items(), key=lambda entry: -entry[1])
    # Pillow's own font has no accents; the JSON file beside the panel has the names as they are.
    plain = {name: unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode() or name for name in shares}
    lines = [f"{share:.3f}: {plain[name]}" for name, share in ranked[:CAPTION_LINES]]
    if hidden := ranked[CAPTION_LINES:]:
        lines.append(f"{sum(share for _, share in hidden):.3f}: {len(hidden)} more")
    return lines
