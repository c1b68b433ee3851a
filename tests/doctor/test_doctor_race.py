"""A search that stands still is found; that cells were stopped by it is none."""

from __future__ import annotations

from dataclasses import replace

import pytest
from raced_samples import experiment_of, followed

from orchestrator.doctor.finding import Finding
from orchestrator.doctor.race import examine_race


@pytest.mark.parametrize(
    ("rounds", "at_work", "said"),
    [
        (0, False, []),  # nothing has begun
        (1, True, ["search: rung 2 of 4, 9 of 12 left, 5 % of the grid's epochs"]),
        (None, False, ["search: over, 39 % of the grid's epochs"]),
    ],
)
def test_a_race_that_goes_on_or_is_over_is_no_finding(rounds: int | None, at_work: bool, said: list[str]) -> None:
    now, runs = followed(experiment_of(), rounds=rounds)
    assert list(examine_race(now, runs, at_work=at_work)) == said


def test_one_that_nobody_trains_is_a_note() -> None:
    now, runs = followed(experiment_of(), rounds=1)
    _, finding = examine_race(now, runs, at_work=False)
    assert isinstance(finding, Finding)
    assert finding.severity == "note"
    assert finding.where.startswith("digits / convnet: rung 2 waits for 18 of 18 legs: digits convnet ")
    assert finding.remedy == "zetasweep run goes on with it"


def test_one_whose_cell_has_trained_and_has_no_value_is_a_fault() -> None:
    experiment = experiment_of()
    now, runs = followed(experiment, rounds=1)
    leg = next(leg for leg in now.legs if leg.cell.key in runs)
    deaf = runs | {leg.cell.key: replace(runs[leg.cell.key], epoch=leg.until)}
    for at_work in (False, True):
        _, finding = examine_race(now, deaf, at_work=at_work)
        assert isinstance(finding, Finding)
        assert finding.severity == "error"
        assert finding.what == "a race stands still: MLflow lacks what its rung has to know"
        assert finding.where.endswith(f"(cell {leg.cell.key}): no validation error of epoch {leg.until}")
    training = deaf | {leg.cell.key: replace(deaf[leg.cell.key], status="running")}
    assert len(list(examine_race(now, training, at_work=True))) == 1
