"""The audit of an augmentation: what it really makes of the first batch of a cell, in numbers and in pictures."""

from __future__ import annotations

import json
import logging
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from orchestrator.storage.atomic import folder_written_whole
from orchestrator.train.panel import draw_panel

# The files of an audit.
FIGURES, PANEL, PANEL_TARGETS = "audit.json", "panel.png", "panel.json"
NUM_PANEL_IMAGES = 16
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
        mixed_epochs: How many epochs, from the first on, are mixed so; None, and not written: all of them.
        schedules: What changes from epoch to epoch, by name: what it is in the first epoch, the second, …, as long as
            it has an effect; None, and not written, if nothing does. The other figures are of the first epoch.
    """

    weights: list[float]
    effective_num_samples: float
    soft_label_entropy: float
    ms_per_step: float
    backend: str
    mixed_epochs: int | None = None
    schedules: dict[str, list[float]] | None = None


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
    make_batch: MakeBatch,
    labels: Tensor,
    *,
    num_classes: int,
    generator: torch.Generator,
    backend: str,
    mixed_epochs: int | None = None,
    schedules: Sequence[Mapping[str, float]] = (),
) -> Audit:
    """Make the batch that comes next and look at it; `generator` stays where it is, so that it comes next.

    Args:
        make_batch: Makes it.
        labels: int64 ``[B]`` of its samples.
        num_classes: K.
        generator: What the batch is going to be drawn from.
        backend: The name of what mixes.
        mixed_epochs: In how many epochs it does, if not in all.
        schedules: What changes, as it is in each epoch.
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
        mixed_epochs=mixed_epochs,
        schedules=_by_name(schedules),
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
    figures = {name: value for name, value in asdict(audit.figures).items() if value is not None}
    # Should another process be faster: its audit is of the same batch.
    with folder_written_whole(folder) as unfinished:
        (unfinished / FIGURES).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        (unfinished / PANEL_TARGETS).write_text(json.dumps(shown, indent=2) + "\n", encoding="utf-8")
        draw_panel(unfinished / PANEL, pixels[:NUM_PANEL_IMAGES].cpu(), shown)


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


def _by_name(epochs: Sequence[Mapping[str, float]]) -> dict[str, list[float]] | None:
    names = dict.fromkeys(name for epoch in epochs for name in epoch)
    return {name: [epoch[name] for epoch in epochs if name in epoch] for name in names} or None


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
