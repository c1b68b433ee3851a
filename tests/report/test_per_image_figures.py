"""Figures of classes and calibration, from predictions for each test image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from predicted import ODD, material, tiny_dataset, without_predictions
from sweep_samples import ERM, MIXUP, ZETA, ZETA_BATCH

from orchestrator.experiment import AugmentSpec
from orchestrator.report.confusion import confusion
from orchestrator.report.figure import Figure, Material, Unavailable
from orchestrator.report.recall import recall
from orchestrator.report.reliability import reliability
from orchestrator.report.seeds_or_images import seeds_or_images
from orchestrator.report.style import rendered, styled
from orchestrator.results.statistics import analyse

KINDS = [recall, reliability, confusion]


def svg_of(figure: Figure) -> str:
    assert figure.draw is not None
    with styled():
        return rendered(figure.draw(), "svg").decode()


def only(figures: list[Figure]) -> Figure:
    (figure,) = figures
    return figure


def with_new_images(made: Material, *, floor: float) -> Material:
    """Return material of which it is known what the test images add to the variance of a difference."""
    comparison = made.comparison
    (column,) = comparison.columns
    values = {
        row: {at.seed: value for at, value in comparison.entries[row, column].values.items()} for row in comparison.rows
    }
    every = {(one, other): floor for one in values for other in values}
    analysis = analyse(values, baseline="erm", higher_is_better=False, image_variance=every)
    return replace(made, comparison=replace(comparison, new_images={column: analysis}))


def test_recall_is_that_of_the_trainings_and_told_apart_where_it_differs() -> None:
    made = material(ERM, MIXUP, ZETA, seeds=10, num_images=3000)
    figure = only(recall(made))
    first, second = figure.data["classes"][0], figure.data["classes"][1]
    expected = [
        np.mean([(p.predicted == 1)[p.labels == 1].mean() for seed in range(10) if (p := of_seed(made, ZETA, seed))])
    ]
    assert second["recall"][ZETA.label] == pytest.approx(expected[0])
    assert second["test_images"] == 1000
    against = second["against_baseline"][ZETA.label]
    assert against["low"] > 0
    assert against["low"] < against["difference"] < against["high"]
    assert first["against_baseline"][ZETA.label]["difference"] < against["difference"]
    assert f"Told apart from erm: class 1 ({ZETA.label}: +" in figure.sentence


def of_seed(made: Material, augment: AugmentSpec, seed: int) -> Any:
    return next(made.predictions(cell) for cell in made.cells if (cell.augment, cell.seed) == (augment, seed))


def test_what_is_told_apart_is_so_with_all_rows_and_classes_allowed_for() -> None:
    made = material(ERM, MIXUP, ZETA)
    (of_class, *_) = only(recall(made)).data["classes"]
    recalls = {
        augment.label: {
            seed: float((p.predicted == 0)[p.labels == 0].mean())
            for seed in range(5)
            if (p := of_seed(made, augment, seed)) is not None
        }
        for augment in (ERM, MIXUP, ZETA)
    }
    of_rows = analyse(recalls, baseline="erm", higher_is_better=True, resolution=0.01)
    shown, expected = of_class["against_baseline"][ZETA.label], of_rows.rows[ZETA.label]
    assert (shown["low"], shown["high"]) == pytest.approx((expected.low, expected.high))
    assert shown["p"] == pytest.approx(min(1.0, 3 * expected.p))


def test_a_reliability_diagram_counts_all_trainings_and_averages_their_error() -> None:
    made = material(ERM, MIXUP)
    figure = only(reliability(made))
    of_erm = figure.data["rows"]["erm"]
    assert sum(of_erm["counts"]) == 5 * 300
    errors = []
    for seed in range(5):
        found = of_seed(made, ERM, seed)
        bins = np.minimum((found.confidence * 15).astype(int), 14)
        gaps = (found.predicted == found.labels) - found.confidence.astype(float)
        errors.append(np.abs(np.bincount(bins, weights=gaps)).sum() / 300)
    assert of_erm["ece"] == pytest.approx(np.mean(errors), abs=1e-6)
    assert of_erm["ece_std"] == pytest.approx(np.std(errors, ddof=1), abs=1e-6)
    assert "over-confident" in figure.sentence


def test_confusion_is_that_of_the_baseline_and_of_the_best_row() -> None:
    made = material(ERM, MIXUP, ZETA)
    figure = only(confusion(made))
    matrices = figure.data["share_of_true_class"]
    assert list(matrices) == ["erm", ZETA.label]
    missed = np.mean([(of_seed(made, ERM, seed).predicted == 2)[1::3].mean() for seed in range(5)])
    assert matrices["erm"][1][2] == pytest.approx(missed)
    assert np.sum(matrices["erm"], axis=1).tolist() == pytest.approx([1, 1, 1])


@pytest.mark.parametrize(
    ("make", "num_classes"), [(recall, 30), (reliability, 3), (confusion, 3), (confusion, 10), (confusion, 100)]
)
def test_they_are_drawn_for_few_and_many_classes(make: Callable[[Material], list[Figure]], num_classes: int) -> None:
    figure = only(make(material(ERM, MIXUP, ZETA, ZETA_BATCH, num_classes=num_classes, num_images=5 * num_classes)))
    assert "<svg" in svg_of(figure)
    if make is confusion and num_classes == 100:
        assert len(figure.data["pairs"]) <= 45


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_names_of_classes_are_shown_as_they_are(make: Callable[[Material], list[Figure]]) -> None:
    figure = only(make(material(ERM, MIXUP, dataset=tiny_dataset())))
    drawn = svg_of(figure)
    assert "<b>" not in drawn
    if make is not reliability:
        assert "&lt;b&gt;c&lt;/b&gt;&amp;$x$" in drawn
        assert any(name in str(figure.data) or repr(name)[1:-1] in str(figure.data) for name in ODD)


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_what_is_missing_is_said_with_what_to_do(make: Callable[[Material], list[Figure]]) -> None:
    made = material(ERM, MIXUP)
    with pytest.raises(Unavailable, match=r"zetasweep doctor sample\.yaml --fix computes them\."):
        make(without_predictions(made))
    some = only(make(without_predictions(made, of=MIXUP)))
    assert "5 finished cells without predictions for each test image left out: zetasweep doctor" in some.sentence
    with pytest.raises(Unavailable, match=r"zetasweep run sample\.yaml goes on\."):
        make(replace(made, runs={}))


@pytest.mark.parametrize(("floor", "more"), [(1e-8, "seeds"), (1.0, "test images")])
def test_what_would_narrow_an_interval(floor: float, more: str) -> None:
    made = with_new_images(material(ERM, MIXUP, ZETA), floor=floor)
    figure = only(seeds_or_images(made))
    assert f"more {more} would narrow it more" in figure.sentence
    widths, variance = figure.data["half_width"], figure.data["variance_of_a_difference"]
    assert widths["more_seeds"][0] == widths["more_images"][0]
    assert widths["more_seeds"] == sorted(widths["more_seeds"], reverse=True)
    assert widths["more_images"] == sorted(widths["more_images"], reverse=True)
    assert variance["test_images"] == pytest.approx(floor)
    # About what the table itself has, whose rows are not all alike.
    (column,) = made.comparison.columns
    shown = made.comparison.new_images[column].rows[ZETA.label]
    assert widths["more_seeds"][0] == pytest.approx((shown.high - shown.low) / 2, rel=0.5)
    assert "<svg" in svg_of(figure)


def test_without_predictions_the_part_of_the_images_is_not_known() -> None:
    with pytest.raises(Unavailable, match="zetasweep doctor"):
        seeds_or_images(material(ERM, MIXUP, ZETA))
