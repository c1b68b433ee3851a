"""Tables of what was raced: nothing is ranked that is not alike, and nothing is tested that picked itself."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping

import pytest
from raced_samples import RACED, cells_of, error_of, raced
from shown import text_of, words

from orchestrator.experiment import Cell
from orchestrator.records import CellRun
from orchestrator.results import Names, answer_of, compare, lacks_for_publication, render, render_selection, select
from orchestrator.results.raced import Raced

CELLS = cells_of()
OVER, RUNS = raced(CELLS, keep=["erm"])
TO_THE_END = ("erm", "mixup(alpha=1.0)", "mixup(alpha=1.1)")


def whole_grid() -> tuple[Raced, dict[str, CellRun]]:
    """The race, and the runs of a grid that was trained before it was asked for."""
    _, runs = raced(CELLS, rungs_of=lambda _: OVER.search.races[0].rungs[-1:])
    return OVER, runs


def test_nothing_is_starred_and_nothing_has_an_interval() -> None:
    table = compare(CELLS, RUNS, races=[OVER])
    assert not table.analyses
    assert not table.new_images
    assert not table.seen  # nobody was told anything that more seeds would have to allow for
    assert {entry.standing for entry in table.entries.values()} == {"not judged", "stopped"}
    assert table.standing_rows == TO_THE_END
    shown = words(text_of(render(table, "table", differences=True)))
    assert "No differences are shown of rows that were raced: zetasweep confirm measures them" in shown
    assert "* best" not in shown
    assert "of what is raced no row is starred and none has an interval" in shown


def test_what_is_stopped_stands_below_a_line_with_validation_alone() -> None:
    table = compare(CELLS, RUNS, races=[OVER])
    # Who got furthest first; two seeds of rung 3 have trained to the end, and their tests are not shown either.
    assert table.stopped_rows[:3] == ("mixup(alpha=0.9)", "mixup(alpha=0.8)", "mixup(alpha=0.7)")
    (column,) = table.columns
    stopped = table.entries["mixup(alpha=0.9)", column]
    assert not stopped.values
    assert stopped.reached is not None
    assert stopped.reached.standing.rung[:2] == (2, 8)
    upper, lower = text_of(render(table, "table")).split("Stopped by a race: ")
    assert [line.split("  ")[0] for line in upper.splitlines() if line.startswith(("erm", "mixup"))] == [*TO_THE_END]
    assert "mixup(alpha=0.9) 43.09 rung 3, n=2" in words(lower)
    assert "mixup(alpha=0.1) 59.70 rung 1, n=1" in words(lower)


@pytest.mark.parametrize(
    ("format", "above", "below"),
    [
        ("markdown", "| erm | 46.45", "| 59.70 rung 1, n=1 |"),
        ("latex", "ERM & 46.45", "& 59.70 (rung 1, n=1)"),
    ],
)
def test_files_for_people_have_the_same_line(format: str, above: str, below: str) -> None:
    shown = str(render(compare(CELLS, RUNS, races=[OVER]), format))  # type: ignore[arg-type]
    line = shown.lower().index("stopped by a race")
    assert shown.index(above) < line < shown.index(below)


def test_json_and_csv_have_the_rungs_and_no_value_of_what_was_stopped() -> None:
    table = compare(CELLS, RUNS, races=[OVER])
    document = json.loads(str(render(table, "json", runs=RUNS)))
    (column,) = document["columns"]
    assert column["race"]["winner"] == "mixup(alpha=1.1)"
    assert column["race"]["epochs"] == {"trained": 190, "at_most": 190, "grid": 480}
    assert column["these_images"] is None
    entries = {entry["row"]: entry for entry in document["entries"]}
    assert entries["mixup(alpha=0.9)"]["race"] == {
        **{"rung": 3, "seeds": 2, "epochs": 8, "place": 3, "of": 5, "stopped": True},
        "val_error": pytest.approx(0.430875),
        "cut": pytest.approx(0.428625),
    }
    assert entries["mixup(alpha=0.9)"]["mean"] is None
    assert [each["value"] for each in entries["mixup(alpha=0.9)"]["replicates"]] == [None] * 5
    assert [each["state"] for each in entries["mixup(alpha=0.9)"]["replicates"]] == ["done"] * 2 + ["stopped"] * 3
    assert entries["mixup(alpha=1.1)"]["mean"] == pytest.approx(0.43975)
    lines = list(csv.DictReader(io.StringIO(str(render(table, "csv", runs=RUNS)))))
    (line,) = (each for each in lines if each["row"] == "mixup(alpha=0.1)" and each["seed"] == "0")
    assert (line["value"], line["state"], line["rung"], line["rung_seeds"]) == ("", "stopped", "1", "1")
    assert float(line["rung_cut"]) < float(line["rung_val_error"])
    plain = next(csv.reader(io.StringIO(str(render(compare(CELLS, RUNS), "csv", runs=RUNS)))))
    assert "rung" not in plain  # what has no race has the columns that it always had


def test_mlflow_is_told_the_same_in_the_order_of_the_race() -> None:
    answer = answer_of(compare(CELLS, RUNS, races=[OVER]), Names())
    rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    assert [row["augment"] for row in rows[:4]] == [
        "mixup(alpha=1.1)",
        "mixup(alpha=1.0)",
        "erm",
        "mixup(alpha=0.9)",
    ]
    assert {row["metric"] for row in rows[:3]} == {"test/error in %"}
    assert rows[3]["metric"] == "best/error in % until epoch 8 (rung 3)"
    assert rows[-1]["standing"] == "stopped"
    assert "the search is over: mixup(alpha=1.1) won by validation" in answer.text
    assert len(answer.figures) == len(TO_THE_END)


def test_select_takes_what_came_to_the_end_and_says_why_no_other() -> None:
    (selection,) = select(CELLS, RUNS, races=[OVER])
    assert selection.best is not None
    assert selection.best.cells[0].augment.label == "mixup(alpha=1.1)"
    assert len(selection.ranked) == len(TO_THE_END)
    assert (selection.may_be_best, selection.test_mean) == (None, None)
    said = words(text_of(render_selection([selection]), 400))
    assert "how sure: the picked one of a race looks better than it is; zetasweep confirm" in said
    assert "mixup(alpha=0.9): stopped in rung 3 of 4, place 3 of 5: 43.09 %, the last to go on had 42.86 %" in said


@pytest.mark.parametrize("rounds", [0, 1, 2, 3])
def test_while_it_is_raced_nothing_is_judged_either(rounds: int) -> None:
    found, runs = raced(CELLS, rounds=rounds)
    table = compare(CELLS, runs, races=[found])
    assert not table.analyses
    assert {entry.standing for entry in table.entries.values()} <= {"not judged", "stopped"}
    states: Mapping[str, int] = table.without_value
    num_stopped = len(found.search.decision.stopped)
    assert states.get("stopped", 0) == 5 * num_stopped


def test_a_grid_that_is_there_is_judged_as_ever() -> None:
    found, runs = whole_grid()
    with_race, without = compare(CELLS, runs, races=[found]), compare(CELLS, runs)
    assert with_race.raced == {}
    assert with_race == without
    assert select(CELLS, runs, races=[found]) == select(CELLS, runs)


def test_a_raced_table_is_not_final() -> None:
    (said,) = lacks_for_publication(compare(CELLS, RUNS, races=[OVER]))
    assert "compare --confirmed --final" in said


def test_of_several_columns_each_says_where_a_row_was_stopped() -> None:
    cells = cells_of(models=("convnet", "resnet18"))
    first = [cell for cell in cells if cell.model.name == "convnet"]
    second = [cell for cell in cells if cell.model.name == "resnet18"]
    one, runs = raced(first, keep=["erm"])
    _, others = raced(second, rungs_of=lambda _: OVER.search.races[0].rungs[-1:])
    table = compare(cells, {**runs, **others}, races=[one])
    assert len(table.standing_rows) == 12
    assert list(table.analyses) == [table.columns[1]]  # the grid is judged, the race is not
    lower = words(text_of(render(table, "table")).split("Stopped by a race: ")[1])
    assert "mixup(alpha=0.9) 43.09 rung 3, n=2 not stopped" in lower


def test_the_best_of_settings_are_those_that_got_furthest() -> None:
    cells = [
        cell.model_copy(update={"train": cell.train.model_copy(update={"lr": lr}), "apart": (f"lr={lr}",)})
        for lr in (0.05, 0.5)
        for cell in cells_of(*RACED[:6])
    ]

    def curve(cell: Cell, epoch: int) -> float:
        # The larger rate is ahead for two epochs, and behind at the end.
        ahead = -0.05 if epoch <= 2 else 0.05
        return error_of(cell, epoch) + (ahead if cell.train.lr == 0.5 else 0.0) * (cell.augment.name == "mixup")

    found, runs = raced(cells, curve=curve, name=lambda cell: cell.variant)
    table = compare(cells, runs, races=[found], best_of_settings=["lr"])
    assert not table.analyses  # those that are shown may all have come to the end, as the best of many
    assert table.choices is not None
    reached = {choice.row: choice.settings for choice in table.choices.made}
    for row, settings in reached.items():
        of_row = [cell for cell in cells if cell.augment.label == row]
        best = min(of_row, key=lambda cell: found.order.index(cell.config_key))
        assert settings == f"lr={best.train.lr:g}"
    assert "which got furthest in the race" in words(text_of(render(table, "table")))
