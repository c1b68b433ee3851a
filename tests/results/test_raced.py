"""How far a search is, in words, states and `status`: the numbers are those of its rungs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from raced_samples import EPOCHS, RACED, cells_of, experiment_of, followed, raced
from shown import text_of, words

from orchestrator.experiment import expand
from orchestrator.results import progress_text, races_of, render_status, search_lines, stopped_text
from orchestrator.results.raced import Raced
from orchestrator.search import Rung

CELLS = cells_of()
KEPT = "mixup(alpha=0.1)"


def names(found: Raced) -> list[str]:
    return [found.called(name) for name in found.order]


@pytest.mark.parametrize(
    ("rounds", "said"),
    [
        (0, "rung 1 of 4, 12 of 12 left, 0 % of the grid's epochs"),
        (1, "rung 2 of 4, 8 of 12 left, 5 % of the grid's epochs"),
        (2, "rung 3 of 4, 4 of 12 left, 15 % of the grid's epochs"),
        (3, "rung 4 of 4, 2 of 12 left, 21 % of the grid's epochs"),
        (None, "over, 31 % of the grid's epochs"),
    ],
)
def test_progress_says_rung_and_share_of_the_grid(rounds: int | None, said: str) -> None:
    found, _ = raced(CELLS, rounds=rounds)
    assert progress_text([found]) == said


def test_of_several_searches_it_says_how_many_are_over() -> None:
    open_, over = raced(CELLS, rounds=1)[0], raced(CELLS)[0]
    share = 100 * (open_.trained_epochs + over.trained_epochs) // (2 * over.grid_epochs)
    assert progress_text([open_, over]) == f"1 of 2 searches over, {share} % of the grid's epochs"
    assert progress_text([]) == ""
    assert progress_text([open_], trained=over.grid_epochs // 2).endswith("50 % of the grid's epochs")


def test_states_are_those_of_the_race() -> None:
    found, runs = raced(CELLS, rounds=1)
    states = {(cell.augment.label, cell.seed): found.state(cell, runs.get(cell.key)) for cell in CELLS}
    assert states["mixup(alpha=0.1)", 0] == "stopped"
    assert states["mixup(alpha=0.1)", 4] == "stopped"  # it would never be trained
    assert states["mixup(alpha=1.1)", 0] == "interrupted"  # its leg is open, and nobody works on it
    assert states["mixup(alpha=1.1)", 1] == "missing"
    cell = next(cell for cell in CELLS if cell.augment.label == "mixup(alpha=1.1)" and cell.seed == 0)
    assert found.state(cell, replace(runs[cell.key], race="paused")) == "paused"  # it waits for its turn
    over, runs = raced(CELLS)
    assert {over.state(cell, runs.get(cell.key)) for cell in CELLS} == {"done", "stopped"}


def test_who_has_trained_for_its_rung_is_paused_until_it_is_decided() -> None:
    found, runs = raced(CELLS, rounds=1)
    first, *others = found.search.decision.legs
    half = replace(found, search=replace(found.search, decision=found.search.decision._replace(legs=tuple(others))))
    cell = next(cell for cell in CELLS if (cell.config_key, cell.seed) == first[:2])
    assert half.state(cell, runs[cell.key]) == "paused"


def test_who_got_further_comes_first_and_means_of_other_rungs_are_not_compared() -> None:
    found, _ = raced(
        CELLS, curve=lambda cell, epoch: 0.1 + (0.1 if epoch > 2 else 0.0) - 0.001 * RACED.index(cell.augment)
    )
    # In later rungs all are worse than the worst of the first.
    rungs = [found.reached[name].standing.number for name in found.order]
    assert rungs == sorted(rungs, reverse=True)
    assert names(found)[:2] == ["mixup(alpha=1.1)", "mixup(alpha=1.0)"]
    assert names(found)[-1] == "erm"


@pytest.mark.parametrize(
    ("changes", "row", "said"),
    [
        ({}, KEPT, ("1 of 4", "11 of 12", "59.70 %", "58.80 %")),
        ({"failed": [(KEPT, 0)]}, KEPT, ("1 of 4", "12 of 12", "failed", "58.80 %")),
        (
            {"curve": lambda *_: 0.5},
            "mixup(alpha=1.1)",
            ("1 of 4", "12 of 12", "50.00 %", "50.00 %, tied: by the order of the file"),
        ),
    ],
)
def test_why_a_configuration_was_stopped(changes: dict[str, object], row: str, said: tuple[str, ...]) -> None:
    found, _ = raced(CELLS, rounds=1, **changes)  # type: ignore[arg-type]
    (name,) = [name for name in found.points if found.called(name) == row]
    assert stopped_text(found.reached[name]) == said


def test_lines_of_a_search_say_winner_rungs_and_what_a_batch_was() -> None:
    found, _ = raced(CELLS)
    lines = list(search_lines(found, found.called))
    assert lines[0] == (
        "the search is over: mixup(alpha=1.1) won by validation, with 42.98 %; 12 configurations, 152 of the grid's "
        "480 epochs (31 %)."
    )
    assert "rung 1 of 4 (1 seed to epoch 2): 4 of 12 stopped, the last to go on had 58.80 %; " in lines[1]
    assert lines[1].endswith("rung 4 of 4 (5 seeds to epoch 8): 2 to the end, mixup(alpha=1.1) is the first.")
    batches, _ = raced(CELLS, batch=6, rounds=1)
    assert progress_text([batches]).startswith("batch 1 of 2, rung 2 of ")
    nobody, _ = raced(
        CELLS,
        rungs_of=lambda _: (Rung(2, 4, 1), Rung(5, EPOCHS, 1)),
        failed=[("mixup(alpha=1.1)", seed) for seed in (3, 4)],
    )
    assert next(search_lines(nobody, nobody.called)).startswith("the search is over without a winner: ")


@pytest.mark.parametrize("width", [80, 120])
def test_status_says_how_far_the_race_is_and_who_was_stopped(width: int) -> None:
    found, runs = raced(CELLS, rounds=2)
    text = text_of(render_status(CELLS, runs, races=[found]), width)
    flat = words(text)
    assert "- the search: rung 3 of 4, 4 of 12 left; 72 of the grid's 480 epochs (15 %), at most 152." in flat
    assert "mixup(alpha=0.7) 2 of 4 5 of 8 48.38 % 48.12 %" in flat
    assert "mixup(alpha=0.1) 1 of 4 11 of 12 59.70 % 58.80 %" in flat
    assert flat.index("mixup(alpha=0.7) 2 of 4") < flat.index("mixup(alpha=0.1) 1 of 4")
    assert "60 cells: 8 interrupted, 40 stopped, 12 missing" in flat
    assert "stopped: " not in flat  # that is no failure
    assert max(map(len, text.splitlines())) <= width


def test_a_search_as_it_is_followed_is_shown_as_it_is() -> None:
    experiment = experiment_of()
    now, runs = followed(experiment)
    (found,) = races_of(now)
    assert found.label == "digits / convnet"
    assert progress_text([found]) == f"over, {100 * now.epochs.trained // now.epochs.of_grid} % of the grid's epochs"
    winner = now.columns[0].winner
    assert winner is not None
    assert found.called(winner) == "mixup(alpha=1.1)"
    states = [found.state(cell, runs.get(cell.key)) for cell in expand(experiment)]
    assert states == [runs[cell.key].status for cell in expand(experiment)]
    assert races_of(None) == ()


def test_a_grid_that_was_trained_all_the_same_has_nobody_stopped() -> None:
    found, runs = raced(CELLS)
    everything = {cell.key: replace(next(iter(runs.values())), key=cell.key, status="done") for cell in CELLS}
    text = text_of(render_status(CELLS, everything, races=[found]), 120)
    assert "4 of 12" not in text.partition("is the first.")[2], "there is no table of those that were stopped"
    assert "60 cells: 60 done" in text
