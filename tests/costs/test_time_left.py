"""What is left of a running sweep, by the kinds of its cells."""

from __future__ import annotations

import pytest
from sweep_samples import ERM, MIXUP, make_cells, trained_with

from orchestrator.costs import Duration, Estimates, TimeLeft, column_of, kind_of
from orchestrator.experiment import Cell

SMALL = trained_with(make_cells(ERM, seeds=(0, 1)), epochs=2)
LARGE = trained_with(make_cells(ERM, models=("resnet18",), seeds=(0, 1)), epochs=4)


def train(left: TimeLeft, cell: Cell, *, at: float, epoch_s: float, test_s: float = 0.0) -> float:
    """Have a cell trained from then on; return when it ends."""
    left.begin(cell, at)
    for epoch in range(1, cell.train.epochs + 1):
        at += epoch_s
        left.epoch(cell, epoch, at)
    left.end(cell, at + test_s, is_done=True)
    return at + test_s


def test_an_epoch_of_one_kind_says_little_of_another() -> None:
    left = TimeLeft([*SMALL, *LARGE], slots=1)
    assert left.left(0.0) is None
    now = train(left, SMALL[0], at=0.0, epoch_s=1.0, test_s=0.5)
    assert now == 2.5
    # Of the others nothing is known but that.
    first = left.left(now)
    assert first is not None
    assert first.is_about
    assert first.seconds == pytest.approx(2.5 + 2 * (4 * 1.0 + 0.5))
    left.begin(LARGE[0], now)
    left.epoch(LARGE[0], 1, now + 10)
    then = left.left(now + 10)
    assert then is not None
    assert not then.is_about
    assert then.seconds == pytest.approx(2.5 + 3 * 10 + 4 * 10)
    large, small = left.by_kind(now + 10)
    assert (large.label, large.cells, large.epoch_s) == ("digits resnet18, batch 64", 2, 10)
    assert (small.label, small.cells, small.epoch_s) == ("digits convnet, batch 64", 1, 1)


def test_an_epoch_that_is_under_way_counts() -> None:
    left = TimeLeft(LARGE[:1], slots=1)
    left.begin(LARGE[0], 0.0)
    left.epoch(LARGE[0], 1, 10.0)
    assert [left.left(at).seconds for at in (10.0, 14.0, 99.0)] == [30.0, 26.0, 20.0]  # type: ignore[union-attr]


def test_slots_share_what_is_left() -> None:
    left = TimeLeft([*SMALL, *LARGE], slots=2)
    train(left, SMALL[0], at=0.0, epoch_s=1.0)
    left.begin(LARGE[0], 2.0)
    left.epoch(LARGE[0], 1, 12.0)
    assert left.left(12.0).seconds == pytest.approx(2 + 40)  # type: ignore[union-attr]


def test_what_was_known_before_is_about_right_from_the_start() -> None:
    known = Estimates({kind_of(LARGE[0]): (Duration(5.0, 1.0), 3)}, {})
    left = TimeLeft(LARGE, slots=1, known=known)
    assert left.left(0.0) == (42.0, True)


def test_of_an_interrupted_cell_the_last_epochs_are_left() -> None:
    known = Estimates({kind_of(LARGE[0]): (Duration(5.0, 1.0), 3)}, {})
    left = TimeLeft(LARGE, slots=1, known=known, reached={LARGE[0].key: 3})
    assert left.left(0.0) == (6.0 + 21.0, True)


def test_epochs_of_a_column_take_as_long_as_its_own() -> None:
    """First the convnets of a search, then its ResNets: those take ten times as long."""
    small, large = column_of(SMALL[0]), column_of(LARGE[0])
    left = TimeLeft([], slots=2)
    assert left.of_epochs({small: 4, large: 4}) is None
    left.add(SMALL[0])
    train(left, SMALL[0], at=0.0, epoch_s=1.0)
    assert left.of_epochs({small: 4, large: 4}) == (4.0, True)  # of the others nothing is known yet
    left.add(LARGE[0])
    train(left, LARGE[0], at=2.0, epoch_s=10.0)
    assert left.of_epochs({small: 4, large: 4, "another": -1}) == (22.0, True)
    assert left.worker_s_of_epochs({large: 4}) == 40.0


def test_neither_a_resumed_cell_nor_new_workers_are_taken_for_an_epoch() -> None:
    (cell, _) = LARGE
    left = TimeLeft([cell], slots=1)
    left.begin(cell, 100.0)
    left.epoch(cell, 1, 100.1, is_new=False)  # told again, from its checkpoint
    left.epoch(cell, 2, 105.1)
    left.replace(cell)
    left.begin(cell, 200.0)
    for epoch in (1, 2):
        left.epoch(cell, epoch, 200.1, is_new=False)
    assert left.left(200.1).seconds == pytest.approx(10.0)  # type: ignore[union-attr]


def test_what_waits_for_new_workers_costs_nothing() -> None:
    """Of a node that was taken away at night and came back in the morning; they are told of when they are there."""
    (cell,) = trained_with(SMALL, workers=2)[:1]
    left = TimeLeft([cell], slots=1)
    left.begin(cell, 0.0)
    left.epoch(cell, 1, 5.0)
    assert left.spent_s(36_000.0) == 2 * 36_000, "nobody knows yet that they are gone"
    left.replace(cell)
    assert left.spent_s(36_000.0) == 10
    left.replace(cell)
    left.begin(cell, 36_000.0)
    assert left.spent_s(36_002.0) == 14
    left.end(cell, 36_004.0, is_done=False)
    assert left.spent_s(99_000.0) == 18


def test_with_fewer_slots_it_takes_longer() -> None:
    cells = make_cells(ERM, seeds=(0, 1, 2, 3))
    left = TimeLeft(cells, slots=4)
    left.begin(cells[0], 0.0)
    left.epoch(cells[0], 1, 1.0)
    before = left.left(1.0)
    left.widen(1)
    after = left.left(1.0)
    assert before is not None
    assert after is not None
    assert after.seconds > 3 * before.seconds


def test_money_counts_all_workers_and_failed_cells_too() -> None:
    two, other = trained_with(SMALL, workers=2)
    left = TimeLeft([two, other], slots=1)
    now = train(left, two, at=0.0, epoch_s=1.0)
    assert left.spent_s(now) == 4
    left.begin(other, now)
    assert left.spent_s(now + 3) == 10
    left.end(other, now + 3, is_done=False)
    assert left.spent_s(now + 99) == 10
    assert left.worker_s_left(now) == 0


def test_the_first_epoch_of_a_training_is_news() -> None:
    erm, mixup = trained_with(make_cells(ERM, MIXUP, seeds=(0,)), epochs=2)
    left = TimeLeft([erm, mixup], slots=1)
    left.begin(erm, 0.0)
    news = left.epoch(erm, 1, 1.0)
    assert news is not None
    assert news.epoch_s == 1.0
    assert left.epoch(erm, 2, 2.0) is None
    left.begin(mixup, 2.0)
    assert left.epoch(mixup, 1, 3.0) is None
