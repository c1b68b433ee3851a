"""Which attempts at a cell count, and when there shall be no other."""

from __future__ import annotations

from orchestrator.experiment import Resources
from orchestrator.sweep.attempts import Attempts


class Clock:
    """Shows what it is set to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_nodes_that_are_lost_end_a_cell_only_when_nothing_comes_of_it_for_long() -> None:
    clock = Clock()
    attempts = Attempts(Resources(max_failures=1, give_up_after_s=100), clock=clock)
    for number in range(1, 6):
        attempts.accept(number, frozenset({f"n{number}"}))
        clock.now += 60
        attempts.advance(number)
        clock.now += 90
        attempts.end()
        # How long nobody trained does not count.
        attempts.excuse_those_on({f"n{number}": "node two"})
        clock.now += 1e6
        assert attempts.given_up("error") is None
    attempts.accept(6, frozenset({"n6"}))
    # What it goes on behind is told again.
    for epoch in range(1, 6):
        attempts.advance(epoch)
    clock.now += 60
    attempts.end()
    attempts.excuse_those_on({"n6": "node three"})
    assert attempts.failures == 0
    assert attempts.given_up("error") == (
        "no epoch was finished in 150 s of 6 attempts (resources.give_up_after_s = 100); the last: node three was "
        "lost: no failure of the cell"
    )


def test_a_long_epoch_is_no_reason_to_give_up() -> None:
    clock = Clock()
    attempts = Attempts(Resources(max_failures=2, give_up_after_s=100), clock=clock)
    attempts.accept(1)
    clock.now = 1e5
    attempts.end()
    assert attempts.given_up("killed") is None
    attempts.accept(2)
    assert attempts.given_up("killed") == "killed (2 attempts)"


def test_a_node_that_goes_later_excuses_nothing() -> None:
    clock = Clock()
    attempts = Attempts(Resources(max_failures=3), clock=clock)
    attempts.accept(1, frozenset({"a"}))
    attempts.end()
    assert attempts.suspects == {"a"}
    clock.now = 600.0
    attempts.accept(2, frozenset({"b"}))
    attempts.end()
    assert attempts.suspects == {"b"}
    attempts.excuse_those_on({"a": "node one"})
    assert attempts.failures == 2
    attempts.excuse_those_on({"b": "node two"})
    assert attempts.failures == 1
