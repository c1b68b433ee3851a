"""A race whose rows are equal says so: of those that were stopped, and of the one that won."""

from __future__ import annotations

import pytest
from raced_samples import RACED, cells_of, raced

from orchestrator.results import search_lines, winner_text

CELLS = cells_of()


def test_ties_are_told_of_who_was_stopped_and_of_who_won() -> None:
    found, _ = raced(CELLS, curve=lambda *_: 0.1)
    won, rungs = search_lines(found, found.called)
    assert "erm won by validation, with 10.00 %, tied with mixup(alpha=0.1): by the order of the file; " in won
    assert "4 of 12 stopped, the last to go on had 10.00 %, 4 tied with it; " in rungs
    assert "beyond" not in rungs


def test_without_a_tie_nothing_is_said_of_one() -> None:
    found, _ = raced(CELLS)
    assert "tied" not in " ".join(search_lines(found, found.called))
    assert winner_text(raced(CELLS, rounds=1)[0], found.called) == ""


@pytest.mark.parametrize("num_failed", [7, 12])
def test_who_failed_is_no_bar(num_failed: int) -> None:
    failed = {(augment.label, 0) for augment in RACED[-num_failed:]}
    found, _ = raced(CELLS, failed=failed)
    assert "had failed" not in " ".join(search_lines(found, found.called))
