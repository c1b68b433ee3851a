"""What is said of new images where rows differ on very few of those that were tested."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from orchestrator.results.statistics import analyse, image_floors
from orchestrator.storage import Predictions

Wrong = dict[str, list[set[int]]]


def answered(wrong: Wrong, *, images: int) -> dict[str, dict[int, Predictions]]:
    """Trainings of each row, by the images that each is wrong on."""
    classes = 2
    labels = (np.arange(images) % classes).astype(np.uint8)
    confidence = np.full(images, 0.9, np.float32)

    def cell(places: set[int]) -> Predictions:
        is_wrong = np.isin(np.arange(images), sorted(places))
        predicted = np.where(is_wrong, (labels + 1) % classes, labels).astype(np.uint8)
        logits = np.where(np.arange(classes) == predicted[:, None], 0, -2).astype(np.float16)
        return Predictions(labels, predicted, 1.0 * confidence, confidence, order="0" * 64, logits=logits)

    return {row: dict(enumerate(map(cell, of_row))) for row, of_row in wrong.items()}


def test_rows_without_any_error_are_not_equal_on_new_images() -> None:
    """Of 30 images a row that is wrong on 3 % of all is wrong on none in 40 % of test sets."""
    predictions = answered({row: [set()] * 3 for row in ("erm", "mixup", "cutmix")}, images=30)
    floors = image_floors("error", predictions)
    assert floors is not None
    assert set(floors.variances.values()) == {4 / 30**2}
    assert floors.seen == dict.fromkeys(floors.variances, 0.0)
    values = {row: dict.fromkeys(range(3), 0.0) for row in predictions}
    said = analyse(
        values,
        baseline="erm",
        higher_is_better=False,
        margin=0.03,
        image_variance=floors.variances,
        resolution=1 / 30,
    )
    assert {each.verdict for each in said.rows.values()} == {"not told apart"}
    # As far as an exact interval of an event that is not seen reaches (Clopper and Pearson, 97.5 %).
    assert all(each.high > 1 - 0.025 ** (1 / 30) for each in said.rows.values())


@pytest.mark.parametrize(("images", "left"), [(600, 4), (30, 4)])
@pytest.mark.parametrize("metric", ["error", "accuracy", "f1_micro", "group/error"])
def test_images_are_added_to_the_same_few(metric: str, images: int, left: float) -> None:
    predictions = answered({"erm": [set()] * 2, "mixup": [set()] * 2, "all": [set(range(images))] * 2}, images=images)
    grouped = {
        row: {seed: replace(cell, groups=np.arange(images, dtype=np.int32)) for seed, cell in of_row.items()}
        for row, of_row in predictions.items()
    }
    floors = image_floors(metric, grouped)
    assert floors is not None
    assert set(floors.variances) == {("erm", "mixup"), ("erm", "all"), ("mixup", "all")}
    assert list(floors.variances.values()) == [pytest.approx(left / images**2)] * 3


@pytest.mark.parametrize(("differ", "added"), [(0, 4), (5, 4), (12, 4), (14, 2), (16, 0), (40, 0)])
def test_less_is_added_where_more_is_seen(differ: int, added: float) -> None:
    images = 10_000
    wrong = {"erm": [set(range(differ // 2))] * 3, "mixup": [set(range(100, 100 + (differ + 1) // 2))] * 3}
    floors = image_floors("error", answered(wrong, images=images))
    assert floors is not None
    assert floors.variances["erm", "mixup"] * images**2 == pytest.approx(differ + added, rel=1e-3)
    assert set(floors.seen) == ({("erm", "mixup")} if added > differ else set())


@pytest.mark.parametrize(("metric", "step"), [("balanced_accuracy", 1 / 20), ("f1_macro", (1 / 20 + 1 / 180) / 2)])
def test_by_class_one_image_of_the_rarest_counts(metric: str, step: float) -> None:
    (cell,) = answered({"erm": [set()]}, images=100)["erm"].values()
    labels = (np.arange(100) < 10).astype(np.uint8)
    logits = np.where(np.arange(2) == labels[:, None], 0, -2).astype(np.float16)
    cell = replace(cell, labels=labels, predicted=labels, logits=logits)
    floors = image_floors(metric, {row: dict.fromkeys(range(3), cell) for row in ("erm", "mixup")})
    assert floors is not None
    assert floors.variances == {("erm", "mixup"): pytest.approx(4 * step**2)}


@pytest.mark.parametrize("metric", ["loss", "ece", "auroc"])
def test_of_what_is_not_counted_nothing_is_said_where_rows_do_not_differ(metric: str) -> None:
    same = answered({"erm": [{1, 2}, {2, 5}], "mixup": [{1, 2}, {2, 5}]}, images=30)
    assert image_floors(metric, same) is None
    other = answered({"erm": [{1, 2}, {2, 5}], "mixup": [{1, 3}, {2, 5}]}, images=30)
    if metric == "auroc":
        assert image_floors(metric, other) is not None


def test_a_pair_with_a_single_seed_is_known_from_above_alone() -> None:
    rng = np.random.default_rng(0)
    drawn = {row: [set(rng.choice(300, 60, replace=False)) for _ in range(5)] for row in ("erm", "a", "b")}
    drawn["b"] = drawn["b"][:1]
    floors = image_floors("error", answered(drawn, images=300))
    assert floors is not None
    assert set(floors.bounds) == {("erm", "b"), ("a", "b")}
    values = {row: {seed: len(each) / 300 + seed / 1000 for seed, each in enumerate(of)} for row, of in drawn.items()}
    values["a"][2] += 0.01
    options = {"baseline": "erm", "higher_is_better": False, "image_variance": floors.variances}
    said = analyse(values, **options, image_bounds=floors.bounds)
    assert said.image_variance == floors.variances["erm", "a"]
    assert analyse(values, **options).image_variance > 2 * said.image_variance
