"""The audit of an augmentation: what it really makes of the first batch of a cell, in numbers and in pictures."""

from __future__ import annotations

import json
import logging
import math
import statistics
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from orchestrator.storage.atomic import folder_written_whole

# The files of an audit.
FIGURES, PANEL, PANEL_TARGETS = "audit.json", "panel.png", "panel.json"
NUM_PANEL_IMAGES = 16
NUM_COLUMNS, MIN_TILE, CAPTION_LINES, LINE_HEIGHT, FONT_SIZE = 4, 128, 3, 13, 11
TIMED_STEPS = 5

MakeBatch = Callable[[Tensor, int, torch.Generator], tuple[Tensor, Tensor]]
"""Takes labels, the number of classes and a generator; returns the images and targets of the batch."""


logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Figures:
    """What an augmentation does to a batch.

    Attributes:
        weights: The mean weight of the largest, second largest, … contribution to a soft label, summing to 1.
        effective_num_samples: 1 / Σ w², the mean over the batch: 1 where nothing is mixed, N for N equal weights.
        soft_label_entropy: In nats, the mean over the batch: 0 for one-hot labels, log K for equal shares of K classes.
        ms_per_step: Median milliseconds to crop, mirror, normalise and mix the batch, on this worker.
        backend: What did it: ``torch`` or ``triton``.
    """

    weights: list[float]
    effective_num_samples: float
    soft_label_entropy: float
    ms_per_step: float
    backend: str


@dataclass(frozen=True)
class Audit:
    """The figures, and the batch they are about.

    Attributes:
        images: ``[B, C, H, W]`` as the model gets them.
        targets: float32 ``[B, K]``.
    """

    figures: Figures
    images: Tensor
    targets: Tensor


def audit_batch(
    make_batch: MakeBatch, labels: Tensor, *, num_classes: int, generator: torch.Generator, backend: str
) -> Audit:
    """Make the batch that comes next and look at it; `generator` stays where it is, so that it comes next.

    Args:
        make_batch: Makes it.
        labels: int64 ``[B]`` of its samples.
        num_classes: K.
        generator: What the batch is going to be drawn from.
        backend: The name of what mixes.
    """
    images, targets = make_batch(labels, num_classes, _twin(generator))
    # With a class of its own for each sample the targets are the weights.
    batch_size = len(labels)
    _, shares = make_batch(torch.arange(batch_size, device=labels.device), batch_size, _twin(generator))
    shares = shares.double()
    figures = Figures(
        weights=shares.sort(dim=1, descending=True).values.mean(0).tolist(),
        effective_num_samples=float((1 / shares.square().sum(1)).mean()),
        # -Σ p log p with 0 log 0 = 0.
        soft_label_entropy=float(torch.special.entr(targets.double()).sum(1).mean()),
        ms_per_step=_median_ms(lambda: make_batch(labels, num_classes, _twin(generator)), device=labels.device),
        backend=backend,
    )
    return Audit(figures=figures, images=images, targets=targets)


def write_audit(folder: Path, audit: Audit, *, pixels: Tensor, class_names: Sequence[str]) -> None:
    """Write the figures and a panel of the first images with their soft labels; `folder` appears whole.

    Args:
        folder: Left as it is if it exists.
        audit: What to write.
        pixels: uint8 ``[B, C, H, W]``: its images as they look.
        class_names: In the order of the labels.
    """
    shown = [
        {name: round(share, 4) for name, share in zip(class_names, row, strict=True) if share > 0}
        for row in audit.targets[:NUM_PANEL_IMAGES].tolist()
    ]
    # Should another process be faster: its audit is of the same batch.
    with folder_written_whole(folder) as unfinished:
        (unfinished / FIGURES).write_text(json.dumps(asdict(audit.figures), indent=2) + "\n", encoding="utf-8")
        (unfinished / PANEL_TARGETS).write_text(json.dumps(shown, indent=2) + "\n", encoding="utf-8")
        _draw_panel(unfinished / PANEL, pixels[:NUM_PANEL_IMAGES].cpu(), shown)


def read_figures(folder: Path) -> Figures | None:
    """Return the figures that `write_audit` wrote to `folder`; None if there is no audit, or a crash of the machine cut
    it off.
    """
    try:
        return Figures(**json.loads((folder / FIGURES).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        logger.warning("%s is damaged and is left out: %s", folder / FIGURES, error)
        return None


def _twin(generator: torch.Generator) -> torch.Generator:
    twin = torch.Generator(generator.device)
    twin.set_state(generator.get_state())
    return twin


def _median_ms(step: Callable[[], object], *, device: torch.device) -> float:
    durations = []
    for _ in range(TIMED_STEPS):
        _synchronize(device)
        started = time.perf_counter()
        step()
        _synchronize(device)
        durations.append(1000 * (time.perf_counter() - started))
    return statistics.median(durations)


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _draw_panel(path: Path, pixels: Tensor, targets: Sequence[dict[str, float]]) -> None:
    """Write a grid of images, the largest shares of each soft label below each."""
    # It comes with torchvision, and only this needs it.
    from PIL import Image, ImageDraw, ImageFont

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
