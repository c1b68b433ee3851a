"""How long cells take: as it was measured in a few steps, and as finished cells have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

from orchestrator.costs.kinds import Kind
from orchestrator.records import EpochResult, median_epoch_s

# What a sweep has beside its trainings, as the seconds of CPU of its processes say: Ray's, which are always there, and
# to tell an epoch, the worker's part and as much of other processes. Of two cores of an AMD EPYC; finished cells say
# more.
CORES_OF_RAY, TOLD_S = 0.18, 0.014


@dataclass(frozen=True)
class Duration:
    """How long a cell takes.

    Attributes:
        epoch_s: An epoch with its validation and checkpoint, seconds.
        once_s: What there is once: the network is built, the first batch audited, the best weights tested.
    """

    epoch_s: float
    once_s: float = 0.0

    def of(self, epochs: int) -> float:
        """Return the seconds of a cell of so many epochs."""
        return self.once_s + epochs * self.epoch_s

    def times(self, factor: float) -> Duration:
        """Return one that takes so many times as long."""
        return Duration(factor * self.epoch_s, factor * self.once_s)


@dataclass(frozen=True)
class Measured:
    """What a few timed steps of a training say of it; all times are seconds, on all of its workers together.

    Attributes:
        device: ``cpu``, or the name of the GPU.
        step_s: A batch of each worker, from the forward pass to the optimizer, without cropping and mixing; with its
            part of the optimizer's step, if that is of several. 0 where the step is compiled.
        mixing_s: To crop, mirror, normalise and mix that batch, by `Kind.augment_id`; where mixing is compiled with the
            step, all of the step.
        batches: Of an epoch.
        validation_s: Of an epoch.
        checkpoint_s: Of an epoch.
        test_s: Once.
        build_s: Once: what a cell takes beside steps, validation, checkpoints and test.
        memory_bytes: The peak of the device's memory on a worker; on the CPU that of the whole process.
        watts: What all workers drew together during the steps; None where neither NVML nor RAPL tells it.
        at: When, as ``2026-11-30 01:02``, UTC.
        largest_batch: The largest one per worker that was tried and fits; None if none was looked for.
        too_large: The smallest one that was tried and does not fit; None if none was met.
        compile_s: By `Kind.augment_id` what compiling takes, once on each slot; empty where nothing is compiled.
        num_images: Of all splits together: with more of them an epoch takes longer.
        told_s: To tell an epoch; 0 of what was timed without a sweep.
    """

    device: str
    step_s: float
    mixing_s: Mapping[str, float]
    batches: int
    validation_s: float
    checkpoint_s: float
    test_s: float
    build_s: float
    memory_bytes: int
    watts: float | None = None
    at: str = ""
    largest_batch: int | None = None
    too_large: int | None = None
    compile_s: Mapping[str, float] = field(default_factory=dict)
    num_images: int = 0
    told_s: float = 0.0

    def in_a_sweep(self, *, threads: int, cores: int) -> Measured:
        """Return what it would be in a sweep, which has more to do than to train.

        Args:
            threads: Of all workers that are at work at a time, at least 1.
            cores: Of the machine, at least 1: where the workers leave none of them free, Ray takes time from them.
        """
        # With more threads than cores, what was timed has its share of them already.
        longer = max(1.0, min(threads, cores) / max(cores - CORES_OF_RAY, 0.5))
        return replace(
            self,
            step_s=longer * self.step_s,
            mixing_s={augment_id: longer * seconds for augment_id, seconds in self.mixing_s.items()},
            validation_s=longer * self.validation_s,
            checkpoint_s=longer * self.checkpoint_s,
            test_s=longer * self.test_s,
            build_s=longer * self.build_s,
            told_s=TOLD_S if longer == 1.0 else 2 * TOLD_S,
        )

    def duration(self, augment_id: str) -> Duration | None:
        """Return how long a cell with an augmentation takes; None if that was not measured."""
        if augment_id not in self.mixing_s:
            return None
        steps_s = self.batches * (self.step_s + self.mixing_s[augment_id])
        return Duration(steps_s + self.validation_s + self.checkpoint_s + self.told_s, self.build_s + self.test_s)


@dataclass(frozen=True)
class Finished:
    """When a finished cell was where.

    Attributes:
        kind: Of the cell.
        device: ``cpu``, or the name of the GPU; None if MLflow does not have it.
        host: The machine that ran it; None likewise.
        layout: How it was placed and fed there, by the keys of ``resources``; None likewise.
        num_images: Of all splits together; 0 likewise.
        epochs: Those that it has finished; how long each took is a metric of it, but of an earlier version.
        opened_ms: When a slot got it; None if that is not known.
        first_step_ms: When the process that finished it began its first step; likewise.
        ended_ms: When the test ended; likewise.
    """

    kind: Kind
    device: str | None
    host: str | None
    layout: Mapping[str, Any] | None = None
    num_images: int = 0
    epochs: Sequence[EpochResult] = ()
    opened_ms: int | None = None
    first_step_ms: int | None = None
    ended_ms: int | None = None

    @property
    def epoch_s(self) -> float | None:
        """How long an epoch took, the median, without what an interruption took; None if that is not known."""
        if (told := median_epoch_s(self.epochs)) is not None:
            return told
        return (self.epochs[0].timestamp_ms - (self.first_step_ms or 0)) / 1000 if self._is_of_one_process else None

    @property
    def test_s(self) -> float | None:
        """How long the test took; None where another process trained the last epoch, perhaps days before."""
        if self.ended_ms is None or self.first_step_ms is None or not self.epochs:
            return None
        last_ms = max(each.timestamp_ms for each in self.epochs)
        return max(0, self.ended_ms - last_ms) / 1000

    @property
    def build_s(self) -> float | None:
        """How long it was from a slot that had it to the first step; of a slot's first cell its start is in it."""
        if self.opened_ms is None or self.first_step_ms is None or not self._is_of_one_process:
            return None
        return max(0, self.first_step_ms - self.opened_ms) / 1000

    @property
    def _is_of_one_process(self) -> bool:
        first = next((each.timestamp_ms for each in self.epochs if each.epoch == 1), None)
        return first is not None and self.first_step_ms is not None and self.first_step_ms < first


def typical(cells: Sequence[Finished]) -> Duration | None:
    """Return how long some cells of a kind took; None if that is not known of any.

    Of the times until the first step the shortest counts: in the others a slot may have been started.
    """
    epochs_s, tests_s, builds_s = (
        [value for cell in cells if (value := getattr(cell, name)) is not None]
        for name in ("epoch_s", "test_s", "build_s")
    )
    if not epochs_s:
        return None
    return Duration(median(epochs_s), (median(tests_s) if tests_s else 0.0) + min(builds_s, default=0.0))
