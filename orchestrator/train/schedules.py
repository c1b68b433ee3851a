"""The learning rate of each step, as a factor of ``train.lr``."""

from __future__ import annotations

import math

from orchestrator.experiment import TrainSettings

# Of torch's OneCycleLR, where it leaves them to its defaults: pct_start, 1 / div_factor, 1 / final_div_factor.
_RISES_FOR, _FIRST, _LAST = 0.3, 1 / 25, 1 / 1e4


def lr_factor(step: int, *, settings: TrainSettings, steps_per_epoch: int) -> float:
    """Return the factor of ``train.lr`` at `step` (0-based): linear warm-up, then as ``train.schedule`` says."""
    warmup_steps, total_steps = settings.warmup_epochs * steps_per_epoch, settings.epochs * steps_per_epoch
    if settings.schedule == "onecycle":
        return _one_cycle(step, total_steps)
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
    if settings.schedule == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * progress))
    if settings.schedule == "linear":
        return 1.0 - progress
    if settings.schedule == "constant":
        return 1.0
    return settings.lr_decay ** sum(step >= milestone * steps_per_epoch for milestone in settings.milestones)


def _one_cycle(step: int, total_steps: int) -> float:
    """Return torch's OneCycleLR: up to the peak in a half cosine, and down in another to less than the first rate."""
    last = total_steps - 1
    peak, step = _RISES_FOR * total_steps - 1, min(step, last)
    if step <= peak:
        return _half_cosine(_FIRST, 1.0, step / peak)
    return _half_cosine(1.0, _FIRST * _LAST, (step - peak) / (last - peak))


def _half_cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) / 2 * (1.0 + math.cos(math.pi * progress))
