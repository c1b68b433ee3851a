"""What is known of cells and sweeps from the outside: events, tracked runs, and how a sweep ended."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from typing import Any, Literal

from orchestrator.metric_names import METRICS

CellStatus = Literal["done", "trained", "running", "failed", "interrupted", "paused", "stopped"]


# A metric of each epoch.
EPOCH_S = "train/epoch_s"


def now_ms() -> int:
    """Return the time in Unix milliseconds, the unit of every timestamp of a record."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class DatasetFacts:
    """The data that a cell is trained on, as its workers found it.

    Attributes:
        name: Of the data set.
        split_hash: SHA-256 (hex) over which samples, with which labels, are in which split.
        num_train: Images of the training split.
        num_val: Of validation.
        num_test: Of the test.
        num_channels: Of an image: 1 or 3.
        image_size: Height and width in pixels of what the model gets.
        class_names: In the order of the labels.
        mean: Of each channel over the training split, in units of [0, 1]; that of the weights of before, if images are
            normalised with it.
        std: Likewise the standard deviation.
        groups: In a line, which images are known to belong together; None in a journal of an earlier version.
        unreadable: The ids of images that have been left out since they cannot be read.
        unmeasured: In a line, which metrics do not exist with them, and why; empty if all do; None as above.
        pixel_hash: CRC-32 (hex) over the decoded images; None as above.
    """

    name: str
    split_hash: str
    num_train: int
    num_val: int
    num_test: int
    num_channels: int
    image_size: int
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    groups: str | None = None
    unreadable: tuple[str, ...] = ()
    unmeasured: str | None = None
    pixel_hash: str | None = None


@dataclass(frozen=True)
class CellFacts:
    """What a cell runs on and with which data.

    Attributes:
        host: The machine of rank 0; empty in a journal of an earlier version.
        layout: How it is placed and fed, by the keys of `resources`; None likewise.
        device: ``cpu``, or the name of the GPU.
        world_size: Number of ranks.
        backend: What mixes the batches: ``torch`` or ``triton``.
        feed: How the images get to the device: ``resident`` or ``streaming``.
        dataset: The data.
        weights: In a line, what the network took of the weights that it begins with; empty from scratch.
    """

    device: str
    world_size: int
    backend: str
    feed: str
    dataset: DatasetFacts
    weights: str = ""
    host: str = ""
    layout: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Opened:
    """The driver has handed the cell to a slot.

    Attributes:
        timestamp_ms: When, Unix milliseconds; None in a journal of an earlier version.
    """

    timestamp_ms: int | None = None


@dataclass(frozen=True)
class Started:
    """A worker group has the cell and its data."""

    facts: CellFacts


@dataclass(frozen=True)
class EpochResult:
    """One finished epoch; the same on every rank.

    Attributes:
        epoch: 1-based.
        metrics: ``train/loss``, ``val/<metric>`` (see ``orchestrator.metric_names.METRICS``), and how long it took,
            `EPOCH_S`.
        timestamp_ms: When the epoch ended, Unix milliseconds. It is kept in the checkpoint, so that sending the
            result twice is sending the same row.
    """

    epoch: int
    metrics: dict[str, float]
    timestamp_ms: int


@dataclass(frozen=True)
class Curve:
    """What validation said of a cell, until the epochs that a race reads: what its test would show if it ended there.

    Attributes:
        values: ``best/error`` and ``best/loss``, by epoch: of the `best_epoch` until then.
        epoch_s: How long an epoch takes, the median in seconds; None before the second.
    """

    values: Mapping[str, Mapping[int, float]]
    epoch_s: float | None = None

    @classmethod
    def of(cls, epochs: Sequence[EpochResult], *, at: Collection[int], by: str) -> Curve:
        """Return the curve of a training.

        Args:
            epochs: Those that it has finished, from the first.
            at: Those of them to be read.
            by: See `best_epoch`.
        """
        best = {
            each.epoch: best_epoch(epochs[:number], by=by).metrics
            for number, each in enumerate(epochs, start=1)
            if each.epoch in at
        }
        values = {
            f"best/{name}": {epoch: found[f"val/{name}"] for epoch, found in best.items() if f"val/{name}" in found}
            for name in ("error", "loss")
        }
        return cls(values, median_epoch_s(epochs))


