"""What is known about a cell from the outside: written by tracking, read by compare, select and report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

CellStatus = Literal["done", "running", "failed", "interrupted"]


@dataclass(frozen=True)
class EpochResult:
    """One finished epoch; the same on every rank.

    Attributes:
        epoch: 1-based.
        metrics: ``train/loss`` and ``val/<metric>`` (see ``orchestrator.metrics.METRICS``).
        timestamp_ms: When the epoch ended, Unix milliseconds. It is kept in the checkpoint, so that sending the
            result twice is sending the same row.
    """

    epoch: int
    metrics: dict[str, float]
    timestamp_ms: int


@dataclass(frozen=True)
class CellResult:
    """What a finished cell leaves.

    Attributes:
        metrics: ``test/<metric>`` of the weights that were best on validation, ``best/<metric>`` their validation
            metrics and ``best/epoch``.
        timestamp_ms: When the test ended, Unix milliseconds.
        first_step_ms: When the process that finished the training began its first step, Unix milliseconds; None if no
            step was left to do, only the test.
    """

    metrics: dict[str, float]
    timestamp_ms: int
    first_step_ms: int | None = None


@dataclass(frozen=True)
class CellRun:
    """The tracked run of one cell.

    Attributes:
        key: The cell's key.
        status: ``interrupted`` is a run that nobody works on any more although it was not finished.
        run_id: MLflow's.
        metrics: The last value of each metric: per epoch ``train/loss`` and ``val/<metric>``; once at the end
            ``test/<metric>``, ``best/<metric>`` (validation, at the epoch that was tested) and ``best/epoch``.
        epoch: The last epoch tracked; None before the first.
        epochs: The number of epochs planned.
        reason: Why it failed.
        model_uri: The logged model, of a finished run.
        split_hash: Which images were trained, validated and tested on; None before the first epoch.
        owner: The process that opened it last (`orchestrator.ownership`).
    """

    key: str
    status: CellStatus
    run_id: str
    metrics: dict[str, float] = field(default_factory=dict)
    epoch: int | None = None
    epochs: int = 0
    reason: str | None = None
    model_uri: str | None = None
    split_hash: str | None = None
    owner: str | None = None
