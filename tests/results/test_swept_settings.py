"""A sweep over settings of ``train`` and options of a model, from its file to tables, choices and names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from shown import text_of, words
from sweep_samples import make_run

from orchestrator.experiment import Cell, Comparing, ModelSpec, expand, load_experiment
from orchestrator.records import CellRun
from orchestrator.results import Names, compare, render_selection, render_status, select
from orchestrator.results.confirmation import Wanted, check_wanted, settle
from orchestrator.results.rows import lay_out
from orchestrator.storage import Confirmation
from orchestrator.tracking.naming import run_name

MIXUP = "mixup(alpha=1.0)"
LR = {"train": {"lr": [0.05, 0.1]}, "seed": [0, 1, 2]}
# By augmentation and learning rate: of validation, and of the test.
ERRORS = {("erm", 0.05): (0.2, 0.1), ("erm", 0.1): (0.1, 0.3), ("mixup", 0.05): (0.3, 0.2), ("mixup", 0.1): (0.4, 0.1)}


def cells_of(folder: Path, **parts: Any) -> list[Cell]:
    path = folder / "x.yaml"
    minimal = {"name": "sweep", "dataset": "digits", "model": "convnet", "augment": ["erm", "mixup"]}
    path.write_text(yaml.safe_dump(minimal | parts, sort_keys=False))
    return expand(load_experiment(path))


def finished(cells: Sequence[Cell]) -> dict[str, CellRun]:
    runs = {}
    for cell in cells:
        validation, test = (error + cell.seed / 1000 for error in ERRORS[cell.augment.name, cell.train.lr])
        runs[cell.key] = make_run(cell, {"best/error": validation, "test/error": test})
    return runs


@pytest.mark.parametrize(
    ("parts", "rows", "of_columns"),
    [
        (
            {"train": {"lr": [0.05, 0.1], "epochs": [3, 5]}, "augment": "erm"},
            ["erm, epochs=3, lr=0.05", "erm, epochs=5, lr=0.05", "erm, epochs=3, lr=0.1", "erm, epochs=5, lr=0.1"],
            [""],
        ),
        (
            {"augment": ["erm", {"mixup": {"train": {"epochs": 9}}}]},
            ["erm, epochs=5", f"{MIXUP}, epochs=9"],
            [""],
        ),
        (
            {"model": ["convnet", {"resnet18": {"train": {"epochs": 9}}}]},
            ["erm", MIXUP],
            ["epochs=5", "epochs=9"],
        ),
        (
            {"augment": {"zeta_mixup": {"gamma": 2, "num_mixed": "batch"}}, "train": {"batch_size_per_worker": [8, 9]}},
            [
                "zeta_mixup(gamma=2.0, num_mixed=8), batch_size_per_worker=8",
                "zeta_mixup(gamma=2.0, num_mixed=9), batch_size_per_worker=9",
            ],
            [""],
        ),
        (
            {"train": {"optimizer": ["sgd", "adamw"], "momentum": [0.8, 0.9]}, "augment": "erm"},
            ["erm, optimizer=sgd, momentum=0.8", "erm, optimizer=sgd, momentum=0.9", "erm, optimizer=adamw"],
            [""],
        ),
    ],
)
def test_whatever_differs_is_part_of_the_row(
    tmp_path: Path, parts: dict[str, Any], rows: list[str], of_columns: list[str]
) -> None:
    cells = cells_of(tmp_path, **parts)
    layout = lay_out(cells)
    layout.check()
    assert list(layout.rows) == rows
    assert list(layout.settings.values()) == of_columns
    assert list(dict.fromkeys(cell.variant for cell in cells)) == rows


def test_each_row_is_at_its_best_by_validation(tmp_path: Path) -> None:
    cells = cells_of(tmp_path, **LR)
    comparison = compare(cells, finished(cells), best_of_settings=["lr"])
    assert comparison.rows == ("erm", MIXUP)
    assert comparison.choices is not None
    assert [choice.settings for choice in comparison.choices.made] == ["lr=0.1", "lr=0.05"]


def test_the_chosen_configuration_is_named_with_its_settings(tmp_path: Path) -> None:
    cells = cells_of(tmp_path, **LR)
    selections = select(cells, finished(cells))
    assert [candidate.label for candidate in selections[0].ranked] == [
        "convnet, erm, lr=0.1",
        "convnet, erm, lr=0.05",
        f"convnet, {MIXUP}, lr=0.05",
        f"convnet, {MIXUP}, lr=0.1",
    ]
    assert "digits: convnet, erm, lr=0.1" in text_of(render_selection(selections), 120)


def test_a_row_with_its_settings_is_confirmed(tmp_path: Path) -> None:
    cells = cells_of(tmp_path, **LR)
    wanted = check_wanted(Wanted(top=1, num_seeds=2, against=("erm, lr=0.05",)), cells, Comparing())
    confirmation = settle(
        *(cells, finished(cells), Confirmation(sweep="sweep"), wanted),
        comparing=Comparing(),
        known_keys=set,
        now="2026-11-29 12:00",
    )
    assert [row.row for row in confirmation.choices[0].taken] == ["erm, lr=0.1", "erm, lr=0.05"]


def test_status_and_the_names_of_runs_tell_cells_apart(tmp_path: Path) -> None:
    cells = cells_of(tmp_path, train={"lr": [0.05, 0.1]})
    lines = [words(line).strip() for line in text_of(render_status(cells, {}), 120).splitlines()]
    assert lines[3:7] == [
        "erm, lr=0.05 0 missing",
        f"{MIXUP}, lr=0.05 0 missing",
        "erm, lr=0.1 0 missing",
        f"{MIXUP}, lr=0.1 0 missing",
    ]
    assert [run_name(cell) for cell in cells] == [
        f"{augment} lr={lr} s0 digits convnet" for lr in (0.05, 0.1) for augment in ("erm", "mixup α1.0")
    ]
    assert len({cell.setting for cell in cells}) == 4


def test_a_model_with_options_is_a_column_and_has_a_name(tmp_path: Path) -> None:
    (cell, *_) = cells_of(tmp_path, augment="erm")
    wide = ModelSpec(name="tinynet", options={"width": 16})
    layout = lay_out([cell.model_copy(update={"model": model}) for model in (ModelSpec(name="tinynet"), wide)])
    assert [column.model for column in layout.columns] == ["tinynet", "tinynet(width=16)"]
    names = Names({"tinynet": "TinyNet"})
    assert (names.model(wide.label), names.readable_model(wide.label)) == ("TinyNet(width=16)", "TinyNet (width=16)")
    assert (
        Names({wide.label: "wide"}).model(wide.label)
        == Names({wide.label: "wide"}).readable_model(wide.label)
        == "wide"
    )
    assert Names().readable_model("resnet18(width=16)") == "ResNet-18 (width=16)"
