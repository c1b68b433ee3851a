"""What a sweep is compared with."""

from __future__ import annotations

from collections.abc import Sequence

from report import Report
from sweep_results import Results, assert_each_row_once, assert_same
from sweeps import Sweep


class Undisturbed:
    """A sweep to which nothing happened.

    Attributes:
        sweep: It, ended.
        results: What it left.
    """

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        sweep.start()
        assert sweep.wait() == 0, sweep.output
        self.results: Results = sweep.results()
        assert_each_row_once(self.results, epochs=sweep.epochs)

    def assert_same(self, other: Sweep, report: Report, faults: Sequence[str]) -> None:
        """Check that `other` ended as this one, with as many of its cells, and left nothing behind.

        Args:
            other: The sweep, ended.
            report: Takes what it lost.
            faults: What happened to it, as `report` calls it.
        """
        found, expected = other.results(), self.results.of(other.keys)
        report.cost(faults, lost=found.lost(expected), twice=found.twice(expected))
        assert_same(found, expected)
        assert other.tables() == other.at(self.sweep.storage).tables()
        other.assert_one_parent()
        other.assert_tidy()
