"""Of a search, a name that several rows have means the best placed of them: a badly drawn baseline is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from raced_samples import EPOCHS, raced
from shown import words
from sweep_samples import ERM, MIXUP, make_cells, trained_with

from orchestrator.errors import UserError
from orchestrator.experiment import Cell, Comparing
from orchestrator.opened import Opened
from orchestrator.results import (
    Wanted,
    check_usual,
    check_wanted,
    compare,
    kept_lines,
    price_line,
    settle,
    wanted_of,
)
from orchestrator.results.wording import remarks
from orchestrator.storage import Choice, Confirmation

ROOT = Path(__file__).parents[2]
# Of erm the third is the best, and mixup is better with all.
RATES = (0.02, 0.5, 0.1, 0.3)
CELLS = [cell for lr in RATES for cell in trained_with(make_cells(ERM, MIXUP, seeds=range(3)), epochs=EPOCHS, lr=lr)]


def error_of(cell: Cell, epoch: int) -> float:
    return round(0.3 + abs(cell.train.lr - 0.1) - 0.1 * (cell.augment == MIXUP) + 0.01 * cell.seed + 1 / epoch, 6)


SEARCH, RUNS = raced(CELLS, curve=error_of, name=lambda cell: f"{cell.augment.label}, lr={cell.train.lr:g}")


def chosen(wanted: Wanted = Wanted(), before: Confirmation | None = None, **usual: object) -> Choice:  # noqa: B008 - frozen
    settled = settle(
        CELLS,
        RUNS,
        before or Confirmation(sweep="sample"),
        check_wanted(wanted, CELLS, Comparing(), is_searched=True),
        comparing=Comparing(),
        known_keys=frozenset,
        now="2026-11-30 01:00",
        usual=check_usual(Wanted(**usual), CELLS),  # type: ignore[arg-type]
        races=[SEARCH],
    )
    (choice,) = settled.choices
    return choice


@pytest.mark.parametrize(("wanted", "usual"), [(("erm",), ()), ((), ("erm",)), ((), ())], ids=["user", "file", "none"])
def test_a_name_is_the_best_placed_row_when_it_is_chosen(wanted: tuple[str, ...], usual: tuple[str, ...]) -> None:
    choice = chosen(Wanted(top=2, num_seeds=4, against=wanted), against=usual)
    assert choice.against == ("erm, lr=0.1",)
    assert [row.row for row in choice.taken] == [f"{MIXUP.label}, lr=0.1", f"{MIXUP.label}, lr=0.02", "erm, lr=0.1"]


def test_what_was_begun_by_a_name_goes_on_by_the_name_or_by_the_row() -> None:
    choice = chosen(Wanted(against=("erm",)))
    before = Confirmation(sweep="sample", choices=(choice,))
    for row in ("erm", "erm, lr=0.1"):
        assert chosen(Wanted(against=(row,)), before) == choice
        assert not list(kept_lines([choice], Wanted(against=(row,))))
    with pytest.raises(UserError, match=r"against erm, lr=0\.1"):
        chosen(Wanted(against=("erm, lr=0.3",)), before)
    with pytest.raises(UserError, match="there is no such row"):
        chosen(Wanted(against=("ern",)), before)


def test_another_column_has_its_own_best_row() -> None:
    first = chosen(Wanted(against=("erm",)))
    elsewhere = first.model_copy(update={"model": "resnet18"})
    choice = next(
        each
        for each in settle(
            [*CELLS, CELLS[0].model_copy(update={"model": CELLS[0].model.model_copy(update={"name": "resnet18"})})],
            RUNS,
            Confirmation(sweep="sample", choices=(elsewhere,)),
            Wanted(),
            comparing=Comparing(),
            known_keys=frozenset,
            now="2026-11-30 01:00",
            races=[SEARCH],
        ).choices
        if each.model == "convnet"
    )
    assert choice.against == ("erm, lr=0.1",)


def test_a_plan_prices_a_row_for_each_name() -> None:
    usual = check_usual(Wanted(top=2, num_seeds=4, against=("erm", "erm, lr=0.5")), CELLS)
    (line,) = price_line(CELLS, Comparing(), usual=usual, is_searched=True)
    assert "16 cells more: the 2 best rows and the best row of erm and erm, lr=0.5 on 4 new seeds" in line


def test_a_table_compares_with_the_best_placed_and_says_so() -> None:
    table = compare(CELLS, RUNS, races=[SEARCH])
    assert table.baseline == "erm, lr=0.1"
    said = words(" ".join(remarks(table)))
    assert "erm, lr=0.1 is the baseline; of 4 rows have" not in said
    assert "erm, lr=0.1 is the baseline: of 4 rows with its augmentation it is placed best by validation" in said
    assert compare(CELLS, RUNS, baseline="erm", races=[SEARCH]).exploratory == ()
    assert compare(CELLS, RUNS, baseline="erm, lr=0.3", races=[SEARCH]).exploratory
    nothing = replace(SEARCH, search=replace(SEARCH.search, races=()))
    assert compare(CELLS, {}, races=[nothing]).baseline == "erm, lr=0.02", "as long as nothing is decided, the first"


def test_of_a_grid_who_asks_is_asked_which() -> None:
    with pytest.raises(UserError, match="4 rows are erm"):
        check_wanted(Wanted(against=("erm",)), CELLS, Comparing())


@pytest.mark.parametrize("file", sorted((ROOT / "experiments").glob("search-*.yaml")), ids=lambda file: file.stem)
def test_what_a_shipped_search_confirms_is_known_to_the_plan(file: Path, tmp_path: Path) -> None:
    opened = Opened(str(file), [f"storage={tmp_path}"])
    usual = check_usual(wanted_of(opened.experiment), opened.cells)
    (line,) = price_line(opened.cells, opened.experiment.compare, usual=usual, is_searched=True)
    assert "40 cells more: the 3 best rows and the best row of erm on 10 new seeds" in line
