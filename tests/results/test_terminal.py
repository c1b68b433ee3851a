"""The table as a reader sees it, rendered at a given width."""

from __future__ import annotations

import re

import pytest
from shown import sample, text_of, wide_sample, words
from sweep_samples import ERM, MIXUP, ZETA, make_cells, runs_with

from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.results import compare, render, render_status


@pytest.mark.parametrize("width", [80, 120])
def test_table_shows_every_row_with_mean_deviation_and_n(width: int) -> None:
    lines = [words(line).strip() for line in text_of(render(sample(), "table"), width).splitlines()]
    assert (
        "test/error in %: mean ± standard deviation over seeds (lower is better, * best, ≈ may be the best)"
        in " ".join(lines)
    )
    assert "erm 11.00 ± 1.00 n=3" in lines
    assert "mixup(alpha=1.0) 6.00 ± 1.00 n=3" in lines
    assert "zeta_mixup(gamma=2.8, num_mixed=4) 4.20 ± 0.26 n=3" in lines
    assert "zeta_mixup(gamma=2.8, num_mixed=64) ≈ 1.00 n=1/3" in lines


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
    assert tables.count("≈") == 1 + 4
    assert tables.count("*") == 1


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


@pytest.mark.parametrize("width", [80, 120])
def test_the_differences_from_a_row_stand_behind_its_values(width: int) -> None:
    cells = make_cells(ERM, MIXUP, ZETA)
    values = {ERM: (0.10, 0.11, 0.12), MIXUP: (0.05, 0.07, 0.06), ZETA: (0.041, 0.045, 0.04)}
    comparison = compare(cells, runs_with(cells, values), baseline="mixup")
    text = text_of(render(comparison, "table", differences=True), width)
    lines = [words(line).strip() for line in text.splitlines()]
    assert any(line.startswith("erm 11.00 ± 1.00 n=3 +5.00 (") for line in lines)
    assert any(line.endswith(" 6.00 ± 1.00 n=3") for line in lines)
    assert any(" 4.20 ± 0.26 n=3 -1.80 (" in line for line in lines)
    assert max(map(len, text.splitlines())) <= width
