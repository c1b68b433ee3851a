"""Sentences of a report are true of ties, of single trainings, of columns that lack a figure; and rows have names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from materials import material
from predicted import material as predicted
from sweep_samples import ERM, MIXUP, ZETA, make_run

from orchestrator.experiment import AugmentSpec, Comparing
from orchestrator.records import EpochResult
from orchestrator.report import FIGURES, Figure, Material, Unavailable, write_figures, write_report
from orchestrator.report.page import missing_of
from orchestrator.report.sources import Scene, mixing_of
from orchestrator.report.verdict import verdict
from orchestrator.report.writing import made as parts_of
from orchestrator.results import Names, compare, remarks, render

NOISE = (0.001, -0.001, 0.0005, -0.0005, 0.0)
Values = Mapping[AugmentSpec, float | Sequence[float | None]]


def with_values(
    values: Values, *others: Values, comparing: Comparing | None = None, validated: Values | None = None
) -> Material:
    """A sweep whose rows have these errors, in the mean over five seeds or by seed, in a column each."""
    models = ("convnet", "resnet18", "resnet34")[: 1 + len(others)]
    of = material(*values, models=models, comparing=comparing)
    runs = {}
    for cell in of.cells:
        every = (values, *others)[models.index(cell.model.label)]
        tested, validation = (_of_seed(each, cell.augment, cell.seed) for each in (every, validated or every))
        if tested is not None:
            runs[cell.key] = make_run(cell, {"test/error": tested, "best/error": validation or 0.0})
    return replace(of, runs=runs, comparison=compare(of.cells, runs, comparing=comparing))


def _of_seed(values: Values, augment: AugmentSpec, seed: int) -> float | None:
    found = values.get(augment, ())
    if isinstance(found, float):
        return found + NOISE[(seed + len(augment.label)) % len(NOISE)]
    return found[seed] if seed < len(found) else None


def only(kind: str, of: Material) -> Figure:
    (figure,) = FIGURES[kind](of)
    return figure


def why(kind: str, of: Material) -> str:
    with pytest.raises(Unavailable) as caught:
        FIGURES[kind](of)
    return caught.value.reason


def test_the_first_sentence_has_all_words_of_the_table() -> None:
    equal = with_values({ERM: 0.20, MIXUP: 0.20, ZETA: 0.20}, comparing=Comparing(margin=5))
    assert f"; {MIXUP.label} and {ZETA.label} are equal to erm within 5.00 points." in verdict(equal)[0]
    apart = with_values({ERM: [0.2, 0.21, 0.22], MIXUP: [0.2, 0.22, 0.21], ZETA: [None] * 3 + [0.2, 0.21]})
    said = verdict(apart)[0]
    assert f"{ZETA.label} is without a seed in common with erm" in said
    assert f"{MIXUP.label} is not told apart from erm" in said
    assert "no row is told apart" not in said
    assert "no row is told apart from erm" in verdict(with_values({ERM: 0.20, MIXUP: 0.20, ZETA: 0.20}))[0]


def test_over_all_columns_a_row_has_its_own_difference_and_equal_rows_are_named() -> None:
    clear = with_values({ERM: 0.50, MIXUP: 0.20, ZETA: 0.40}, {ERM: 0.50, MIXUP: 0.50, ZETA: 0.40})
    said = only("data-sets", clear).sentence
    assert f"{ZETA.label} is shown to be better than erm in 2 of 2 columns; the largest difference is 10." in said
    alike = with_values({ERM: 0.50, MIXUP: 0.20, ZETA: 0.40}, {ERM: 0.50, MIXUP: 0.40, ZETA: 0.40})
    said = only("data-sets", alike).sentence
    assert f"{MIXUP.label}, {ZETA.label} are each shown to be better than erm in 2 of 2 columns" in said
    assert "the largest difference of theirs is 30." in said


def test_a_tie_has_no_winner() -> None:
    tie = [0.1, 0.2, 0.3, 0.2, 0.1]
    made = with_values({ERM: tie, MIXUP: tie}, validated={ERM: tie, MIXUP: tie})
    said = only("validation-and-test", made).sentence
    assert f"By validation erm would be chosen (the first in the file; as good are {MIXUP.label})" in said
    assert f"which has the best mean of the test, too, as have {MIXUP.label}." in said
    words = " ".join(remarks(with_values({ERM: [0.1], MIXUP: [0.1], ZETA: [0.2]}).comparison))
    assert f"erm, {MIXUP.label} have the best mean so far" in words
    words = " ".join(remarks(with_values({ERM: [0.1], MIXUP: [0.1]}).comparison))
    assert "all have the same mean so far" in words
    assert "has the best mean" not in words
    flat = replace(made, curves=lambda _: [EpochResult(epoch, {"val/error": 0.1}, 0) for epoch in (1, 2, 3)])
    assert "the mean of all rows hardly moved." in only("learning-curves", flat).sentence
    perfect = predicted(ERM, MIXUP)
    every = next(iter(filter(None, map(perfect.predictions, perfect.cells))))
    right = replace(every, predicted=every.labels, confidence=every.confidence * 0 + 1)
    same = replace(perfect, predictions=lambda _: right)
    assert only("recall", same).sentence.startswith("No class is recognised less than another")
    said = only("reliability", same).sentence
    assert f"have, all the same, erm (0.0 %, as confident as it is right), {MIXUP.label} (0.0 %" in said
    assert "the most" not in said


def test_a_single_training_of_each_row_has_no_range() -> None:
    said = only("seeds", with_values({ERM: [0.1], MIXUP: [0.2]})).sentence
    assert "up to 0.00 points" not in said
    assert "lie within 10.00 points, each row has a single training" in said


def test_what_cannot_be_seen_is_not_for_want_of_a_baseline_that_is_there() -> None:
    apart = with_values({ERM: [None] * 3 + [0.1, 0.2], MIXUP: [0.1, 0.2, 0.3], ZETA: [0.1, 0.3, 0.2]})
    assert "from erm on is not known" in why("power", apart)
    assert "Without a baseline" in why("power", with_values({MIXUP: 0.2, ZETA: 0.3}))


def test_without_an_interval_none_holds() -> None:
    apart = with_values({ERM: [None] * 3 + [0.1, 0.2], MIXUP: [0.1, 0.2, 0.3], ZETA: [0.1, 0.3, 0.2]})
    said = only("differences", apart).sentence
    assert "hold together" not in said
    assert "So there is no interval." in said


def test_files_have_the_numbers_of_columns_and_what_lacks_is_said(tmp_path: Path) -> None:
    values: dict[AugmentSpec, float] = {ERM: 0.5, MIXUP: 0.2, ZETA: 0.4}
    made = with_values({ERM: (), MIXUP: ()}, values)
    made = with_values({**dict.fromkeys(values, ())}, values, values)
    figures = FIGURES["differences"](made)
    written = write_figures(figures, tmp_path / "d.json", kind="differences")
    assert [path.name for path in written] == ["d-2.json", "d-3.json"]
    one = FIGURES["differences"](with_values(dict.fromkeys(values, ()), values))
    assert [p.name for p in write_figures(one, tmp_path / "d.json", kind="differences")] == ["d-2.json"]
    alone = FIGURES["differences"](with_values(values))
    assert [p.name for p in write_figures(alone, tmp_path / "d.json", kind="differences")] == ["d.json"]
    (missing,) = one[0].missing
    assert missing.startswith("digits / convnet: Fewer than two rows have values")
    parts = parts_of(made, {"differences": FIGURES["differences"], "power": FIGURES["power"]})
    assert ("differences, power", figures[0].missing[0]) in missing_of(parts)


def test_the_table_of_a_report_has_the_names_of_the_file_and_what_stands_above(tmp_path: Path) -> None:
    made = replace(
        with_values({ERM: 0.5, MIXUP: 0.2}), names=Names({MIXUP.label: "OURS"}), above=("confirmed on\nseeds 7 to 9",)
    )
    write_report(made, {}, tmp_path, on_progress=lambda *_: None)
    text = (tmp_path / "table.tex").read_text()
    assert text.startswith("% confirmed on seeds 7 to 9\n")
    assert "OURS & " in text
    assert "alpha" not in text


def test_what_is_left_out_of_a_figure_is_called_by_its_name() -> None:
    made = with_values({ERM: 0.5, ZETA: 0.2})
    dataset: Any = None
    scene = Scene(made.cells[0].dataset, dataset, made.cells, 2, (ERM, ZETA))
    _, remark = mixing_of(scene, 1, Names({ZETA.label: "OURS"}))
    assert remark == " Left out, since they mix more than the 1 images there are: OURS."


def test_the_note_of_a_paper_says_of_rows_without_a_verdict_nothing() -> None:
    made = with_values({ERM: [0.5, 0.51, 0.52], MIXUP: [0.2, 0.21, 0.22], ZETA: [0.2, 0.22, 0.21]})
    text = str(render(made.comparison, "latex"))
    assert "may be the best; of the others, some other row is at least as good." in text
    last = [cell for cell in made.cells if cell.augment == ERM][2]
    failed = {**made.runs, last.key: make_run(last, {}, status="failed")}
    text = str(render(compare(made.cells, failed), "latex"))
    assert "may be the best." in text
    assert "of the others" not in text