def median_epoch_s(epochs: Sequence[EpochResult]) -> float | None:
    """Return how long an epoch took, the median in seconds; None if that is not known.

    What an interruption took, or a rung that others train, is not in it. Earlier versions did not write down how long
    an epoch took: of theirs it is the time between two ends.
    """
    told = [each.metrics[EPOCH_S] for each in epochs if EPOCH_S in each.metrics]
    if told:
        return statistics.median(told)
    between = [
        after.timestamp_ms - before.timestamp_ms
        for before, after in pairwise(epochs)
        if after.epoch == before.epoch + 1
    ]
    return statistics.median(between) / 1000 if between else None


def best_epoch(history: Sequence[EpochResult], *, by: str) -> EpochResult:
    """Return the epoch whose weights are tested: the best by a validation metric, of equal ones the lowest in loss.

    Args:
        history: One epoch at least.
        by: A metric of ``METRICS``, or ``last`` for the last epoch.
    """
    if by == "last":
        return history[-1]

    def rank(entry: EpochResult) -> tuple[float, float]:
        value, loss = entry.metrics.get(f"val/{by}", math.nan), entry.metrics.get("val/loss", math.inf)
        if math.isnan(value):  # e.g. AUROC of a single class, which earlier versions wrote down as NaN
            return math.inf, loss
        return -value if METRICS[by].higher_is_better else value, loss

    return min(history, key=rank)


@dataclass(frozen=True)
class Waiting:
    """The training waits for something that the user can mend, e.g. space on a disk."""

    reason: str


@dataclass(frozen=True)
class Remark:
    """A worker has something to say to the user, e.g. what it waits for, or that a checkpoint is damaged."""

    text: str


@dataclass(frozen=True)
class Replaced:
    """The worker group, or the slot, has died and another attempt begins."""

    reason: str


@dataclass(frozen=True)
class CellResult:
    """What a finished cell leaves.

    Attributes:
        metrics: ``test/<metric>`` of the weights that were best on validation, also of classes and groups
            (``orchestrator.metric_names``), ``best/<metric>`` their validation metrics and ``best/epoch``.
        timestamp_ms: When the test ended, Unix milliseconds.
        first_step_ms: When the process that finished the training began its first step, Unix milliseconds; None if no
            step was left to do, only the test.
    """

    metrics: dict[str, float]
    timestamp_ms: int
    first_step_ms: int | None = None


@dataclass(frozen=True)
class Paused:
    """The cell has trained as far as it was to, which is not to the end: in a race others may go on in its place.

    Attributes:
        epoch: The last one finished; its checkpoint is there.
        timestamp_ms: When, Unix milliseconds.
    """

    epoch: int
    timestamp_ms: int


@dataclass(frozen=True)
class Stopped:
    """A race has stopped the cell's configuration: nobody will go on with it, unless the race is another one.

    Attributes:
        rung: The number of the rung that decided, from 1.
        place: Of the configuration in it, from 1.
        mean: Its validation error there, over the seeds of the rung; None if one of them failed.
        cut: Of the last one that went on by its place; None as above.
        timestamp_ms: When, Unix milliseconds.
    """

    rung: int
    place: int
    mean: float | None
    cut: float | None
    timestamp_ms: int


@dataclass(frozen=True)
class Failed:
    """The cell has failed; the first line of the reason is what people are shown.

    Attributes:
        reason: Why.
        is_lost: The training is not to blame, but a slot that died, or data that is missing: a race waits for it, and
            does not take it for the last of its rung.
    """

    reason: str
    is_lost: bool = False


@dataclass(frozen=True)
class Interrupted:
    """The sweep ended before the cell did; the next one goes on with it."""


# What its workers say last of a leg: of a cell, as far as it is to be trained now; and what ends its tracked run.
LastEvent = CellResult | Paused | Failed
ClosingEvent = LastEvent | Interrupted
# What MLflow is told of a cell, and its journal keeps until MLflow has it.
TrackedEvent = Opened | Started | EpochResult | CellResult | Paused | Stopped | Failed | Interrupted
# All that happens to a cell, from the worker to the tracker.
Event = TrackedEvent | Waiting | Remark | Replaced


