"""What other test images would change: against its definition, and resampled metrics against those of copies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.random import Generator, default_rng

from orchestrator.metric_names import METRICS
from orchestrator.results.statistics import (
    analyse,
    arrays_needed,
    image_floors,
    kept_resamples,
    resampling,
    resolution_of,
)
from orchestrator.results.statistics.answers import class_scores, of_groups
from orchestrator.storage import Predictions
from orchestrator.train.metrics import judge_test

Rows = dict[str, dict[int, Predictions]]


def answers(rng: Generator, labels: np.ndarray, *, num_classes: int, groups: np.ndarray | None = None) -> Predictions:
    """What a model of middling skill says, in steps that make many ties."""
    logits = np.round(rng.normal(size=(len(labels), num_classes)) + 1.2 * np.eye(num_classes)[labels], 1)
    logits = (logits - logits.max(axis=1, keepdims=True)).astype(np.float16)
    p = np.exp(logits.astype(float))
    p /= p.sum(axis=1, keepdims=True)
    return Predictions(
        labels=labels.astype(np.uint8),
        predicted=p.argmax(axis=1).astype(np.uint8),
        loss=-np.log(p[np.arange(len(labels)), labels]).astype(np.float32),
        confidence=p.max(axis=1).astype(np.float32),
        order="0" * 64,
        logits=logits,
        groups=groups,
    )


def drawn(
    *, rows: int = 3, seeds: int = 4, images: int = 80, num_classes: int = 3, groups: np.ndarray | None = None
) -> Rows:
    rng = default_rng(rows * seeds)
    labels = rng.integers(num_classes, size=images) if groups is None else groups % num_classes
    return {
        f"r{row}": {seed: answers(rng, labels, num_classes=num_classes, groups=groups) for seed in range(seeds)}
        for row in range(rows)
    }


def variances_of(
    metric: str, predictions: Rows, *, classes: Sequence[str] = ()
) -> Mapping[tuple[str, str], float] | None:
    floors = image_floors(metric, predictions, classes=classes)
    return None if floors is None else floors.variances


def defined(one: np.ndarray, other: np.ndarray) -> float:
    """(n V_avg - V_one) / (n - 1), of [seeds, images]."""
    difference = one - other
    n, images = difference.shape
    of_mean = difference.mean(axis=0).var(ddof=1) / images
    of_one = difference.var(axis=1, ddof=1).mean() / images
    return max(0.0, (n * of_mean - of_one) / (n - 1))


def of_bins(cell: Predictions) -> np.ndarray:
    """What each image adds to the calibration error, which is their mean."""
    right, said = 1.0 * (cell.predicted == cell.labels), cell.confidence.astype(float)
    added = np.zeros(len(right))
    for lowest in np.arange(15) / 15:
        inside = (said >= lowest) & ((said < lowest + 1 / 15) | (lowest == 14 / 15))
        gap = (right - said)[inside]
        added[inside] = gap if gap.sum() > 0 else -gap
    return added


PER_IMAGE: dict[str, Callable[[Predictions], np.ndarray]] = {
    "test/error": lambda cell: 1.0 * (cell.predicted != cell.labels),
    "accuracy": lambda cell: 1.0 * (cell.predicted == cell.labels),
    "f1_micro": lambda cell: 1.0 * (cell.predicted == cell.labels),
    "loss": lambda cell: cell.loss.astype(float),
    "ece": of_bins,
}


@pytest.mark.parametrize("metric", PER_IMAGE)
def test_means_over_images_have_the_floor_that_is_defined(metric: str) -> None:
    predictions = drawn(seeds=5, images=240)
    found = variances_of(metric, predictions)
    assert found is not None
    assert list(found) == [("r0", "r1"), ("r0", "r2"), ("r1", "r2")]
    of_rows = {row: np.stack([PER_IMAGE[metric](cell) for cell in of.values()]) for row, of in predictions.items()}
    for (one, other), floor in found.items():
        assert floor == pytest.approx(defined(of_rows[one], of_rows[other]), rel=1e-9, abs=1e-15)
    assert any(found.values())


def test_the_calibration_error_is_the_mean_of_what_images_add() -> None:
    (cell,) = drawn(rows=1, seeds=1)["r0"].values()
    assert cell.logits is not None
    logits, labels = torch.tensor(cell.logits.astype(np.float32)), torch.tensor(cell.labels.astype(np.int64))
    judged = judge_test(logits, labels, num_classes=3).images.metrics["ece"]
    assert of_bins(cell).mean() == pytest.approx(judged, abs=1e-6)


def test_balanced_accuracy_varies_within_each_class() -> None:
    predictions = drawn(images=600)
    labels = predictions["r0"][0].labels
    found = variances_of("balanced_accuracy", predictions)
    recalls = [variances_of(f"recall/{name}", predictions, classes="abc") for name in "abc"]
    assert found is not None
    unclipped = 0.0
    hits = {row: np.stack([1.0 * (c.predicted == c.labels) for c in of.values()]) for row, of in predictions.items()}
    for label, of_class in enumerate(recalls):
        assert of_class is not None
        difference = (hits["r0"] - hits["r1"])[:, labels == label]
        n, images = difference.shape
        products = np.cov(difference)
        unclipped += (products.sum() - np.trace(products)) / (n * (n - 1)) / images / 9
        expected = defined(hits["r0"][:, labels == label], hits["r1"][:, labels == label])
        assert of_class["r0", "r1"] == pytest.approx(expected, rel=1e-9, abs=1e-15)
    assert found["r0", "r1"] == pytest.approx(max(0.0, unclipped), rel=1e-9, abs=1e-15)


def test_a_seed_that_a_row_lacks_is_left_out_of_that_row_alone() -> None:
    """The mean covariance of two different trainings, of which there may be any number."""
    predictions = drawn(images=240)
    del predictions["r1"][0], predictions["r1"][2]
    found = variances_of("error", predictions)
    assert found is not None

    def between(one: str, other: str) -> float:
        products = [
            np.cov(PER_IMAGE["test/error"](mine), PER_IMAGE["test/error"](yours))[0, 1]
            for seed, mine in predictions[one].items()
            for other_seed, yours in predictions[other].items()
            if seed != other_seed
        ]
        return float(np.mean(products)) / 240

    expected = between("r0", "r0") + between("r1", "r1") - 2 * between("r0", "r1")
    assert found["r0", "r1"] == pytest.approx(max(0.0, expected), rel=1e-9, abs=1e-15)


def test_of_a_single_seed_the_training_is_taken_for_the_images() -> None:
    one, other = ({0: drawn()[row][0]} for row in ("r0", "r1"))
    found = variances_of("error", {"r0": one, "r1": other})
    difference = PER_IMAGE["test/error"](one[0]) - PER_IMAGE["test/error"](other[0])
    assert found == {("r0", "r1"): pytest.approx(difference.var(ddof=1) / 80)}


@pytest.mark.parametrize("metric", ["error", "loss", "balanced_accuracy", "ece", "f1_macro", "auroc"])
def test_images_of_one_group_count_as_one(metric: str) -> None:
    """Each image five times says no more than once: without its group it would seem to say five times as much."""
    single = drawn(images=120)
    places = np.repeat(np.arange(120), 5)

    def repeated(cell: Predictions, groups: np.ndarray | None) -> Predictions:
        names = ("labels", "predicted", "loss", "confidence", "logits")
        return replace(cell, groups=groups, **{name: getattr(cell, name)[places] for name in names})

    expected = variances_of(metric, single)
    grouped, loose = (
        variances_of(metric, {row: {s: repeated(c, groups) for s, c in of.items()} for row, of in single.items()})
        for groups in (places.astype(np.int32), None)
    )
    assert expected is not None
    assert grouped is not None
    assert loose is not None
    assert list(grouped.values()) == pytest.approx(list(expected.values()), rel=1e-4, abs=1e-12)
    assert max(loose.values()) < max(expected.values()) / 2


RESAMPLED = [name for name in METRICS if name not in (*PER_IMAGE, "error", "balanced_accuracy")]


@pytest.mark.parametrize("num_classes", [2, 4])
def test_a_metric_of_weighted_images_is_that_of_copies(num_classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resampling, "RESAMPLES", 6)
    monkeypatch.setattr(resampling, "_AT_ONCE", 4 * 60)
    (cell,) = drawn(rows=1, seeds=1, images=60, num_classes=num_classes)["r0"].values()
    assert cell.logits is not None
    copies = np.concatenate(list(resampling._weights(cell)), axis=1).astype(int)
    assert copies.shape == (60, 6)
    assert (copies.sum(axis=0) == 60).all()
    for name in RESAMPLED:
        measure = resampling.measure_of(name, None)
        assert measure is not None
        (found,) = resampling.resampled([cell], measure)
        for value, counts in zip(found, copies.T, strict=True):
            drawn_images = np.repeat(np.arange(60), counts)
            logits, labels = cell.logits.astype(np.float32)[drawn_images], cell.labels.astype(np.int64)[drawn_images]
            expected = judge_test(torch.tensor(logits), torch.tensor(labels), num_classes=num_classes).images.metrics
            assert value == pytest.approx(expected[name], abs=1e-5), name


def test_whole_groups_are_judged_as_the_test_judges_them() -> None:
    groups = np.arange(90, dtype=np.int32) // 3
    (cell,) = drawn(rows=1, seeds=1, groups=groups)["r0"].values()
    pooled = of_groups(cell)
    assert pooled is not None
    assert cell.logits is not None
    logits, labels = torch.tensor(cell.logits.astype(np.float32)), torch.tensor(cell.labels.astype(np.int64))
    judged = judge_test(logits, labels, num_classes=3, groups=torch.tensor(groups.astype(np.int64))).groups
    assert judged is not None
    assert pooled.labels.tolist() == judged.labels.tolist()
    assert pooled.predicted.tolist() == judged.predicted.tolist()
    assert pooled.loss.mean() == pytest.approx(judged.metrics["loss"])
    assert variances_of("group/error", drawn(groups=groups)) is not None
    assert variances_of("group/auroc", drawn(groups=groups)) is not None
    assert resolution_of("group/error", cell) == pytest.approx(1 / 30)


def test_the_bootstrap_has_the_variance_of_what_is_known_exactly() -> None:
    """AUROC of two classes, from its pairs: DeLong's."""
    predictions = drawn(num_classes=2, images=300)
    found = variances_of("auroc", predictions)
    assert found is not None
    labels = predictions["r0"][0].labels
    parts = []
    for of_row in predictions.values():
        parts.append([])
        for cell in of_row.values():
            assert cell.logits is not None
            scores = class_scores(cell.logits)[:, 1]
            won = (np.sign(scores[labels == 1][:, None] - scores[labels == 0][None, :]) + 1) / 2
            of_image = np.zeros(300)
            of_image[labels == 1] = (won.mean(axis=1) - won.mean()) / won.shape[0]
            of_image[labels == 0] = (won.mean(axis=0) - won.mean()) / won.shape[1]
            parts[-1].append(of_image)
    difference = np.array(parts[0]) - np.array(parts[1])
    products = difference @ difference.T
    expected = (products.sum() - np.trace(products)) / 12
    assert found["r0", "r1"] == pytest.approx(max(0.0, expected), abs=0.1 * products.mean() + 2e-6)


