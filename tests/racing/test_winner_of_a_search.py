"""A search has one winner: the race, `select` and `confirm` read the same of validation, and tell ties apart alike."""

from __future__ import annotations

from pathlib import Path

import pytest
from simulated_races import LISTS, Simulated, errors, opened

from orchestrator.experiment import Comparing
from orchestrator.results import Wanted, select, settle
from orchestrator.results.raced import races_of
from orchestrator.results.selection_text import render_selection
from orchestrator.storage import Confirmation


@pytest.mark.parametrize("race", ["ladder", "none"])
@pytest.mark.parametrize("best_by", ["error", "loss", "last"])
def test_the_race_and_what_is_selected_and_confirmed_have_one_winner(tmp_path: Path, race: str, best_by: str) -> None:
    """The values are few, so that many means are equal."""
    experiment = opened(tmp_path, LISTS, f"search.race={race}", f"train.best_by={best_by}", "search.keep=[]")
    num_ties = 0
    for salt in range(12):
        simulated = Simulated(experiment, of=lambda key, epoch, salt=salt: errors(f"{salt} {key}", epoch))  # type: ignore[misc]
        followed = simulated.drive()
        winner, races = followed.columns[0].winner, races_of(followed)
        cells, runs = followed.cells, followed.seen(simulated.runs)
        (selection,) = select(cells, runs, races=races)
        assert selection.best is not None
        assert selection.best.cells[0].config_key == winner
        num_ties += bool(selection.tied)
        if selection.tied and all(other.loss != selection.best.loss for other in selection.tied):
            said = " ".join(str(line) for line in render_selection([selection]).renderables)  # type: ignore[attr-defined]
            assert "the one of the lowest loss, as in the race, is chosen" in said
        settled = settle(
            cells,
            runs,
            Confirmation(sweep="lists"),
            Wanted(top=1, num_seeds=2, against=("mixup(alpha=0.2)",)),
            comparing=Comparing(),
            known_keys=frozenset,
            now="2026-11-30 01:00",
            races=races,
        )
        assert winner in {row.configuration for row in settled.choices[0].taken}
    assert num_ties or race == "ladder"