ANEW = (
    "train them again with another storage and, where tracking.uri names a store, with another one: what a store knows "
    "as finished is not trained again"
)
"""What to do about cells that saw other images than there are now, and these are to stay."""


@dataclass(frozen=True)
class CellRun:
    """What is known of one cell: its tracked run, or what storage has of it.

    Attributes:
        key: The cell's key.
        status: ``trained`` is finished, but its result is in storage alone and not yet in MLflow; ``interrupted`` is a
            run that nobody works on any more although it was not finished. MLflow's runs have neither ``paused`` nor
            ``stopped``: it is for a race to say that a cell waits for the end of its rung, or that nobody goes on with
            it (`orchestrator.racing`), and without a race it is interrupted.
        run_id: MLflow's; None if MLflow has none.
        metrics: The last value of each metric: per epoch ``train/loss`` and ``val/<metric>``; once at the end
            ``test/<metric>``, ``best/<metric>`` (validation, at the epoch that was tested) and ``best/epoch``.
        epoch: The last epoch tracked; None before the first.
        epochs: The number of epochs planned.
        reason: Why it failed.
        is_lost: It failed, and its training is not to blame, see `Failed`.
        model_uri: The logged model, of a finished run; None where MLflow has none: `tracking.models`.
        split_hash: Which images were trained, validated and tested on; None before the first epoch.
        pixel_hash: Over the pixels of these; None likewise, and of a run of an earlier version.
        owner: The driver that opened it last (`orchestrator.tracking.ownership`).
        experiment: The name of the MLflow experiment that the run lies in; None if MLflow has none.
        num_images: Of each split (``train``, ``val``, ``test``), as far as MLflow has it.
        num_classes: Of the data set; None before the first epoch, and if MLflow has none.
        device: What it ran on: ``cpu``, or the name of the GPU; None before the first epoch, or if MLflow has none.
        commit: Of the folder that its sweep was started in; None outside a checkout.
        curve: What validation said at the epochs that a race reads, as the run has it; None if it has none.
        stopped: Where and why it was stopped, as its run says; None if it says nothing.
        race: What the run says of it in words, ``paused`` or ``stopped``; None if it is in no race.
        first_step_ms: When the process that finished it began its first step, Unix milliseconds; None if MLflow has
            none.
        ended_ms: When its run in MLflow ended: of a finished one its test; None of one that has not.
        layout: How it was placed and fed last, by the keys of `resources`; None if MLflow does not have it.
    """

    key: str
    status: CellStatus
    run_id: str | None
    metrics: dict[str, float] = field(default_factory=dict)
    epoch: int | None = None
    epochs: int = 0
    reason: str | None = None
    is_lost: bool = False
    model_uri: str | None = None
    split_hash: str | None = None
    pixel_hash: str | None = None
    owner: str | None = None
    experiment: str | None = None
    num_images: dict[str, int] = field(default_factory=dict)
    num_classes: int | None = None
    device: str | None = None
    commit: str | None = None
    curve: Curve | None = None
    race: str | None = None
    stopped: Stopped | None = None
    first_step_ms: int | None = None
    ended_ms: int | None = None
    layout: Mapping[str, Any] | None = None

    @property
    def epoch_s(self) -> float | None:
        """How long an epoch takes, in seconds, with its validation and checkpoint; None if that is not known."""
        if self.curve is not None and self.curve.epoch_s is not None:
            return self.curve.epoch_s
        if EPOCH_S in self.metrics:
            return self.metrics[EPOCH_S]
        # Of an earlier version, a single epoch: without its validation.
        num_images, per_s = self.num_images.get("train"), self.metrics.get("train/images_per_s")
        return num_images / per_s if num_images and per_s else None

    @property
    def has_result(self) -> bool:
        """Whether it was trained and tested to the end, wherever its result is."""
        return self.status in ("done", "trained")


class Outcome(Enum):
    """How a sweep, or a delivery to MLflow, ended."""

    DONE = "MLflow has everything"
    INCOMPLETE = "some cells have failed, or MLflow did not take them"
    INTERRUPTED = "the user ended it; the same command goes on"
