"""Markdown, CSV, LaTeX and JSON, parsed back."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from dataclasses import replace
from typing import Any

import pytest
from shown import CIFAR, VALUES, sample, wide_sample
from sweep_samples import DIGITS, ERM, MIXUP, ZETA, ZETA_BATCH, make_cells, runs_with, trained_with

from orchestrator.experiment import Cell
from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.experiment.settings import Comparing
from orchestrator.results import Names, compare, render
from orchestrator.results.formats.source import Source
from orchestrator.spreadsheets import shielded


def tidy(comparison: Any, **beside: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(str(render(comparison, "csv", **beside)))))


def test_markdown() -> None:
    lines = str(render(sample(), "markdown")).splitlines()
    table = [[field.strip() for field in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert table == [
        ["augment", "digits / convnet"],
        ["---", "---"],
        ["erm", "11.00 ± 1.00 n=3"],
        ["mixup(alpha=1.0)", "6.00 ± 1.00 n=3"],
        ["zeta_mixup(gamma=2.8, num_mixed=4)", "4.20 ± 0.26 n=3"],
        ["zeta_mixup(gamma=2.8, num_mixed=64)", "≈ 1.00 n=1/3"],
    ]
    assert sum(line.startswith("- ") for line in lines) == 6


def test_csv_has_a_line_for_each_cell_with_what_makes_it_one() -> None:
    cells = make_cells(ERM, MIXUP, ZETA, ZETA_BATCH)
    runs = runs_with(cells, VALUES)
    rows = tidy(compare(cells, runs), runs=runs)
    assert list(rows[0]) == (
        "dataset model row augment alpha gamma num_mixed seed metric value state cell run".split()  # noqa: SIM905
    )
    assert len(rows) == len(cells)
    for cell in cells:
        (row,) = (row for row in rows if row["cell"] == cell.key)
        run = runs.get(cell.key)
        assert (row["dataset"], row["model"], row["row"]) == ("digits", "convnet", cell.augment.label)
        assert (row["augment"], int(row["seed"]), row["metric"]) == (cell.augment.name, cell.seed, "test/error")
        given = {name: float(row[name]) for name in ("alpha", "gamma", "num_mixed") if row[name]}
        assert given == cell.augment.params
        assert row["value"] == (repr(run.metrics["test/error"]) if run else "")
        assert (row["state"], row["run"]) == ((run.status, run.run_id) if run else ("missing", ""))


def test_csv_has_columns_for_folds_and_for_what_else_differs() -> None:
    folded = [DatasetSpec.model_validate({"name": "digits", "folds": 2, "fold": fold}) for fold in (0, 1)]
    cells = make_cells(ERM, datasets=folded)
    rows = tidy(compare(cells, {}))
    assert [(row["seed"], row["fold"]) for row in rows] == [(str(cell.seed), str(cell.dataset.fold)) for cell in cells]
    small = DatasetSpec.model_validate({"name": "digits", "num_train": 100})
    cells = make_cells(ERM, datasets=[DIGITS, small, CIFAR], seeds=[0])
    assert [row["dataset.num_train"] for row in tidy(compare(cells, {}))] == ["", "100", "10000"]
    assert "train.lr" not in tidy(compare(cells, {}))[0]


def test_what_differs_is_found_with_as_many_steps_as_there_are_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    num_hashed = 0

    class Counted(str):
        def __hash__(self) -> int:
            nonlocal num_hashed
            num_hashed += 1
            return super().__hash__()

    params = Cell.params
    monkeypatch.setattr(Cell, "params", lambda cell: {Counted(name): value for name, value in params(cell).items()})
    counts = []
    for num_seeds in (10, 40):
        cells = make_cells(ERM, seeds=range(num_seeds))
        assert Source(compare([*cells, *trained_with(cells, lr=0.3)], {})).settings() == ["train.lr"]
        counts.append(num_hashed - sum(counts))
    assert counts[1] < 5 * counts[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("erm", "erm"),
        ("=1+1", "'=1+1"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("-x", "'-x"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"),
        ("＝1", "'＝1"),
        ("'=1", "''=1"),
        ("a=1", "a=1"),
        ("-1.5e-3", "-1.5e-3"),
        ("+7", "+7"),
    ],
)
def test_csv_has_no_formulas_and_numbers_as_they_are(text: str, expected: str) -> None:
    assert shielded(text) == expected


def test_json_has_everything_and_no_nan() -> None:
    cells = make_cells(ERM, MIXUP, ZETA)
    runs = runs_with(cells, {ERM: (0.10, 0.11, 0.12), MIXUP: (0.05, math.nan, 0.06), ZETA: (0.041, 0.045)})
    comparison = compare(cells, runs, comparing=Comparing(margin=0.2))
    text = str(render(comparison, "json", runs=runs, names=Names({"erm": "nothing"})))
    found = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert (found["schema_version"], found["baseline"], found["margin"]) == (1, "erm", 0.002)
    assert found["metric"] == {
        "name": "test/error",
        "higher_is_better": False,
        "unit": "fraction",
        "comparable": True,
        "exploratory": False,
    }
    assert (found["family"], found["claims_over_datasets"], found["chosen_settings"]) == ("column", [], None)
    assert found["rows"][0] == {"row": "erm", "shown_as": "nothing", "augment": "erm", "parameters": {}}
    assert found["rows"][2]["parameters"] == {"gamma": 2.8, "num_mixed": 4}
    (column,) = found["columns"]
    assert (column["dataset"], column["model"], column["headline"]) == ("digits", "convnet", "these_images")
    analysis = comparison.analyses[comparison.columns[0]]
    told = column["these_images"]
    assert told["may_be_best"] == list(analysis.may_be_best)
    assert (told["detectable"], told["seeds_needed"]) == (analysis.detectable, analysis.seeds_needed(0.005))
    assert set(told["against_baseline"]) == set(analysis.rows)
    verdict = analysis.rows[ZETA.label]
    assert told["against_baseline"][ZETA.label]["low"] == verdict.low
    assert [entry["mean"] for entry in found["entries"]][1] is None
    replicates = found["entries"][2]["replicates"]
    assert [(each["seed"], each["value"], each["state"]) for each in replicates] == [
        (0, 0.041, "done"),
        (1, 0.045, "done"),
        (2, None, "missing"),
    ]
    assert replicates[0]["cell"] == cells[2].key
    assert replicates[0]["run"] == runs[cells[2].key].run_id
    assert any(line.startswith("Without a value") for line in found["remarks"])


def body(text: str) -> list[str]:
    lines = text.splitlines()
    return lines[lines.index(r"\midrule") + 1 : lines.index(r"\bottomrule")]


def test_latex_is_a_table_of_a_paper() -> None:
    cells = make_cells(ERM, ZETA)
    values = {ERM: (0.11, 0.12, 0.10), ZETA: (0.041, 0.045, 0.04)}
    text = str(render(compare(cells, runs_with(cells, values)), "latex"))
    assert body(text) == [
        r"ERM & 11.00 $\pm$ 1.00 \\",
        r"$\zeta$-mixup ($\gamma=2.8$, $N=4$) & \textbf{4.20 $\pm$ 0.26}\rlap{$^{\dagger}$} \\",
    ]
    caption = r"\caption{Test error in \% of ConvNet: mean $\pm$ standard deviation over 3 seeds; lower is better.}"
    assert caption in text
    assert r"\label{tab:digits-test-error}" in text
    assert r"\begin{tabular}{lr}" in text
    assert r"Augmentation & Digits \\" in text
    note = text.split(r"\footnotesize ")[1]
    for said in ("Bold: the best", r"Against ERM: $\dagger$ better.", "Dunnett", "Hsu", r"95\,\% confidence"):
        assert said in note


def test_latex_of_several_models_marks_and_what_is_missing() -> None:
    text = str(render(wide_sample(), "latex"))
    assert r" & \multicolumn{2}{c}{Digits} & \multicolumn{2}{c}{CIFAR-10 (num\_train=10000)} \\" in text
    assert r"\cmidrule(lr){2-3} \cmidrule(lr){4-5}" in text
    assert r"Augmentation & ConvNet & ResNet-18 & ConvNet & ResNet-18 \\" in text
    assert "over seeds; lower is better" in text
    erm, mixup, zeta, _ = body(text)
    assert erm.startswith(r"ERM & 11.00 $\pm$ 1.00 ($n=3$) & ")
    assert re.match(r"mixup \(\$\\alpha=1\.0\$\) & (\$\\approx\$ )?6\.00 ", mixup)
    assert zeta.endswith(r" & -- & -- \\")
    assert "--: no value." in text


def test_latex_without_a_verdict_says_why() -> None:
    cells = make_cells(ERM, MIXUP, seeds=[0])
    text = str(render(compare(cells, runs_with(cells, {ERM: (0.1,), MIXUP: (0.2,)})), "latex"))
    assert "Too few values to tell rows apart." in text
    assert "over 1 seed;" in text
    cells = make_cells(ERM)
    assert "Hsu" not in str(render(compare(cells, {}, metric="train/loss"), "latex"))


@pytest.mark.parametrize("format", ["markdown", "csv", "latex", "json"])
def test_formats_end_with_a_line_and_have_no_carriage_returns(format: Any) -> None:
    text = str(render(replace(sample(), mixed_data=()), format))
    assert text.endswith("\n")
    assert "\r" not in text
