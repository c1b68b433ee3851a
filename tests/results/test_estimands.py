"""New images like these: the headline where each test image's predictions are there, and said where they are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.random import default_rng
from shown import text_of, words
from sweep_samples import ERM, MIXUP, ZETA, make_cells, make_run

from orchestrator.experiment import AugmentSpec, Cell, Comparing
from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.records import CellRun
from orchestrator.results import Comparison, compare, remarks, render
from orchestrator.results.comparison import Column
from orchestrator.storage import Predictions

COLUMN = Column("digits", "convnet")
NUM_IMAGES = 400
RATES = {ERM: 0.10, MIXUP: 0.07, ZETA: 0.055}
Read = Callable[[Cell, tuple[str, ...]], Predictions | None]


def predictions(cell: Cell, *, order: str = "a") -> Predictions:
    """Of images some of which are harder for a row than others, whichever the seed: what new images would change."""
    row = list(RATES).index(cell.augment)
    hard = default_rng(row).random(NUM_IMAGES) < RATES[cell.augment]
    wrong = hard ^ (default_rng(100 + 10 * row + cell.seed).random(NUM_IMAGES) < 0.002)
    zeros = np.zeros(NUM_IMAGES, dtype=np.float32)
    return Predictions(
        labels=np.zeros(NUM_IMAGES, dtype=np.uint8),
        predicted=wrong.astype(np.uint8),
        loss=zeros,
        confidence=zeros,
        order=order,
    )


def runs_of(cells: list[Cell]) -> dict[str, CellRun]:
    found = {}
    for cell in cells:
        wrong = float((predictions(cell).predicted != 0).mean())
        found[cell.key] = make_run(cell, {"test/error": wrong, "test/loss": wrong, "val/error": wrong})
    return found


def read(cell: Cell, _: tuple[str, ...]) -> Predictions:
    return predictions(cell)


CELLS = make_cells(ERM, MIXUP, ZETA, seeds=range(5))


def test_new_images_are_the_headline_and_these_are_said_beside_it() -> None:
    comparison = compare(CELLS, runs_of(CELLS), predictions=read)
    new, these = comparison.new_images[COLUMN], comparison.analyses[COLUMN]
    assert comparison.headline(COLUMN) is new
    assert new.rows[MIXUP.label].high - new.rows[MIXUP.label].low > (
        these.rows[MIXUP.label].high - these.rows[MIXUP.label].low
    )
    assert these.rows[MIXUP.label].verdict == "better"
    assert new.rows[MIXUP.label].verdict == "not told apart"
    assert {entry.standing for entry in comparison.entries.values()} == {"ruled out", "may be best"}
    said = " ".join(remarks(comparison))
    assert f"not told apart from erm: {MIXUP.label} by " in said
    assert f"of these test images alone also: better than erm: {MIXUP.label}; ruled out: {MIXUP.label}." in said
    assert "Both are about new trainings and new test images like these." in said
    assert "would need more test images, however many seeds" in said
    assert "doctor" not in said


def test_both_intervals_stand_behind_the_values() -> None:
    text = words(text_of(render(compare(CELLS, runs_of(CELLS), predictions=read), "table", differences=True), 160))
    assert "(its interval on new test images like these) [and on these test images alone]" in text
    assert text.count(" to ") > text.count("] ") >= 1


def lacking(cell: Cell, _: tuple[str, ...]) -> Predictions | None:
    return None if (cell.augment, cell.seed) == (MIXUP, 3) else predictions(cell)


def of_others(cell: Cell, _: tuple[str, ...]) -> Predictions:
    return predictions(cell, order="b" if cell.augment == ZETA else "a")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (lacking, "mixup(alpha=1.0) seed=3 has no predictions of each image, or of others: zetasweep doctor --fix"),
        (of_others, "zeta_mixup(gamma=2.8, num_mixed=4) seed=0 has no predictions of each image, or of others: "),
    ],
)
def test_where_predictions_lack_it_is_said_and_these_images_are_spoken_of(source: Read, said: str) -> None:
    comparison = compare(CELLS, runs_of(CELLS), predictions=source)
    assert comparison.new_images == {}
    assert comparison.headline(COLUMN) is comparison.analyses[COLUMN]
    lines = [line for line in remarks(comparison) if "doctor" in line]
    assert len(lines) == 1
    assert said in lines[0]
    assert "other test images would differ, too" in " ".join(remarks(comparison))


def test_what_rows_that_are_not_judged_lack_is_no_matter() -> None:
    runs = runs_of(CELLS)
    failed = next(cell for cell in CELLS if (cell.augment, cell.seed) == (MIXUP, 3))
    runs[failed.key] = replace(runs[failed.key], status="failed")
    assert COLUMN in compare(CELLS, runs, predictions=lacking).new_images


@pytest.mark.parametrize("metric", ["val/error", "train/loss"])
def test_predictions_are_of_the_test_and_not_read_for_other_images(metric: str) -> None:
    def refuse(_cell: Cell, _: tuple[str, ...]) -> Predictions:
        raise AssertionError

    runs = runs_of(CELLS)
    runs = {key: replace(run, metrics=run.metrics | {"train/loss": 0.1}) for key, run in runs.items()}
    comparison = compare(CELLS, runs, metric=metric, predictions=refuse)
    assert (comparison.new_images, comparison.lacking) == ({}, {})


def test_folds_have_test_images_of_their_own() -> None:
    folds = [DatasetSpec.model_validate({"name": "digits", "folds": 3, "fold": fold}) for fold in range(3)]
    cells = make_cells(ERM, MIXUP, datasets=folds)
    comparison = compare(cells, runs_of(cells), predictions=lambda cell, _: predictions(cell, order=cell.key))
    assert (comparison.new_images, comparison.lacking) == ({}, {})
    said = " ".join(remarks(comparison))
    assert "Both are about new trainings and new test images like these." in said
    assert "Each has test images of its own" in said


@pytest.mark.parametrize("known_by", ["predictions", "tracked data"])
def test_no_spread_is_smaller_than_that_of_whole_images(known_by: str) -> None:
    """Seeds that all agree: one image of 400 is not told apart, one of a million would be."""
    cells = make_cells(ERM, MIXUP)
    runs = {cell.key: make_run(cell, {"test/error": 0.1 + (cell.augment == ERM) / NUM_IMAGES}) for cell in cells}
    (blind,) = compare(cells, runs).analyses.values()
    assert blind.rows[MIXUP.label].verdict == "better"
    source = None if known_by == "tracked data" else read
    if source is None:
        runs = {key: replace(run, num_images={"train": 10**6, "test": NUM_IMAGES}) for key, run in runs.items()}
    (analysis,) = compare(cells, runs, predictions=source).analyses.values()
    assert analysis.rows[MIXUP.label].verdict == "not told apart"


def wrong_on(rows: Mapping[AugmentSpec, Sequence[set[int]]], cells: Sequence[Cell], *, images: int) -> Comparison:
    """The comparison of trainings by the images that each is wrong on, by position of the seed."""
    kept, runs = {}, {}
    for cell in cells:
        if cell.seed < len(rows[cell.augment]):
            wrong = np.isin(np.arange(images), sorted(rows[cell.augment][cell.seed]))
            zeros = np.zeros(images, np.float32)
            kept[cell.key] = Predictions(zeros.astype(np.uint8), wrong.astype(np.uint8), zeros, zeros, order="a")
            runs[cell.key] = make_run(cell, {"test/error": float(wrong.mean())})
    return compare(cells, runs, comparing=Comparing(margin=3), predictions=lambda cell, _: kept[cell.key])


def test_rows_without_an_error_on_few_images_are_not_called_equal() -> None:
    cells = make_cells(ERM, MIXUP, ZETA)
    comparison = wrong_on(dict.fromkeys((ERM, MIXUP, ZETA), [set[int]()] * 3), cells, images=30)
    said = " ".join(remarks(comparison))
    assert "equal to erm" not in said
    assert "not told apart from erm: " in said
    assert "no two rows differ on any of these test images: what new ones would change is hardly seen" in said
    assert "(Agresti and Coull 1998)" in said
    assert "would need more test images, however many seeds" in said
    some = wrong_on({ERM: [{1}] * 3, MIXUP: [{2}] * 3, ZETA: [set(range(20))] * 3}, cells, images=30)
    told = "1 of 3 pairs of rows, their seeds averaged, differ as little as on fewer than four of these test images"
    assert told in " ".join(remarks(some))
    two = wrong_on({ERM: [{1}] * 3, MIXUP: [{1}] * 3}, make_cells(ERM, MIXUP), images=30)
    assert "the rows do not differ on any of these test images: what" in " ".join(remarks(two))
    many = wrong_on({ERM: [{*range(9)}] * 3, MIXUP: [{*range(10, 20)}] * 3}, make_cells(ERM, MIXUP), images=300)
    assert "Agresti" not in " ".join(remarks(many))


def test_a_row_with_one_seed_does_not_make_images_of_what_is_training() -> None:
    """Of a single training it is not known what of it other images would change: all of it at most."""
    cells = make_cells(ERM, MIXUP, ZETA, seeds=range(6))
    rng = default_rng(0)
    rows = {row: [set(rng.choice(600, 60, replace=False).tolist()) for _ in range(6)] for row in (ERM, MIXUP, ZETA)}
    rows[ERM] = rows[ERM][:1]
    for seed, wrong in enumerate(rows[MIXUP]):
        wrong |= set(range(5 * (seed % 2)))
    said = " ".join(remarks(wrong_on(rows, cells, images=600)))
    assert "this table sees" in said
    assert "more test images, however many seeds" not in said
    assert "0.50 points would need about " in said
