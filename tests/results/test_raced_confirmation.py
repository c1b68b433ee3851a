"""What is confirmed of a search: who came to the end, then who got furthest; as the file says it, unless one asks."""

from __future__ import annotations

import pytest
from raced_samples import cells_of, experiment_of, raced

from orchestrator.errors import UserError
from orchestrator.experiment import Comparing, Confirming
from orchestrator.records import CellRun
from orchestrator.results import Wanted, check_usual, choice_lines, kept_lines, price_line, settle, wanted_of
from orchestrator.results.confirmation import confirming
from orchestrator.results.raced import Raced
from orchestrator.storage import FIRST_SEED, Choice, Confirmation

CELLS = cells_of()
NEW = Confirmation(sweep="sample")


def chosen(
    found: Raced,
    runs: dict[str, CellRun],
    wanted: Wanted = Wanted(),  # noqa: B008 - frozen
    *,
    usual: Wanted | None = None,
    before: Confirmation = NEW,
) -> Choice:
    settled = settle(
        CELLS,
        runs,
        before,
        wanted,
        comparing=Comparing(),
        known_keys=frozenset,
        now="2026-11-30 01:00",
        usual=usual,
        races=[found],
    )
    (choice,) = settled.choices
    return choice


def taken(choice: Choice) -> list[str]:
    return [row.row for row in choice.taken]


def test_the_best_are_those_that_came_to_the_end_and_then_who_got_furthest() -> None:
    found, runs = raced(CELLS, keep=["erm"])
    choice = chosen(found, runs, Wanted(top=4))
    assert taken(choice) == ["mixup(alpha=1.1)", "mixup(alpha=1.0)", "mixup(alpha=0.9)", "mixup(alpha=0.8)", "erm"]
    assert [row.rung for row in choice.taken] == [None, None, 3, 3, None]
    assert [len(row.cells) for row in choice.taken] == [5, 5, 2, 2, 5]
    said = list(choice_lines(choice))
    assert "  3. mixup(alpha=0.9): stopped in rung 3 of the race, best/error 43.09 %, n=2/5" in said
    assert not any("tie" in line for line in said)


def test_a_baseline_that_was_stopped_is_trained_all_the_same() -> None:
    found, runs = raced(CELLS)
    choice = chosen(found, runs, Wanted(top=1))
    assert taken(choice) == ["mixup(alpha=1.1)", "erm"]
    assert choice.taken[1].rung == 1


@pytest.mark.parametrize(
    ("usual", "wanted", "is_taken"),
    [
        (Wanted(top=2, num_seeds=4, against=("erm",)), Wanted(), (2, 4)),
        (Wanted(top=2, num_seeds=4), Wanted(top=1, num_seeds=6), (1, 6)),
        (Wanted(top=50), Wanted(), (11, 10)),  # all that there are
        (Wanted(), Wanted(), (3, 10)),
    ],
)
def test_the_file_says_what_is_usual(usual: Wanted, wanted: Wanted, is_taken: tuple[int, int]) -> None:
    found, runs = raced(CELLS, keep=["erm"])
    choice = chosen(found, runs, wanted, usual=usual)
    assert (len(choice.taken) - 1, len(choice.seeds)) == is_taken
    assert choice.seeds[0] == FIRST_SEED


def test_what_was_begun_stays_whatever_the_file_says_later_and_that_is_said() -> None:
    found, runs = raced(CELLS, keep=["erm"])
    first = chosen(found, runs, usual=Wanted(top=2, num_seeds=4))
    before = Confirmation(sweep="sample", choices=(first,))
    again = chosen(found, runs, usual=Wanted(top=3, num_seeds=2), before=before)
    assert again == first
    (said,) = kept_lines([again], Wanted(top=3, num_seeds=2))
    assert said.startswith(
        "digits / convnet: search.confirm says top: 3, seeds: 2 now; what was begun stays: top 2 on 4"
    )
    assert not list(kept_lines([again], Wanted(top=2)))
    # More seeds are added, as the option adds them.
    more = chosen(found, runs, usual=Wanted(top=2, num_seeds=6), before=before)
    assert (len(more.seeds), more.seeds[:4]) == (6, first.seeds)


@pytest.mark.parametrize(
    ("rounds", "failed", "said"),
    [
        (
            1,
            [],
            r"the search is not over: rung 2 of 4, .* left, .* of the grid's epochs\n.*zetasweep run goes on with it",
        ),
        (None, [(f"mixup(alpha={alpha})", 4) for alpha in (1.0, 1.1)], "the search has no winner"),
    ],
)
def test_there_is_nothing_to_confirm_before_the_search_has_a_winner(
    rounds: int | None, failed: list[tuple[str, int]], said: str
) -> None:
    found, runs = raced(CELLS, rounds=rounds, failed=failed)
    with pytest.raises(UserError, match=said):
        chosen(found, runs)


def test_the_defaults_are_those_of_search_confirm() -> None:
    experiment = experiment_of(confirm=Confirming(top=2, seeds=4, against=("erm",)))
    usual = check_usual(wanted_of(experiment), CELLS)
    assert usual == Wanted(2, 4, ("erm",))
    (line,) = price_line(CELLS, experiment.compare, usual=usual)
    assert line.endswith("would train 12 cells more: the 2 best rows and erm on 4 new seeds")
    assert wanted_of(experiment_of()) == wanted_of(experiment.model_copy(update={"search": None})) == Wanted()
    with pytest.raises(UserError, match=r"search\.confirm\.against = emr: there is no such row"):
        check_usual(Wanted(against=("emr",)), CELLS)


def test_what_is_confirmed_is_neither_raced_nor_drawn_once_more() -> None:
    found, runs = raced(CELLS, keep=["erm"])
    confirmation = Confirmation(sweep="sample", choices=(chosen(found, runs, Wanted(top=1, num_seeds=2)),))
    whole, cells = confirming(experiment_of(), confirmation)
    assert (whole.search, whole.drawn) == (None, ())
    assert {(cell.augment.label, cell.seed) for cell in cells} == {
        (row, seed) for row in ("erm", "mixup(alpha=1.1)") for seed in (FIRST_SEED, FIRST_SEED + 1)
    }
