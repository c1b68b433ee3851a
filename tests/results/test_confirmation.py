"""What is confirmed: chosen by validation alone, frozen, and on seeds that nothing was chosen by."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import pytest
from sweep_samples import DIGITS, ERM, MIXUP, ZETA, ZETA_BATCH, make_cells, make_run, runs_with

from orchestrator.errors import UserError
from orchestrator.experiment.augment_spec import AugmentSpec
from orchestrator.experiment.cells import Cell, expand
from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.experiment.settings import Comparing, Experiment
from orchestrator.experiment.train_settings import TrainSettings
from orchestrator.records import CellRun
from orchestrator.results.comparison import compare
from orchestrator.results.confirmation import (
    Wanted,
    check_wanted,
    confirming,
    keys_of,
    lost_rows,
    named_as_now,
    price,
    put_aside,
    refuse_kept_seeds,
    settle,
)
from orchestrator.results.confirmation_text import choice_lines, lines_above, price_line, ranges
from orchestrator.storage import FIRST_SEED, Choice, Confirmation

CIFAR = DatasetSpec.model_validate({"name": "cifar10"})
ALL = (ERM, MIXUP, ZETA, ZETA_BATCH)
# By validation ζ(64) is best, then ζ(4), mixup, and erm; the test says the reverse.
VALUES = {ERM: (0.4, 0.4, 0.4), MIXUP: (0.3, 0.3, 0.3), ZETA: (0.2, 0.2, 0.2), ZETA_BATCH: (0.1, 0.1, 0.1)}
NEW, USUAL, TEST_ERROR = Confirmation(sweep="sample"), Wanted(), Comparing()


def settled(
    cells: Sequence[Cell],
    runs: Mapping[str, CellRun],
    before: Confirmation = NEW,
    wanted: Wanted = USUAL,
    *,
    known: frozenset[str] = frozenset(),
    comparing: Comparing = TEST_ERROR,
) -> Confirmation:
    wanted = check_wanted(wanted, cells, comparing)
    return settle(cells, runs, before, wanted, comparing=comparing, known_keys=lambda: known, now="2026-11-29 18:00")


def chosen(*args: object, **kwargs: object) -> Choice:
    (choice,) = settled(*args, **kwargs).choices  # type: ignore[arg-type]
    return choice


def validated(
    cells: Sequence[Cell], values: Mapping[AugmentSpec, Sequence[float]] = VALUES, metric: str = "best/error"
) -> dict[str, CellRun]:
    runs = runs_with(cells, values, metric=metric)
    for run in runs.values():
        run.metrics["test/error"] = 1 - run.metrics[metric]
    return runs


def labels(choice: Choice) -> list[str]:
    return [row.row for row in choice.taken]


def experiment_of(*augments: AugmentSpec, **settings: object) -> Experiment:
    given = {"name": "sample", "dataset": (DIGITS,), "model": ("convnet",), "seed": (0, 1, 2), "file": Path("x.yaml")}
    return Experiment.model_validate({**given, "augment": augments, **settings})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, [ZETA_BATCH, ZETA, MIXUP], id="best mean first, the baseline beside them"),
        pytest.param({ERM: (0.0, 0.0, 0.0)}, [ZETA_BATCH, ZETA, MIXUP], id="the baseline does not count among them"),
        pytest.param({ZETA: (0.1, 0.1, 0.1)}, [ZETA, ZETA_BATCH, MIXUP], id="a tie: the first in the file"),
        pytest.param({ZETA_BATCH: (0.1,)}, [ZETA, MIXUP, ZETA_BATCH], id="without all of its seeds: after the others"),
        pytest.param({ZETA: (math.nan, 0.0, 0.0)}, [ZETA_BATCH, MIXUP], id="not finite: never"),
        pytest.param({ZETA_BATCH: ()}, [ZETA, MIXUP], id="without a value: never"),
        pytest.param({ERM: ()}, [ZETA_BATCH, ZETA, MIXUP], id="a baseline is trained whatever it has"),
    ],
)
def test_rows_are_chosen_by_validation(
    changes: dict[AugmentSpec, tuple[float, ...]], expected: list[AugmentSpec]
) -> None:
    cells = make_cells(*ALL)
    runs = validated(cells, VALUES | changes)
    runs |= {cell.key: make_run(cell, {}, status="failed") for cell in cells if cell.key not in runs}
    assert labels(chosen(cells, runs)) == [*(augment.label for augment in expected), ERM.label]


def test_the_direction_and_the_metric_are_those_that_decide() -> None:
    cells = make_cells(*ALL)
    runs = validated(cells, metric="best/auroc")
    choice = chosen(cells, runs, wanted=Wanted(top=1), comparing=Comparing(metric="test/auroc"))
    assert (labels(choice)[0], choice.metric) == (MIXUP.label, "best/auroc")


@pytest.mark.parametrize("metric", ["test/recall/3", "test/group/error", "val/error", "test/error"])
def test_where_validation_lacks_the_metric_it_is_the_error(metric: str) -> None:
    cells = make_cells(*ALL)
    assert chosen(cells, validated(cells), comparing=Comparing(metric=metric)).metric == "best/error"


def test_each_column_chooses_for_itself_and_what_is_new_later() -> None:
    cells = make_cells(*ALL, datasets=[DIGITS, CIFAR])
    runs = validated(cells)
    for cell in cells:
        if cell.dataset == CIFAR:
            runs[cell.key].metrics["best/error"] = 1 - runs[cell.key].metrics["best/error"]
    first = settled([cell for cell in cells if cell.dataset == DIGITS], runs, wanted=Wanted(top=1, num_seeds=4))
    both = settled(cells, runs, first)
    assert [labels(choice) for choice in both.choices] == [
        [ZETA_BATCH.label, ERM.label],
        [MIXUP.label, ERM.label],
    ]
    assert both.choices[0] == first.choices[0]
    # As many of each, although nobody asked again.
    assert [choice.seeds for choice in both.choices] == [tuple(range(FIRST_SEED, FIRST_SEED + 4))] * 2
    _, trained = confirming(experiment_of(*ALL, dataset=(DIGITS, CIFAR)), both)
    assert len(trained) == 2 * 2 * 4
    assert {cell.augment for cell in trained if cell.dataset == CIFAR} == {MIXUP, ERM}


def test_all_folds_of_a_row_are_trained_with_each_seed() -> None:
    folds = tuple(DatasetSpec.model_validate({"name": "digits", "folds": 3, "fold": fold}) for fold in range(3))
    cells = make_cells(*ALL, seeds=(0, 1), datasets=folds)
    confirmation = settled(cells, validated(cells), wanted=Wanted(top=2, num_seeds=5))
    assert [choice.column for choice in confirmation.choices] == [("digits(folds=3)", "convnet")]
    _, trained = confirming(experiment_of(*ALL, dataset=folds), confirmation)
    assert len(trained) == (2 + 1) * 5 * 3
    assert {cell.key for cell in trained} == keys_of(confirmation.choices[0], cells)


def test_seeds_are_those_that_nothing_was_ever_trained_with() -> None:
    cells = make_cells(*ALL, seeds=(0, 1, FIRST_SEED))
    before = settled(cells, validated(cells), wanted=Wanted(num_seeds=2))
    assert before.choices[0].seeds == (FIRST_SEED + 1, FIRST_SEED + 2)
    erm = next(cell for cell in cells if cell.augment == ERM)
    other = erm.model_copy(update={"augment": AugmentSpec(name="cutmix", params={"alpha": 1.0})})
    known = frozenset(
        cell.model_copy(update={"seed": FIRST_SEED + number}).key for cell, number in ((erm, 2), (other, 3))
    )
    # That of a row that is not trained here says nothing.
    again = chosen(cells, validated(cells), wanted=Wanted(num_seeds=3), known=known)
    assert again.seeds == (FIRST_SEED + 1, FIRST_SEED + 3, FIRST_SEED + 4)
    assert list(choice_lines(again))[-1] == (
        "  seeds: 1000001, 1000003 to 1000004 (1000000, 1000002 had been used before)"
    )


def test_what_was_chosen_stays_whatever_validation_says_later() -> None:
    cells = make_cells(*ALL)
    before = settled(cells, validated(cells), wanted=Wanted(top=1))
    later = validated(cells, VALUES | {MIXUP: (0.0, 0.0, 0.0)})
    for wanted in (Wanted(), Wanted(top=1), Wanted(num_seeds=10), Wanted(against=("erm",))):
        assert settled(cells, later, before, wanted) == before
    assert settled(cells, {}, before) == before, "nothing is asked of the sweep any more"


def test_more_seeds_extend_it_and_what_was_seen_before_is_kept() -> None:
    cells = make_cells(*ALL)
    runs = validated(cells)
    before = settled(cells, runs, wanted=Wanted(num_seeds=2))
    more = chosen(cells, runs, before, Wanted(num_seeds=4))
    assert (more.seeds, more.looked_at) == (tuple(range(FIRST_SEED, FIRST_SEED + 4)), ())
    _, trained = confirming(experiment_of(*ALL), before)
    seen = {**runs, trained[0].key: make_run(trained[0], {"test/error": 0.1})}
    more = chosen(cells, seen, before, Wanted(num_seeds=4))
    assert more.looked_at == (2,)
    assert any("seeds were added" in line for line in lines_above([more]))


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (Wanted(top=2), "--top 2: digits / convnet has been confirmed since"),
        (Wanted(num_seeds=9), "--seeds 9: digits / convnet has been confirmed since"),
        (Wanted(against=("mixup",)), r"--against mixup\(alpha=1.0\): digits / convnet has been confirmed since"),
    ],
)
def test_another_choice_than_the_one_begun_is_refused(wanted: Wanted, said: str) -> None:
    cells = make_cells(*ALL)
    before = settled(cells, validated(cells))
    with pytest.raises(UserError, match=said) as caught:
        settled(cells, validated(cells), before, wanted)
    assert "--again" in caught.value.remedy


def test_again_chooses_anew_on_other_seeds_and_says_so() -> None:
    cells = make_cells(*ALL)
    before = settled(cells, validated(cells))
    later = validated(cells, VALUES | {MIXUP: (0.0, 0.0, 0.0)})
    keys = keys_of(before.choices[0], cells)
    after = settled(cells, later, put_aside(before, cells, frozenset(keys)), Wanted(top=1), known=frozenset(keys))
    (choice,) = after.choices
    assert (after.earlier, choice.number, labels(choice)) == (before.choices, 2, [MIXUP.label, ERM.label])
    assert not set(choice.seeds) & set(before.choices[0].seeds)
    assert any("its confirmation number 2" in line for line in lines_above(after.choices))
    experiment, _ = confirming(experiment_of(*ALL), after)
    assert (experiment.name, experiment.tracked_in) == ("sample-confirm-2", "sample-confirm-2")

    untouched = put_aside(before, cells, frozenset())
    assert (untouched.choices, untouched.earlier) == ((), ()), "nobody has seen anything of it"


def test_a_confirmation_is_a_sweep_of_its_own() -> None:
    experiment = experiment_of(*ALL, compare={"margin": 0.2})
    cells = expand(experiment)
    confirmation = settled(cells, validated(cells), wanted=Wanted(top=2))
    other, trained = confirming(experiment, confirmation)
    assert (other.name, other.tracked_in) == ("sample-confirm", "sample-confirm")
    assert (compare(trained, {}, confirmed=other.confirmed).baseline, other.compare.margin) == ("erm", 0.2)
    assert other.augment == (ERM, ZETA, ZETA_BATCH)
    assert not {cell.seed for cell in trained} & {cell.seed for cell in cells}
    assert len({cell.key for cell in trained}) == len(trained) == 30
    assert lost_rows(confirmation.choices[0], cells) == []
    longer = expand(experiment_of(*ALL, train=TrainSettings(epochs=99)))
    assert lost_rows(confirmation.choices[0], longer) == labels(confirmation.choices[0])
    assert confirming(experiment_of(*ALL, train=TrainSettings(epochs=99)), confirmation)[1] == []
    without = expand(experiment_of(ERM, ZETA_BATCH))
    assert lost_rows(confirmation.choices[0], without) == [ZETA.label]


def test_another_name_of_a_data_set_is_the_same_column() -> None:
    cells = make_cells(*ALL)
    before = settled(cells, validated(cells))
    named = make_cells(*ALL, datasets=[DIGITS.model_copy(update={"shown_as": "Digits"})])
    after = named_as_now(before, named)
    assert [choice.column for choice in after.choices] == [("Digits", "convnet")]
    assert settled(named, {}, after) == after


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (Wanted(top=0), "--top 0: one row is chosen at least"),
        (Wanted(top=4), "--top 4: there are not so many rows\n  allowed: 1 to 3"),
        (Wanted(num_seeds=1), "--seeds 1: one training has no spread"),
        (Wanted(num_seeds=-1), "--seeds -1: there is no such number of seeds"),
        (Wanted(against=("mixupp",)), "--against mixupp: there is no such row"),
        (Wanted(against=("zeta_mixup",)), "--against zeta_mixup: 2 rows are"),
        (Wanted(top=2, against=("erm", "mixup", "erm")), None),
        (Wanted(top=3, against=("erm", "mixup")), "--top 3: there are not so many rows\n  allowed: 1 to 2"),
    ],
)
def test_what_cannot_be_confirmed_is_said(wanted: Wanted, said: str | None) -> None:
    cells = make_cells(*ALL)
    if said is None:
        assert labels(chosen(cells, validated(cells), wanted=wanted))[-2:] == [ERM.label, MIXUP.label]
        return
    with pytest.raises(UserError) as caught:
        check_wanted(wanted, cells, Comparing())
    assert str(caught.value).startswith(said)


def test_a_baseline_needs_other_rows_and_rows_need_no_baseline() -> None:
    with pytest.raises(UserError, match="no row beside the baseline"):
        check_wanted(Wanted(), make_cells(ERM), Comparing())
    cells = make_cells(MIXUP, ZETA)
    choice = chosen(cells, validated(cells))
    assert (choice.against, labels(choice)) == ((), [ZETA.label, MIXUP.label])
    other, trained = confirming(experiment_of(MIXUP, ZETA), Confirmation(sweep="sample", choices=(choice,)))
    assert compare(trained, {}, confirmed=other.confirmed).baselines == {}


def test_a_sweep_that_goes_on_is_not_chosen_from() -> None:
    cells = make_cells(*ALL)
    runs = validated(cells)
    lacking = [cell for cell in cells if cell.seed == 2][:2]
    del runs[lacking[0].key]
    runs[lacking[1].key] = make_run(lacking[1], {}, status="interrupted")
    with pytest.raises(UserError, match=r"2 of 12 cells .* \(1 interrupted, 1 missing\)") as caught:
        settled(cells, runs)
    assert caught.value.remedy.splitlines() == [
        "zetasweep run trains them",
        "or choose by the seeds that all rows have: -o 'seed=[0, 1]'",
    ]
    runs |= {cell.key: make_run(cell, {}, status="failed") for cell in lacking}
    assert chosen(cells, runs).taken, "what has failed would fail again, and keeps nobody"
    with pytest.raises(UserError, match="12 of 12 cells"):
        settled(cells, {})


def test_cells_of_unlike_data_are_not_chosen_from() -> None:
    cells = make_cells(*ALL)
    runs = validated(cells)
    other = {cell.key: CellRun(**{**vars(runs[cell.key]), "split_hash": str(cell.seed)}) for cell in cells}
    with pytest.raises(UserError, match="digits / convnet: the data set was changed"):
        settled(cells, other)


def test_a_sweep_cannot_take_the_seeds_of_a_confirmation() -> None:
    cells = make_cells(*ALL)
    confirmation = settled(cells, validated(cells))
    earlier = Confirmation(sweep="other", earlier=confirmation.choices)
    file = Path("x.yaml")
    others = (cells, make_cells(AugmentSpec(name="cutmix", params={"alpha": 1.0}), seeds=(FIRST_SEED,)))
    for free in others:
        refuse_kept_seeds(free, (confirmation, earlier), file=file)
    more = make_cells(ERM, seeds=(0, FIRST_SEED + 1))
    for kept, name in ((confirmation, "sample"), (earlier, "other")):
        said = f"^x.yaml: seed = 1000001: kept for what zetasweep confirm trains of {name}: "
        with pytest.raises(UserError, match=said):
            refuse_kept_seeds(more, (NEW, kept), file=file)


def test_the_price_is_what_it_would_train() -> None:
    folds = tuple(DatasetSpec.model_validate({"name": "digits", "folds": 3, "fold": fold}) for fold in range(3))
    grids = ((ALL, folds), (ALL, (DIGITS, CIFAR)), ((ERM, MIXUP), (DIGITS,)), ((MIXUP, ZETA), (CIFAR,)))
    for augments, datasets in grids:
        cells = make_cells(*augments, datasets=datasets)
        confirmation = settled(cells, validated(cells))
        _, trained = confirming(experiment_of(*augments, dataset=datasets), confirmation)
        assert price(cells, Comparing())[2] == len(trained)
    assert price_line(make_cells(*ALL), Comparing()) == [
        "confirm:   zetasweep confirm would train 40 cells more: the 3 best rows and erm on 10 new seeds"
    ]
    assert price_line(make_cells(ERM), Comparing()) == []


def test_a_choice_is_said_with_what_it_rests_on() -> None:
    cells = make_cells(*ALL)
    runs = validated(cells, VALUES | {ZETA: (0.1, 0.1, 0.1), MIXUP: (0.3, 0.3)})
    runs |= {cell.key: make_run(cell, {}, status="failed") for cell in cells if cell.key not in runs}
    assert list(choice_lines(chosen(cells, runs, wanted=Wanted(top=1, num_seeds=3, against=("mixup",))))) == [
        "digits / convnet: the best 1 of 3 rows beside the baseline by best/error (validation, mean over the sweep's "
        "seeds), chosen 2026-11-29 18:00 UTC",
        "  1. zeta_mixup(gamma=2.8, num_mixed=4): 10.00 %, n=3",
        "  against mixup(alpha=1.0): 30.00 %, n=2/3",
        "  tie: as good as the last of these is zeta_mixup(gamma=2.8, num_mixed=64): the first in the file is taken",
        "  seeds: 1000000 to 1000002",
    ]
    assert ranges((5, 3, 4, 9)) == "3 to 5, 9"


def test_the_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    cells = make_cells(*ALL)
    confirmation = settled(cells, validated(cells))
    file = tmp_path / "confirm" / "sample.json"
    assert Confirmation.load(file) is None
    confirmation.save(file)
    assert Confirmation.load(file) == confirmation
    for text in ("", "{", file.read_text().replace('"format": 1', '"format": 2')):
        file.write_text(text)
        with pytest.raises(UserError, match="no confirmation that this version of zetasweep reads"):
            Confirmation.load(file)


def test_a_baseline_that_was_written_down_is_not_exploratory() -> None:
    cells = make_cells(*ALL)
    choice = chosen(cells, validated(cells), wanted=Wanted(top=2, against=("mixup",)))
    experiment = experiment_of(*ALL).model_copy(update={"compare_in_file": Comparing()})
    other, of_choice = confirming(experiment, Confirmation(sweep="sample", choices=(choice,)))
    table = partial(compare, of_choice, {}, in_file=other.compare_in_file, confirmed=other.confirmed)
    assert table(comparing=other.compare).baseline == MIXUP.label
    assert not table(comparing=other.compare).is_exploratory
    assert not table(baseline="mixup").is_exploratory
    assert table(baseline=ZETA.label).is_exploratory
