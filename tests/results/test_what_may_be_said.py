"""No table says more than is shown: of what may be the best, of confidence, of a baseline that was chosen late."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sweep_samples import DIGITS, ERM, MIXUP, ZETA, make_cells, make_run, runs_with

from orchestrator.experiment import AugmentSpec, Comparing
from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.results import Comparison, Names, answer_of, compare, remarks, render
from orchestrator.results.levels import level
from orchestrator.results.meant_images import about
from orchestrator.results.statistics import analyse
from orchestrator.results.statistics.dunnett import constants, probability
from orchestrator.results.statistics.fit import fit
from orchestrator.results.wording import differences_title

CIFAR = DatasetSpec.model_validate({"name": "cifar10"})
CLEAR = {ERM: (0.30, 0.31, 0.32), MIXUP: (0.20, 0.21, 0.22), ZETA: (0.041, 0.045, 0.04)}
FOLDS = [DatasetSpec.model_validate({"name": "digits", "folds": 5, "fold": fold}) for fold in range(5)]


def table(values: Mapping[AugmentSpec, Sequence[float]] = CLEAR, **options: Any) -> Comparison:
    cells = make_cells(*values)
    return compare(cells, runs_with(cells, values), **options)


def in_folds() -> Comparison:
    cells = make_cells(ERM, MIXUP, seeds=(0, 1, 2), datasets=FOLDS)
    rng = np.random.default_rng(0)
    return compare(cells, {cell.key: make_run(cell, {"test/error": rng.normal(0.2, 0.01)}) for cell in cells})


def text(comparison: Comparison) -> str:
    return " ".join(remarks(comparison))


@pytest.mark.parametrize(("m", "alpha"), [(1, 0.05 / 20), (2, 0.013 / 4), (11, 0.05 / 8), (53, 0.013 / 4)])
def test_there_is_a_constant_for_each_error_rate_that_columns_and_looks_leave(m: int, alpha: float) -> None:
    df = np.array([1.0, 2.0, 3.0, 12.5])
    found = constants(m, df, two_sided=True, alpha=alpha)
    assert np.isfinite(found).all()
    assert 1 - probability(found[1:], m, df[1:], two_sided=True) == pytest.approx(alpha, abs=1e-9)


def test_twenty_columns_share_an_error_rate() -> None:
    datasets = [DatasetSpec.model_validate({"name": "digits", "num_train": 100 + at}) for at in range(20)]
    cells = make_cells(ERM, MIXUP, datasets=datasets)
    comparison = compare(cells, runs_with(cells, CLEAR), comparing=Comparing(family="table"))
    assert {analysis.alpha for analysis in comparison.analyses.values()} == {0.0025}
    assert "of the table with 95 % confidence" in text(comparison)


@pytest.mark.parametrize(("alpha", "said"), [(0.05, "95"), (0.013, "98.7"), (0.0125, "98.75"), (0.05 / 12, "99.58")])
def test_no_confidence_is_said_that_is_not_there(alpha: float, said: str) -> None:
    assert level(alpha) == said


def test_columns_of_unlike_confidence_are_held_to_the_least() -> None:
    cells = make_cells(ERM, MIXUP, datasets=(DIGITS, CIFAR))
    first = compare(cells, runs_with(cells, CLEAR))
    more = make_cells(ERM, MIXUP, datasets=(DIGITS, CIFAR), seeds=range(4))
    values = {augment: (*of, of[0] + 0.003) for augment, of in CLEAR.items()}
    keys = {cell.config_key for cell in cells if cell.dataset == DIGITS}
    look = {key: seeds for key, seeds in first.seen.items() if key in keys}
    later = compare(more, runs_with(more, values), looks=[look])
    assert sorted(analysis.alpha for analysis in later.analyses.values()) == [0.013, 0.05]
    assert "of a column with 95 or 98.7 % confidence" in text(later)
    assert r"95 or 98.7\,\% confidence" in str(render(later, "latex"))


def _failed() -> Comparison:
    cells = make_cells(ERM, MIXUP, ZETA)
    runs = runs_with(cells, {**CLEAR, ZETA: (0.01, 0.01)})
    runs[cells[-1].key] = replace(make_run(cells[-1], {}), status="failed")
    return compare(cells, runs)


def _missing() -> Comparison:
    cells = make_cells(ERM, MIXUP, ZETA)
    return compare(cells, runs_with(cells, {ERM: CLEAR[ERM], MIXUP: CLEAR[MIXUP]}))


@pytest.mark.parametrize("of", [_failed, _missing])
def test_no_row_is_starred_while_another_is_not_judged(of: Callable[[], Comparison]) -> None:
    comparison = of()
    (column,) = comparison.columns
    assert comparison.entries[MIXUP.label, column].standing == "may be best"
    alone = (
        f"{MIXUP.label} may be the best; it alone of 2 judged rows of 3 is not ruled out; {ZETA.label} was not judged"
    )
    assert alone in text(comparison)
    assert "Bold" not in str(render(comparison, "latex"))


def test_the_best_row_first_is_one_that_is_judged() -> None:
    assert [row[2] for row in answer_of(_failed(), Names()).rows] == [MIXUP.label, "erm", ZETA.label]


def test_what_is_ruled_out_is_said_as_it_is_shown() -> None:
    said = text(table())
    assert "of each row that is ruled out some other row is at least as good (Hsu)" in said
    assert "shown to be worse" not in said
    assert "Bold: the best, no other row is better." in str(render(table(), "latex"))


@pytest.mark.parametrize(
    ("baseline", "comparing", "is_exploratory"),
    [
        (None, Comparing(), False),
        ("erm", Comparing(), False),
        (MIXUP.label, Comparing(), True),
        (None, Comparing(baseline="mixup"), False),
        ("mixup", Comparing(baseline="mixup"), False),
        ("erm", Comparing(baseline="mixup"), True),
    ],
)
def test_a_baseline_that_the_file_does_not_name_is_exploratory(
    baseline: str | None, comparing: Comparing, is_exploratory: bool
) -> None:
    comparison = table(baseline=baseline, comparing=comparing)
    assert comparison.is_exploratory == is_exploratory
    assert ("Exploratory: the file has another baseline" in text(comparison)) == is_exploratory
    assert ("Exploratory: the file has another" in str(render(comparison, "latex"))) == is_exploratory


@pytest.mark.parametrize(
    ("in_file", "comparing", "told"),
    [
        (Comparing(), Comparing(baseline="mixup"), "another baseline"),
        (Comparing(baseline="none of these"), Comparing(), "another baseline"),
        (Comparing(baseline="mixup"), Comparing(baseline="mixup"), ""),
        (Comparing(), Comparing(baseline="erm"), ""),
        (Comparing(metric="loss"), Comparing(), "metric that decides is another"),
        (Comparing(), Comparing(margin=0.5), "another margin"),
        (Comparing(margin=0.1), Comparing(margin=0.5), "another margin"),
        (Comparing(margin=0.5), Comparing(margin=0.5), ""),
        (Comparing(margin=0.1), Comparing(margin=0.1, metric="error"), ""),
    ],
)
def test_what_the_command_line_has_in_place_of_the_file_is_exploratory(
    in_file: Comparing, comparing: Comparing, told: str
) -> None:
    comparison = table(comparing=comparing, in_file=in_file)
    assert comparison.is_exploratory == bool(told)
    assert told in " ".join(comparison.exploratory)
    assert ("Exploratory: " in text(comparison)) == bool(told)


@pytest.mark.parametrize(("file", "shown", "is_exploratory"), [("table", "column", True), ("column", "table", False)])
def test_an_error_rate_of_each_column_in_place_of_one_for_all_is_exploratory(
    file: Any, shown: Any, is_exploratory: bool
) -> None:
    cells = make_cells(ERM, MIXUP, models=("convnet", "resnet18"))
    runs = runs_with(cells, {ERM: (0.1, 0.2, 0.3), MIXUP: (0.1, 0.2, 0.3)})
    comparison = compare(cells, runs, comparing=Comparing(family=shown), in_file=Comparing(family=file))
    assert comparison.is_exploratory == is_exploratory


def test_in_folds_no_seeds_are_asked_for() -> None:
    comparison = in_folds()
    (column,) = comparison.columns
    analysis = comparison.analyses[column]
    assert (analysis.in_folds, analysis.seeds_needed(0.005)) == (True, None)
    said = text(comparison)
    assert "four times out of five; more folds would lessen that, and not more seeds." in said
    assert "would need" not in said
    assert about(comparison, column).in_folds
    assert "about new images like these" in str(render(comparison, "latex"))
    assert [row[-1] for row in answer_of(comparison, Names()).rows if row[-1]] == ["new images"]
    assert json.loads(str(render(comparison, "json")))["columns"][0]["about"] == "new images"
    assert "its interval on new test images" in differences_title(comparison)


def test_nothing_is_said_of_cells_that_saw_different_images() -> None:
    cells = make_cells(ERM, MIXUP, datasets=(DIGITS, CIFAR))
    runs = {key: replace(run, split_hash="a") for key, run in runs_with(cells, CLEAR).items()}
    runs[cells[-1].key] = replace(runs[cells[-1].key], split_hash="b")
    comparison = compare(cells, runs)
    sound, mixed = comparison.columns
    assert (comparison.mixed_data, set(comparison.analyses)) == ((mixed,), {sound})
    assert comparison.claims == ()
    assert {comparison.entries[row, mixed].standing for row in comparison.rows} == {"not judged"}
    assert sum(line.startswith(f"{mixed.label}: ") for line in remarks(comparison)) == 1
    assert "Not compared, since the data set was changed between trainings: CIFAR-10." in str(
        render(comparison, "latex")
    )


def test_two_values_of_a_row_are_rough_however_many_rows_there_are() -> None:
    values = {f"r{row}": {seed: 0.1 * row + 0.01 * ((seed * 7 + row * 3) % 5) for seed in range(2)} for row in range(9)}
    verdicts = analyse(values, baseline="r0", higher_is_better=False).rows.values()
    assert all(verdict.is_rough for verdict in verdicts)


def test_rows_that_no_seed_connects_have_the_means_of_their_own_values() -> None:
    values = {"a": {0: 0.01, 1: 0.02, 2: 0.03}, "b": {0: 0.02, 1: 0.03, 2: 0.05}, "c": {3: 0.05, 4: 0.06}}
    found = analyse(values, baseline="a", higher_is_better=False)
    assert found.means["c"] == pytest.approx(0.055)
    assert found.rows["c"].verdict == "too few seeds"


def test_many_rows_of_a_single_seed_take_no_time_and_no_memory() -> None:
    """Each pair of rows with each other one would be a terabyte."""
    assert fit(np.arange(5000.0)[:, None], resolution=1e-6) is None


def test_parts_of_the_rows_bring_what_all_at_once_do(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=(5, 4))
    values[0, 1] = values[3, 2] = np.nan
    found = fit(values, resolution=1e-6)
    assert found is not None
    whole = found.differences(overlap=0.25)
    monkeypatch.setattr("orchestrator.results.statistics.fit._AT_ONCE", 50)
    for part, all_at_once in zip(found.differences(overlap=0.25), whole, strict=True):
        assert part == pytest.approx(all_at_once, rel=1e-12)


def test_a_spread_of_nothing_is_not_less_than_an_image() -> None:
    """Seeds that all agree, of a metric that counts images."""
    cells = make_cells(ERM, MIXUP)
    for metric, floors in (("test/recall/mel", True), ("test/balanced_accuracy", True), ("test/auroc", False)):
        runs = runs_with(cells, {ERM: (0.90,) * 3, MIXUP: (0.91,) * 3}, metric=metric)
        runs = {key: replace(run, num_images={"test": 100}) for key, run in runs.items()}
        (analysis,) = compare(cells, runs, metric=metric).analyses.values()
        verdict = analysis.rows[MIXUP.label]
        assert (verdict.high - verdict.low > 0.005) == floors


def test_nothing_is_asked_of_a_difference_of_nothing() -> None:
    cells = make_cells(MIXUP, ZETA)
    runs = runs_with(cells, {MIXUP: (0.5, 0.6, 0.5), ZETA: (0.4, 0.5, 0.6)}, metric="test/loss")
    comparison = compare(cells, runs, comparing=Comparing(metric="test/loss"))
    assert "would need" not in text(comparison)
    (column,) = json.loads(str(render(comparison, "json")))["columns"]
    assert (column["these_images"]["asked_difference"], column["these_images"]["seeds_needed"]) == (None, None)


def test_only_trainings_that_have_ended_are_counted_with_those_that_failed() -> None:
    cells = make_cells(ERM, MIXUP, seeds=range(10))
    runs = runs_with(cells, {ERM: (0.1, 0.2, 0.1), MIXUP: (0.1, 0.2)})
    lost = next(cell for cell in cells if cell.augment == MIXUP and cell.seed == 5)
    runs[lost.key] = make_run(lost, {}, status="failed")
    assert f"{MIXUP.label}: 1 of 3 trainings failed (1 to 91 % of all would)" in text(compare(cells, runs))


def test_a_baseline_that_is_not_judged_is_not_said_to_have_no_values() -> None:
    cells = make_cells(ERM, MIXUP, ZETA)
    runs = runs_with(cells, CLEAR)
    runs[cells[0].key] = make_run(cells[0], {}, status="failed")
    assert "erm is the baseline and is not judged (a training failed), so nothing is compared" in text(
        compare(cells, runs)
    )


def test_words_that_are_parameters_are_no_formulas() -> None:
    odd = AugmentSpec(name="mixup", params={"alpha": 1.0, "per": "=1+1"})
    cells = make_cells(odd)
    assert ",'=1+1," in str(render(compare(cells, {}), "csv"))


def test_names_of_metrics_say_against_what_and_do_not_change_with_the_table() -> None:
    one, other = (answer_of(table(baseline=row), Names()).figures for row in (None, MIXUP.label))
    assert "verdict/difference/digits convnet/mixup alpha 1.0 from erm" in one
    assert not {name for name in one.keys() & other.keys() if "/mean/" not in name}
    alike = [AugmentSpec(name="mixup", params={"alpha": 1.0, "per": per}) for per in ("a!", "a?")]
    few = _figures_of(*alike)
    assert len(few) == 2
    assert few.keys() < _figures_of(ERM, *alike).keys()


def _figures_of(*augments: AugmentSpec) -> dict[str, float]:
    cells = make_cells(*augments)
    figures = answer_of(compare(cells, runs_with(cells, dict.fromkeys(augments, (0.1, 0.2, 0.3)))), Names()).figures
    return {name: value for name, value in figures.items() if "/mean/" in name}