def changed(predictions: Rows, **arrays: Any) -> Rows:
    return {row: {seed: replace(cell, **arrays) for seed, cell in of.items()} for row, of in predictions.items()}


def test_what_cannot_be_known_is_not_said() -> None:
    predictions = drawn()
    rare = np.zeros(80, np.uint8)
    rare[:40], rare[40] = 1, 2
    others = {"r0": {0: replace(predictions["r0"][0], order="1" * 64)}}
    for metric, cells in (
        ("val/error", predictions),
        ("best/error", predictions),
        ("train/loss", predictions),
        ("recall/d", predictions),
        ("recall", predictions),
        ("nothing", predictions),
        ("group/error", predictions),
        ("error", predictions | {"r3": {}}),
        ("error", predictions | others),
        ("auroc", changed(predictions, logits=None)),
        ("balanced_accuracy", changed(predictions, labels=rare)),
        ("auroc", changed(predictions, labels=0 * rare)),
        ("error", {}),
    ):
        assert variances_of(metric, cells, classes="abc") is None, metric


def test_only_what_is_needed_is_read() -> None:
    assert arrays_needed("test/error") == ("groups", "predicted")
    assert arrays_needed("loss") == ("groups", "loss")
    assert arrays_needed("ece") == ("groups", "predicted", "confidence")
    assert arrays_needed("test/auroc/melanoma") == ("groups", "logits")
    assert arrays_needed("test/group/recall/melanoma") == ("groups", "logits")
    assert arrays_needed("val/error") == ()


