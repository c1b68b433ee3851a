"""Markdown, CSV and LaTeX, parsed back."""

from __future__ import annotations

import csv
import io
import re

from shown import sample, wide_sample
from sweep_samples import ERM, ZETA, make_cells, runs_with

from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.results import compare, render


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
    assert sum(line.startswith("- ") for line in lines) == 5


def test_markdown_escapes_the_column_separator() -> None:
    folder = DatasetSpec.model_validate({"name": "image_folder", "folder": "a|b"})
    lines = str(render(compare(make_cells(ERM, datasets=[folder]), {}), "markdown")).splitlines()
    header = next(line for line in lines if line.startswith("| augment"))
    assert "a\\|b" in header
    assert len(re.findall(r"(?<!\\)\|", header)) == 3


def test_csv_reads_back_unrounded() -> None:
    comparison = wide_sample()
    rows = list(csv.DictReader(io.StringIO(str(render(comparison, "csv")))))
    assert list(rows[0]) == [
        "dataset",
        "model",
        "augment",
        "metric",
        "mean",
        "std",
        "n",
        "planned",
        "standing",
        "values",
    ]
    assert len(rows) == len(comparison.entries) == 16
    for row, ((label, column), entry) in zip(rows, comparison.entries.items(), strict=True):
        assert (row["dataset"], row["model"], row["augment"]) == (column.dataset, column.model, label)
        assert (row["metric"], int(row["n"]), int(row["planned"])) == ("test/error", entry.n, 3)
        assert row["standing"] == entry.standing
        pairs = (pair.split(":") for pair in row["values"].split())
        assert {seed: float(value) for seed, value in pairs} == {
            key.short: value for key, value in entry.values.items()
        }
        assert row["mean"] == ("" if entry.n == 0 else repr(entry.mean))
        assert row["std"] == ("" if entry.std is None else repr(entry.std))


def test_latex_escapes_and_has_the_best_in_bold() -> None:
    cells = make_cells(ERM, ZETA)
    values = {ERM: (0.11, 0.12, 0.10), ZETA: (0.041, 0.045, 0.04)}
    lines = str(render(compare(cells, runs_with(cells, values)), "latex")).splitlines()
    body = lines[lines.index(r"\midrule") + 1 : lines.index(r"\bottomrule")]
    assert body == [
        r"erm & 11.00 $\pm$ 1.00 n=3 \\",
        r"zeta\_mixup(gamma=2.8, num\_mixed=4) & \textbf{4.20 $\pm$ 0.26} n=3 \\",
    ]
    assert r"\begin{tabular}{ll}" in lines
    folder = DatasetSpec.model_validate({"name": "image_folder", "folder": r"a_b%c&d#e$f{g}h^i~j\k"})
    header = next(
        line
        for line in str(render(compare(make_cells(ERM, datasets=[folder]), {}), "latex")).splitlines()
        if line.startswith("augment")
    )
    escaped = r"a\_b\%c\&d\#e\$f\{g\}h\textasciicircum{}i\textasciitilde{}j\textbackslash{}k"
    assert escaped in header
