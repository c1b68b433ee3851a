"""What is said beside the numbers: what the seeds can tell, and what is missing."""

from __future__ import annotations

import math
import re

from shown import sample, text_of, words
from sweep_samples import ERM, MIXUP, ZETA, make_cells, make_run, runs_with

from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.results import compare, render


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


def test_remarks_of_one_fold_and_of_several() -> None:
    folds = [DatasetSpec.model_validate({"name": "digits", "folds": 3, "fold": fold}) for fold in range(3)]
    values = {ERM: (0.2, 0.3), MIXUP: (0.1, 0.21)}
    one, several = (make_cells(ERM, MIXUP, seeds=(0, 1), datasets=folds[:number]) for number in (1, 2))
    text = words(text_of(render(compare(one, runs_with(one, values)), "table")))
    assert "points better than erm (3.15 to 15.85, n=2, fold 0 alone): separated." in text
    assert "Of one fold alone the interval is over its seeds, and says nothing of the other folds." in text
    assert "standard deviation over seeds (" in text
    assert "each counts once" not in text
    runs = runs_with(several, values)
    equal = words(text_of(render(compare(several, runs), "table")))
    assert "with each of 2 folds: differences without any spread cannot tell." in equal
    worse = next(cell for cell in several if (cell.augment, cell.replicate) == (ERM, (0, 1)))
    runs[worse.key] = make_run(worse, {"test/error": 0.25})
    text = words(text_of(render(compare(several, runs), "table")))
    assert re.search(r"n=4\): (not )?separated", text)
    assert "each counts once" in text
    assert "standard deviation over seeds and folds (" in text
    assert "alone" not in text


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