def test_the_least_step_is_that_of_one_image() -> None:
    cell = drawn(images=75)["r0"][0]
    counts = np.bincount(cell.labels)
    assert resolution_of("test/error", cell) == pytest.approx(1 / 75)
    assert resolution_of("recall/b", cell, classes="abc") == pytest.approx(1 / counts[1])
    assert resolution_of("balanced_accuracy", cell) == pytest.approx(1 / (3 * counts.max()))
    assert resolution_of("loss", cell) is None
    assert resolution_of("val/error", cell) is None


def test_rows_that_differ_on_these_images_alone_are_not_told_apart_on_new_ones() -> None:
    """All trainings of a row are wrong equally often: the difference is certain, and of three images."""
    images = np.arange(200)
    cell = answers(default_rng(0), 0 * images, num_classes=2)
    predictions = {
        row: {seed: replace(cell, predicted=np.uint8((images < num) ^ (images == 99 + seed))) for seed in range(5)}
        for row, num in (("r0", 20), ("r1", 17))
    }
    values = {row: {s: float((c.predicted != 0).mean()) for s, c in of.items()} for row, of in predictions.items()}
    floors = variances_of("error", predictions)
    assert floors == {("r0", "r1"): pytest.approx((3 + 4) / 200**2, rel=0.1)}
    these, new = (analyse(values, baseline="r0", higher_is_better=False, image_variance=of) for of in (None, floors))
    assert these.rows["r1"].verdict == "better"
    assert new.rows["r1"].verdict == "not told apart"


def test_what_was_resampled_is_not_resampled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver asks after each column; only of answers that are new it takes its time."""
    asked: list[int] = []
    resampled = resampling.resampled

    def counting(cells: Any, measure: Any) -> Any:
        asked.append(len(cells))
        return resampled(cells, measure)

    monkeypatch.setattr(kept_resamples, "resampled", counting)
    monkeypatch.setattr(kept_resamples, "_kept", type(kept_resamples._kept)())
    predictions = drawn(rows=2, seeds=3, images=40)
    first = variances_of("test/f1_macro", predictions)
    assert variances_of("test/f1_macro", predictions) == first
    assert asked == [6]
    changed = replace(predictions["r1"][2], predicted=predictions["r0"][0].predicted.copy()[::-1])
    variances_of("test/f1_macro", predictions | {"r1": {**predictions["r1"], 2: changed}})
    variances_of("test/auroc", predictions)
    assert asked == [6, 1, 6]
    measure = resampling.measure_of("f1_macro", None)
    assert measure is not None
    cells = [changed, predictions["r0"][0], changed]
    kept = kept_resamples.resampled_once(cells, measure, of=("f1_macro", None))
    assert kept.tolist() == resampled(cells, measure).tolist()
    assert asked == [6, 1, 6]
