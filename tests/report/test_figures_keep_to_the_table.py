"""Figures say no more than the table: of failed rows, of few seeds, of folds; and nothing in a name ends a report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from materials import material
from predicted import material as predicted
from predicted import tiny_dataset
from sweep_samples import DIGITS, ERM, MIXUP, ZETA, make_run

from orchestrator.experiment import AugmentSpec, Comparing, DatasetSpec
from orchestrator.records import EpochResult
from orchestrator.report import FIGURES, Figure, Material, Unavailable
from orchestrator.report.per_image import best_row
from orchestrator.report.style import printable, rendered, styled
from orchestrator.report.verdict import verdict
from orchestrator.report.writing import write_report
from orchestrator.results import compare

FOLDS = [DatasetSpec.model_validate({"name": "digits", "folds": 5, "fold": fold}) for fold in range(5)]
MANY = tuple(AugmentSpec(name="mixup", params={"alpha": round(0.1 * at, 1)}) for at in range(1, 41))
UNLIKE = "a\x1bb\x01\ufffe\ud800"


def only(kind: str, of: Material) -> Figure:
    (figure,) = FIGURES[kind](of)
    return figure


def failed(made: Material, augment: AugmentSpec) -> Material:
    """Return it with the last training of an augmentation failed."""
    last = [cell for cell in made.cells if cell.augment == augment][-1]
    runs = {**made.runs, last.key: make_run(last, {}, status="failed")}
    return replace(made, runs=runs, comparison=compare(made.cells, runs))


def test_recall_is_told_apart_by_the_rules_of_the_table() -> None:
    clear = {"num_images": 3000}
    sound = only("recall", predicted(ERM, MIXUP, ZETA, seeds=10, **clear))
    assert "Told apart from erm: class 1" in sound.sentence
    few = only("recall", predicted(ERM, MIXUP, seeds=2, **clear))
    assert "Told apart from" not in few.sentence
    assert "Nothing is told apart here, as in the table" in few.sentence
    lost = only("recall", failed(predicted(ERM, MIXUP, ZETA, seeds=10, **clear), ZETA))
    assert all(ZETA.label not in of["against_baseline"] for of in lost.data["classes"])
    assert ZETA.label in lost.data["classes"][0]["recall"]
    assert "Exploratory" in sound.sentence


def test_a_failed_row_is_nowhere_the_best() -> None:
    made = predicted(ERM, MIXUP, ZETA)
    (column,) = made.comparison.columns
    rows = list(made.comparison.rows)
    assert best_row(made, column, rows) == ZETA.label
    assert best_row(failed(made, ZETA), column, rows) == MIXUP.label
    of = failed(material(ERM, MIXUP, ZETA), ZETA)
    assert f"By validation {MIXUP.label} would be chosen of the 2 rows" in only("validation-and-test", of).sentence
    assert f"{ZETA.label} was not judged" in verdict(of)[0]
    assert f"{ZETA.label} was not judged" in only("may-be-best", of).sentence


def test_in_folds_it_is_about_new_images_and_more_folds_would_help() -> None:
    of = material(ERM, MIXUP, datasets=FOLDS, num_seeds=2)
    assert "This is about new images like these." in verdict(of)[0]
    said = only("differences", of).sentence
    assert "each fold has test images of its own" in said
    assert "doctor" not in said
    with pytest.raises(Unavailable, match="it takes more folds"):
        only("power", of)
    with pytest.raises(Unavailable, match="In folds"):
        only("seeds-or-images", of)
    with pytest.raises(Unavailable, match="too few"):
        only("differences", material(ERM, MIXUP, datasets=FOLDS[:1], num_seeds=1))


def test_what_cannot_be_mended_is_not_said_to_be() -> None:
    made = predicted(ERM, MIXUP)
    runs = {key: replace(run, metrics={**run.metrics, "test/recall/a": 0.9}) for key, run in made.runs.items()}
    runs = {key: replace(run, metrics={**run.metrics, "test/recall/a": 0.9 + 1e-3 * at}) for at, (key, run) in
            enumerate(runs.items())}  # fmt: skip
    of = replace(made, runs=runs, comparison=compare(made.cells, runs, metric="test/recall/a"))
    for said in (only("differences", of).sentence, _why("seeds-or-images", of)):
        assert "it is not kept which of the images are of that class" in said
        assert "doctor" not in said


def _why(kind: str, of: Material) -> str:
    with pytest.raises(Unavailable) as raised:
        FIGURES[kind](of)
    return raised.value.reason


def test_a_column_of_changed_images_has_no_verdict_and_says_why_first() -> None:
    made = material(ERM, MIXUP)
    runs = dict(made.runs)
    runs[made.cells[-1].key] = replace(runs[made.cells[-1].key], split_hash="0" * 64)
    of = replace(made, runs=runs, comparison=compare(made.cells, runs))
    assert verdict(of)[0].startswith("Nothing can be said yet. The data set was changed between these cells")
    assert "The data set was changed" in _why("differences", of)


def test_a_baseline_whose_training_failed_is_not_said_to_have_no_values() -> None:
    of = failed(material(ERM, MIXUP, ZETA), ERM)
    assert "is not judged (a training failed)" in _why("differences", of)


def test_an_exploratory_table_says_so_in_the_verdict() -> None:
    made = material(ERM, MIXUP)
    other = replace(made, comparison=compare(made.cells, made.runs, baseline=MIXUP.label))
    assert "Exploratory, since the file has another baseline" in verdict(other)[0]


def test_of_many_rows_no_two_marked_ones_look_alike() -> None:
    of = material(ERM, *MANY, num_seeds=2)
    for kind in ("cost", "validation-and-test"):
        figure = only(kind, of)
        assert figure.draw is not None
        with styled():
            (axes,) = figure.draw().axes
        looks = [(line.get_color(), line.get_marker()) for line in axes.lines if line.get_marker() not in (".", "None")]
        assert len(set(looks)) == 10


def test_a_curve_of_one_epoch_beside_longer_ones() -> None:
    made = material(ERM, MIXUP)
    epochs = {"erm": 1, MIXUP.label: 4}

    def curves(cell: object) -> list[EpochResult]:
        num = epochs[cell.augment.label]  # type: ignore[attr-defined]
        return [EpochResult(epoch, {"val/error": 0.5 / epoch}, 1000 * epoch) for epoch in range(1, num + 1)]

    assert "got better" in only("learning-curves", replace(made, curves=curves)).sentence


def test_names_that_no_file_can_have_are_shown_all_the_same(tmp_path: Path) -> None:
    assert printable(UNLIKE) == "a\ufffdb\ufffd\ufffd\ufffd"
    made = predicted(ERM, MIXUP, dataset=tiny_dataset(class_names=(UNLIKE, "b", "c")))
    kinds = {kind: FIGURES[kind] for kind in ("recall", "confusion")}
    write_report(made, kinds, tmp_path, on_progress=lambda *_: None)
    assert "a\ufffdb" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "a\ufffdb" in json.dumps(json.loads((tmp_path / "recall.json").read_text()), ensure_ascii=False)


def test_the_surface_is_of_rows_that_are_judged() -> None:
    grid = [
        AugmentSpec(name="zeta_mixup", params={"gamma": g, "num_mixed": n}) for g in (2.0, 2.4, 2.8) for n in (4, 8)
    ]
    of = failed(material(ERM, *grid), grid[-1])
    figure = only("gamma-and-n", of)
    assert {(each["gamma"], each["num_mixed"]) for each in figure.data["cells"]} == {
        (spec.params["gamma"], spec.params["num_mixed"]) for spec in grid[:-1]
    }
    with styled():
        assert figure.draw is not None
        assert rendered(figure.draw(), "svg")


def test_counts_of_classes_that_a_cell_does_not_have_are_none() -> None:
    made = predicted(ERM, MIXUP, dataset=tiny_dataset(class_names=("a", "b", "c", "d", "e")))
    shares = only("confusion", made).data["share_of_true_class"]["erm"]
    assert np.array(shares[:3]).shape == (3, 5)
    assert len(shares) == 5


def test_other_metrics_of_validation_do_not_ask_for_predictions() -> None:
    of = material(ERM, MIXUP, comparing=Comparing(metric="best/error"), datasets=(DIGITS,))
    assert "predictions of each image are kept of the test alone" in only("differences", of).sentence
    assert "This is about trainings on these validation images." in verdict(of)[0]


def test_classes_of_a_data_set_that_was_changed_have_no_names() -> None:
    """Another class may be the first of the names by now."""
    now = replace(tiny_dataset(class_names=("atypical", "benign", "malignant")), test_hash="1" * 64)
    figure = only("recall", predicted(ERM, MIXUP, dataset=now))
    assert "benign" not in json.dumps(figure.data) + figure.sentence
    assert "class 0" in json.dumps(figure.data)
