"""Legs are handed out once, in their order, and what follows comes when a rung is over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sweep_samples import ERM, MIXUP, ZETA, make_cells
from tracked import FACTS

from orchestrator.racing import CellLeg, Course, to_the_end
from orchestrator.records import EPOCH_S, CellResult, CellRun, EpochResult, Failed, Interrupted, Paused, Started

CELLS = make_cells(ERM, MIXUP, ZETA, seeds=(0,))
A, B, C = CELLS


def test_without_a_search_each_cell_is_a_leg_to_its_end() -> None:
    course = Course({}, to_the_end(CELLS))
    assert [course.next() for _ in CELLS] == [CellLeg(cell, cell.train.epochs) for cell in CELLS]
    assert (course.next(), course.num_left, course.is_over) == (None, 3, False)
    for cell, event in ((A, CellResult({}, 1)), (B, Failed("nan")), (B, Failed("twice")), (C, Interrupted())):
        course.take(cell, event)
    assert (course.num_left, course.is_over) == (1, False), "what is interrupted has not ended"
    course.take(C, CellResult({}, 1))
    assert course.is_over


def test_what_follows_is_asked_for_when_a_column_has_no_leg_left() -> None:
    asked: list[Mapping[str, CellRun]] = []
    rungs = {0: [[CellLeg(A, 2), CellLeg(B, 2)], [CellLeg(C, 2)]], 1: [[CellLeg(A, 2), CellLeg(B, 2)], []]}

    def advance(runs: Mapping[str, CellRun]) -> list[list[CellLeg]]:
        asked.append(dict(runs))
        return rungs.get(len(asked) - 1, [[CellLeg(A, 4)], []])

    course = Course({}, advance, read_at=lambda _: (2,))
    for _ in range(3):
        course.next()
    course.take(C, Paused(2, 1))
    assert len(asked) == 2, "the other column is not over"
    course.take(A, Paused(2, 1))
    assert course.next() is None
    course.take(B, Paused(2, 1))
    assert course.next() == CellLeg(A, 4)
    course.take(A, Paused(4, 1))
    assert course.is_over, "a leg that brought nothing is not trained for ever"


def test_a_leg_that_was_lost_is_handed_out_again_and_not_for_ever() -> None:
    """A race decides nothing without it, and nobody else is going to train it over the weekend."""
    asked: list[Mapping[str, CellRun]] = []

    def advance(runs: Mapping[str, CellRun]) -> list[list[CellLeg]]:
        asked.append(dict(runs))
        return [[CellLeg(A, 2), CellLeg(B, 2)]]

    course = Course({}, advance, tries_of_lost=2)
    assert [course.next(), course.next()] == [CellLeg(A, 2), CellLeg(B, 2)]
    course.take(A, Failed("three workers died", is_lost=True))
    assert course.next() is None, "not before the others have ended: it may be the node"
    course.take(B, Failed("the loss is not finite"))
    for _ in range(2):
        assert course.next() == CellLeg(A, 2)
        course.take(A, Failed("three workers died", is_lost=True))
    assert course.next() is None
    assert course.is_over


def test_it_hears_what_the_runs_will_say() -> None:
    course = Course({}, to_the_end([A]), read_at=lambda _: (2,))
    course.next()
    results = [EpochResult(n, {"val/error": 0.1 * n, "val/loss": n, EPOCH_S: 3.0}, 4_000 * n) for n in (1, 2, 3)]
    for event in (Started(FACTS), results[0], *results, Paused(3, 1)):
        course.take(A, event)
    run = course.runs[A.key]
    assert (run.status, run.epoch, run.num_images) == ("interrupted", 3, {"train": 10})
    assert run.curve is not None
    # Of the first two epochs the first is the better one: it would be tested.
    assert run.curve.values == {"best/error": {2: 0.1}, "best/loss": {2: 1}}
    assert run.curve.epoch_s == 3.0


def test_whoever_takes_a_leg_may_choose_and_each_is_taken_once() -> None:
    course = Course({}, to_the_end(CELLS))
    seen: list[list[CellLeg]] = []

    def last(legs: Sequence[CellLeg]) -> int:
        seen.append(list(legs))
        return len(legs) - 1

    assert course.num_waiting == 3
    assert [course.next(last), course.next(), course.next(last), course.next(last)] == [
        *(CellLeg(cell, cell.train.epochs) for cell in (C, A, B)),
        None,
    ]
    assert [[leg.cell for leg in legs] for legs in seen] == [[A, B, C], [B]]
    assert (course.num_waiting, course.at_work) == (0, [C, A, B])
