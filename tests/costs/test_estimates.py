"""From measurements and finished cells to hours."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sweep_samples import ERM, MIXUP, ZETA, make_cells, trained_with

from orchestrator.costs import (
    Duration,
    Estimates,
    Finished,
    Measured,
    curve,
    finished_by_kind,
    kind_of,
    longer_than_measured,
    makespan_s,
)
from orchestrator.costs.durations import CORES_OF_RAY, TOLD_S
from orchestrator.records import EPOCH_S, Curve, EpochResult

ERM_CELL, MIXUP_CELL, ZETA_CELL = make_cells(ERM, MIXUP, ZETA, seeds=(0,))
TRAINING = kind_of(ERM_CELL).training_id
MEASURED = Measured(
    device="cpu",
    step_s=0.1,
    mixing_s={kind_of(ERM_CELL).augment_id: 0.0, kind_of(MIXUP_CELL).augment_id: 0.02},
    batches=10,
    validation_s=0.3,
    checkpoint_s=0.2,
    test_s=0.4,
    build_s=0.6,
    memory_bytes=10**9,
)


def finished(cell_number: int, *ends_s: float, opened: float = 0, first_step: float = 1, ended: float = 0) -> Finished:
    cell = (ERM_CELL, MIXUP_CELL, ZETA_CELL)[cell_number]
    return Finished(
        kind=kind_of(cell),
        device="cpu",
        host="here",
        epochs=[EpochResult(epoch, {}, int(1000 * end)) for epoch, end in enumerate(ends_s, start=1)],
        opened_ms=int(1000 * opened),
        first_step_ms=int(1000 * first_step),
        ended_ms=int(1000 * ended),
    )


def test_an_epoch_is_steps_and_mixing_and_what_follows_them() -> None:
    erm, mixup = (MEASURED.duration(kind_of(cell).augment_id) for cell in (ERM_CELL, MIXUP_CELL))
    assert erm is not None
    assert mixup is not None
    assert erm.epoch_s == pytest.approx(10 * 0.1 + 0.3 + 0.2)
    assert mixup.epoch_s == pytest.approx(10 * 0.12 + 0.3 + 0.2)
    assert erm.of(5) == pytest.approx(1.0 + 5 * 1.5)
    assert MEASURED.duration(kind_of(ZETA_CELL).augment_id) is None


def test_in_a_sweep_ray_takes_time_from_trainings_that_leave_no_core_free() -> None:
    free, full, many = (MEASURED.in_a_sweep(threads=2, cores=cores) for cores in (4, 2, 1))
    erm = kind_of(ERM_CELL).augment_id
    assert (free.step_s, free.told_s) == (MEASURED.step_s, TOLD_S)
    assert full.step_s == pytest.approx(MEASURED.step_s * 2 / (2 - CORES_OF_RAY))
    assert many.step_s == pytest.approx(MEASURED.step_s * 1 / (1 - CORES_OF_RAY))
    alone, in_sweep = MEASURED.duration(erm), full.duration(erm)
    assert alone is not None
    assert in_sweep is not None
    assert in_sweep.epoch_s == pytest.approx(alone.epoch_s * 2 / (2 - CORES_OF_RAY) + 2 * TOLD_S)
    assert in_sweep.once_s == pytest.approx(alone.once_s * 2 / (2 - CORES_OF_RAY))


def test_what_an_interruption_took_is_in_no_epoch() -> None:
    cell = finished(0, 3, 5, 65, 67, 69, ended=70)
    assert cell.epoch_s == 2
    assert cell.test_s == 1
    # The process that finished it began after its first epoch.
    resumed = finished(0, 3, 5, 65, 67, 69, first_step=60, ended=70)
    assert resumed.epoch_s == 2
    assert resumed.build_s is None


def test_days_between_the_last_epoch_and_the_test_are_no_test() -> None:
    """Interrupted in its test on Friday, tested on Monday by a process that made no step."""
    cell = replace(finished(0, 3, 5, ended=200_000), first_step_ms=None)
    assert cell.epoch_s == 2
    assert cell.test_s is None


def test_a_cell_of_one_epoch_has_it_from_its_first_step() -> None:
    assert finished(0, 4, first_step=1).epoch_s == 3
    assert Finished(kind_of(ERM_CELL), "cpu", "here", epochs=[EpochResult(1, {}, 4000)]).epoch_s is None


def test_hours_between_two_epochs_are_no_epoch() -> None:
    """Of a race each rung has such a gap: until the others are as far."""
    told = [EpochResult(epoch, {EPOCH_S: 30.0 + epoch}, 7_200_000 * epoch) for epoch in (1, 2)]
    cell = Finished(kind_of(ERM_CELL), "cpu", "here", epochs=told, first_step_ms=7_170_000)
    assert cell.epoch_s == 31.5
    assert Curve.of(told, at=(), by="error").epoch_s == 31.5


def test_of_finished_cells_the_median_counts_and_not_the_start_of_a_slot() -> None:
    cells = [
        finished(0, 33, 35, opened=0, first_step=31, ended=36),
        finished(0, 3, 5, opened=0.5, first_step=1, ended=6),
        finished(0, 4, 7, opened=0.5, first_step=1, ended=8),
    ]
    duration, count = finished_by_kind(cells)[kind_of(ERM_CELL)]
    assert count == 3
    assert duration == Duration(epoch_s=2.0, once_s=1.5)


def test_what_is_known_best_goes_first() -> None:
    by_kind = finished_by_kind([finished(0, 4, 7)])
    for prefers, source in (("finished", "finished"), ("measured", "measured")):
        estimates = Estimates(by_kind, {TRAINING: MEASURED}, prefers=prefers)  # type: ignore[arg-type]
        found = estimates.of(ERM_CELL)
        assert found is not None
        assert found.source == source
    mixup = Estimates(by_kind, {TRAINING: MEASURED}).of(MIXUP_CELL)
    assert mixup is not None
    assert mixup.source == "measured"
    # The same training with another augmentation: as the longest that is known.
    zeta = Estimates(by_kind, {TRAINING: MEASURED}).of(ZETA_CELL)
    assert zeta is not None
    assert zeta.source == "borrowed"
    assert zeta.duration.epoch_s == 3
    # Cells that shared their device otherwise come behind what was measured, and are said to be that.
    placed_otherwise = Estimates({}, {TRAINING: MEASURED}, other_layout=by_kind)
    assert placed_otherwise.of(ERM_CELL).source == "measured"  # type: ignore[union-attr]
    alone = replace(placed_otherwise, measured={})
    assert alone.of(ERM_CELL).source == alone.of(ZETA_CELL).source == "other layout"  # type: ignore[union-attr]
    (other,) = trained_with([ZETA_CELL], batch_size_per_worker=16)
    assert Estimates(by_kind, {TRAINING: MEASURED}).of(other) is None


def test_what_sweeps_took_more_than_was_measured_is_counted_in() -> None:
    by_kind = finished_by_kind([finished(0, 4, 7)])
    factor = longer_than_measured(by_kind, {TRAINING: MEASURED})
    assert factor == pytest.approx(3 / 1.5)
    mixup = Estimates(by_kind, {TRAINING: MEASURED}, factor=factor).of(MIXUP_CELL)
    assert mixup is not None
    assert mixup.duration.epoch_s == pytest.approx(2 * 1.7)
    assert longer_than_measured({}, {TRAINING: MEASURED}) is None


@pytest.mark.parametrize(
    ("seconds", "slots", "expected"),
    [
        ([1, 1, 1, 1], 1, 4),
        ([1, 1, 1, 1], 2, 2),
        ([1, 1, 1], 2, 2),
        ([1, 1, 1], 64, 1),
        ([1, 1, 10], 2, 11),  # in the order in which they are trained: the longest comes last
        ([10, 1, 1], 2, 10),
        ([], 3, 0),
    ],
)
def test_a_slot_takes_the_next_cell_as_soon_as_it_is_free(seconds: list[float], slots: int, expected: float) -> None:
    assert makespan_s(seconds, slots) == expected


def test_the_curve_goes_as_far_as_more_slots_help() -> None:
    assert curve([1.0] * 6, slots=3) == {1: 6, 2: 3, 3: 2, 4: 2, 6: 1}
    assert curve([1.0], slots=8) == {1: 1, 8: 1}
