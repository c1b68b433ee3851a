"""The tables as a reader sees them: rendered at a given width, or parsed back."""

import csv
import io
import math
import re
from dataclasses import replace

import pytest
from rich.console import Console, RenderableType
from sweep_samples import DIGITS, ERM, MIXUP, ZETA, ZETA_BATCH, make_cells, make_run, runs_with

from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.results.comparison import Comparison, compare
from orchestrator.results.selection import select
from orchestrator.results.terminal import render, render_selection, render_status

VALUES = {ERM: (0.10, 0.11, 0.12), MIXUP: (0.05, 0.07, 0.06), ZETA: (0.041, 0.045, 0.04), ZETA_BATCH: (0.01,)}
CIFAR = DatasetSpec.model_validate({"name": "cifar10", "num_train": 10_000})


def text_of(renderable: RenderableType, width: int = 120) -> str:
    console = Console(width=width, color_system=None, file=io.StringIO())
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def words(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def sample() -> Comparison:
    cells = make_cells(ERM, MIXUP, ZETA, ZETA_BATCH)
    return compare(cells, runs_with(cells, VALUES))


def wide_sample() -> Comparison:
    """Four columns: one complete, one partial, two missing."""
    cells = make_cells(ERM, MIXUP, ZETA, ZETA_BATCH, datasets=[DIGITS, CIFAR], models=("convnet", "resnet18"))
    runs = runs_with(cells, {**VALUES, ZETA_BATCH: (0.2, 0.2, 0.3)})
    for cell in cells:
        if cell.dataset == CIFAR or (cell.model == "resnet18" and cell.seed == 2):
            del runs[cell.key]
    return compare(cells, runs)


@pytest.mark.parametrize("width", [80, 120])
def test_table_shows_every_row_with_mean_deviation_and_n(width: int) -> None:
    lines = [words(line).strip() for line in text_of(render(sample(), "table"), width).splitlines()]
    assert "test/error in %: mean ± standard deviation over seeds (lower is better, * best)" in " ".join(lines)
    assert "erm 11.00 ± 1.00 n=3" in lines
    assert "mixup(alpha=1.0) 6.00 ± 1.00 n=3" in lines
    assert "zeta_mixup(gamma=2.8, num_mixed=4) * 4.20 ± 0.26 n=3" in lines
    assert "zeta_mixup(gamma=2.8, num_mixed=64) 1.00 n=1/3" in lines


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_table_fits_the_width_and_never_breaks_a_value(width: int) -> None:
    text = text_of(render(wide_sample(), "table"), width)
    assert max(map(len, text.splitlines())) <= width
    tables = words(text[: text.index("- digits")])
    assert tables.count("± ") == tables.count(" ± ") == 1 + 8  # the title, and the two columns with values
    assert len(re.findall(r"\d ± \d+\.\d\d", tables)) == 8
    assert tables.count("missing") == 8
    assert tables.count("n=0/3") == 8
    assert tables.count("n=2/3") == 4
    assert len(re.findall(r"n=3(?!/)", tables)) == 4
    assert tables.count("*") == 2


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_long_label_folds_between_its_parameters(width: int) -> None:
    options = {"image_size": 224, "random_resized_crop": {"scale": [0.25, 1.0]}, "color_jitter": {"brightness": 0.25}}
    long = DatasetSpec.model_validate({"name": "isic2017", "cache_size": 256, "vflip": True, **options})
    text = text_of(render(compare(make_cells(ERM, datasets=[long]), {}), "table"), width)
    header = [line.strip() for line in text[text.index("isic2017") : text.index("augment  ")].splitlines()]
    assert " ".join(header) == long.label
    assert all(line.endswith(",") for line in header[:-1]), "no line ends inside a parameter"
    assert len(header) <= {60: 5, 80: 3, 120: 2}[width]
    assert max(map(len, text.splitlines())) <= width


def test_one_cell_is_no_cells() -> None:
    cells = make_cells(ERM, seeds=(0,))
    assert text_of(render_status(cells, {})).splitlines()[-1] == "1 cell: 1 missing"
    assert "Without a value: 1 of 1 cell (1 missing)" in text_of(render(compare(cells, {}), "table"))


def test_narrow_terminals_get_several_tables() -> None:
    assert text_of(render(wide_sample(), "table"), 80).count("augment") == 2
    assert text_of(render(wide_sample(), "table"), 120).count("augment") == 1


def test_remarks_say_what_the_seeds_can_tell_and_what_is_missing() -> None:
    text = words(text_of(render(sample(), "table")))
    zeta = "zeta_mixup(gamma=2.8, num_mixed=4)"
    assert (
        f"digits / convnet: {zeta} is 1.80 points better than mixup(alpha=1.0) (-0.23 to 3.83, n=3): not separated"
        in text
    )
    assert f"digits / convnet: {zeta} is 6.80 points better than erm (4.11 to 9.49, n=3): separated" in text
    assert "The best row was picked by these same numbers, and nothing is corrected for that" in text
    assert "Without a value: 2 of 12 cells (2 missing). Only rows with all their seeds can be best." in text


def test_remarks_with_one_seed() -> None:
    cells = make_cells(ERM, MIXUP, seeds=(0,))
    text = words(text_of(render(compare(cells, runs_with(cells, {ERM: (0.2,), MIXUP: (0.1,)})), "table")))
    assert "mixup(alpha=1.0) is 10.00 points better than erm (n=1): one seed cannot tell." in text
    assert "In brackets" not in text
    assert "Without a value" not in text


def test_remarks_with_equal_differences() -> None:
    cells = make_cells(ERM, MIXUP, seeds=(0, 1))
    text = words(text_of(render(compare(cells, runs_with(cells, {ERM: (0.2, 0.3), MIXUP: (0.1, 0.2)})), "table")))
    assert "10.00 points better than erm with each of 2 seeds: differences without any spread cannot tell." in text


def test_remarks_with_equal_means() -> None:
    cells = make_cells(ERM, MIXUP)
    values = {ERM: (0.10, 0.12, 0.14), MIXUP: (0.12, 0.10, 0.14)}
    text = words(text_of(render(compare(cells, runs_with(cells, values)), "table")))
    assert "erm and mixup(alpha=1.0) have equal means (-4.97 to 4.97, n=3): not separated." in text
    equal = words(text_of(render(compare(cells, runs_with(cells, {ERM: (0.1,) * 3, MIXUP: (0.1,) * 3})), "table")))
    assert "erm and mixup(alpha=1.0) are equal (n=3): cannot tell." in equal
    assert "have the best mean" not in equal
    three = make_cells(ERM, MIXUP, ZETA)
    tie = dict.fromkeys((ERM, MIXUP, ZETA), (0.1,) * 3)
    names = ", ".join(cell.augment.label for cell in three if cell.seed == 0)
    assert f"3 rows have the best mean: {names}." in words(
        text_of(render(compare(three, runs_with(three, tie)), "table"))
    )


def test_remarks_where_the_best_is_worse_on_the_seeds_in_common() -> None:
    cells = make_cells(ERM, MIXUP)
    runs = runs_with(cells, {ERM: (0.10, 0.11), MIXUP: (0.15, 0.162, 0.01)})
    text = words(text_of(render(compare(cells, runs), "table"), 200))
    assert re.search(r"mixup\(alpha=1.0\) is 5.10 points worse than erm \(3.83 to 6.37, n=2\): separated", text)


def test_remarks_without_a_complete_row_and_with_a_single_one() -> None:
    cells = make_cells(MIXUP, ZETA)
    none = text_of(render(compare(cells, {}), "table"))
    assert "digits / convnet: no row has all its seeds, so none is best." in none
    undefined = {MIXUP: (0.1, math.nan, 0.2), ZETA: (math.nan,) * 3}
    nan = text_of(render(compare(cells, runs_with(cells, undefined)), "table"))
    assert "digits / convnet: no row has all its seeds with a finite value, so none is best." in nan
    one = text_of(render(compare(cells, runs_with(cells, {ZETA: (0.1, 0.1, 0.2)})), "table"))
    assert "digits / convnet: no other row is complete, so there is nothing to compare the best with." in one


def test_loss_is_not_a_percentage() -> None:
    cells = make_cells(ERM, MIXUP)
    comparison = compare(
        cells, runs_with(cells, {ERM: (0.5, 0.6), MIXUP: (1.5, 1.7, 1.6)}, metric="test/loss"), metric="loss"
    )
    text = words(text_of(render(comparison, "table")))
    assert "test/loss: mean" in text
    assert "mixup(alpha=1.0) *1.6000 ± 0.1000 n=3" in text
    assert "points" not in text


def test_nothing_is_best_by_the_loss_in_training() -> None:
    """It is of what each augmentation made of images and labels."""
    cells = make_cells(ERM, MIXUP)
    runs = runs_with(cells, {ERM: (0.1,) * 3, MIXUP: (1.5, 1.6, 1.7)}, metric="train/loss")
    comparison = compare(cells, runs, metric="train/loss")
    assert not any(entry.best for entry in comparison.entries.values())
    text = words(text_of(render(comparison, "table")))
    assert "the rows cannot be compared by it" in text
    assert "1.6000 ± 0.1000 n=3" in text
    assert "better" not in text
    assert "complete" not in text


def test_a_value_that_is_not_finite_is_shown() -> None:
    cells = make_cells(ERM)
    text = words(text_of(render(compare(cells, runs_with(cells, {ERM: (0.1, math.nan, 0.1)})), "table")))
    assert "erm nan n=3" in text


def test_a_combination_that_is_not_planned_is_no_missing_cell() -> None:
    cells = make_cells(ERM, MIXUP, models=("convnet", "resnet18"))
    partial = [cell for cell in cells if (cell.model, cell.augment) != ("resnet18", MIXUP)]
    text = words(text_of(render(compare(partial, {}), "table")))
    assert text.count("missing n=0/3") == 3
    assert text.count("not planned") == 1


def test_markdown() -> None:
    lines = str(render(sample(), "markdown")).splitlines()
    table = [[field.strip() for field in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert table == [
        ["augment", "digits / convnet"],
        ["---", "---"],
        ["erm", "11.00 ± 1.00 n=3"],
        ["mixup(alpha=1.0)", "6.00 ± 1.00 n=3"],
        ["zeta_mixup(gamma=2.8, num_mixed=4)", "**4.20 ± 0.26** n=3"],
        ["zeta_mixup(gamma=2.8, num_mixed=64)", "1.00 n=1/3"],
    ]
    assert sum(line.startswith("- ") for line in lines) == 4


def test_markdown_escapes_the_column_separator() -> None:
    folder = DatasetSpec.model_validate({"name": "image_folder", "folder": "a|b"})
    lines = str(render(compare(make_cells(ERM, datasets=[folder]), {}), "markdown")).splitlines()
    header = next(line for line in lines if line.startswith("| augment"))
    assert "a\\|b" in header
    assert len(re.findall(r"(?<!\\)\|", header)) == 3


def test_csv_reads_back_unrounded() -> None:
    comparison = wide_sample()
    rows = list(csv.DictReader(io.StringIO(str(render(comparison, "csv")))))
    assert list(rows[0]) == ["dataset", "model", "augment", "metric", "mean", "std", "n", "planned", "best", "values"]
    assert len(rows) == len(comparison.entries) == 16
    for row, ((label, column), entry) in zip(rows, comparison.entries.items(), strict=True):
        assert (row["dataset"], row["model"], row["augment"]) == (column.dataset, column.model, label)
        assert (row["metric"], int(row["n"]), int(row["planned"])) == ("test/error", entry.n, 3)
        assert row["best"] == ("1" if entry.best else "0")
        pairs = (pair.split(":") for pair in row["values"].split())
        assert {int(seed): float(value) for seed, value in pairs} == entry.values
        assert row["mean"] == ("" if entry.n == 0 else repr(entry.mean))
        assert row["std"] == ("" if entry.std is None else repr(entry.std))
    assert [row["augment"] for row in rows if row["best"] == "1"] == [ZETA.label]


def test_latex_escapes_and_has_one_bold_best() -> None:
    lines = str(render(sample(), "latex")).splitlines()
    body = lines[lines.index(r"\midrule") + 1 : lines.index(r"\bottomrule")]
    assert body == [
        r"erm & 11.00 $\pm$ 1.00 n=3 \\",
        r"mixup(alpha=1.0) & 6.00 $\pm$ 1.00 n=3 \\",
        r"zeta\_mixup(gamma=2.8, num\_mixed=4) & \textbf{4.20 $\pm$ 0.26} n=3 \\",
        r"zeta\_mixup(gamma=2.8, num\_mixed=64) & 1.00 n=1/3 \\",
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


@pytest.mark.parametrize("width", [80, 120])
def test_status_shows_each_cell(width: int) -> None:
    cells = make_cells(ERM, MIXUP)
    runs = {
        cells[0].key: make_run(cells[0], {"val/error": 0.3, "best/error": 0.125}),
        cells[1].key: make_run(cells[1], {"val/error": 0.25}, status="running", epoch=3),
        cells[2].key: make_run(cells[2], {}, status="failed", epoch=None, reason="cannot read [b]/data/x.png"),
        cells[3].key: make_run(cells[3], {"val/error": 0.2}, status="interrupted", epoch=1),
    }
    text = text_of(render_status(cells, runs), width)
    lines = [words(line).strip() for line in text.splitlines()]
    assert lines[0] == "digits / convnet"
    assert lines[3:9] == [
        "erm 0 done 5/5 12.50 %",
        "mixup(alpha=1.0) 0 running 3/5 25.00 %",
        "erm 1 failed",
        "mixup(alpha=1.0) 1 interrupted 1/5 20.00 %",
        "erm 2 missing",
        "mixup(alpha=1.0) 2 missing",
    ]
    failures = words(text)
    assert f"failed: {cells[2].label} (cell {cells[2].key}): cannot read [b]/data/x.png" in failures
    assert f"interrupted: {cells[3].label} (cell {cells[3].key}): zetasweep run goes on with it" in failures
    assert lines[-1] == "6 cells: 1 done, 1 running, 1 failed, 1 interrupted, 2 missing"
    assert max(map(len, text.splitlines())) <= width


def test_selection_says_that_it_looked_at_validation_only() -> None:
    cells = make_cells(ERM, MIXUP, ZETA)
    runs = runs_with(cells, {ERM: (0.3, 0.31, 0.32), MIXUP: (0.2, 0.18, 0.22), ZETA: (0.1,)}, metric="best/error")
    runs = {key: replace(run, metrics={**run.metrics, "test/error": 0.25}) for key, run in runs.items()}
    (selection,) = select(cells, runs)
    text = text_of(render_selection([selection]))
    assert text.splitlines()[0] == "digits: convnet, mixup(alpha=1.0)"
    assert "validation error: 20.00 ± 2.00 %, n=3 (the choice looks at nothing else)" in text
    assert "test error: 25.00 ± 0.00 % (for information)" in text
    assert selection.cell is not None
    assert f"best seed on validation: 1 (cell {selection.cell.key}, run {selection.run_id})" in text
    assert f"its model: {selection.model_uri}" in text
    assert "next of 2 on validation: convnet, erm: 31.00 ± 1.00 %" in text
    assert "not eligible: convnet, zeta_mixup(gamma=2.8, num_mixed=4): 1 of 3 seeds done" in text


def test_selection_of_nothing() -> None:
    cells = make_cells(ERM, MIXUP)
    runs = runs_with(cells, {MIXUP: (0.1, math.nan, 0.1)}, metric="best/error")
    text = text_of(render_selection(select(cells, runs)))
    assert "digits: nothing to select, no configuration has all its seeds done" in text
    assert "not eligible: convnet, erm: 0 of 3 seeds done" in text
    assert "not eligible: convnet, mixup(alpha=1.0): its metric is not finite" in text
