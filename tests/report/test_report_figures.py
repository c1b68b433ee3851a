"""What figures show is what the comparison says; and what there is none of is said, with what to do."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from dataclasses import replace

import pytest
from materials import GRID, NUM_EPOCHS, material
from PIL import Image
from sweep_samples import DIGITS, ERM, MIXUP, ZETA

from orchestrator.costs import Price
from orchestrator.experiment import AugmentSpec, Comparing, DatasetSpec, Resources
from orchestrator.experiment.schedule_spec import Linear
from orchestrator.report import FIGURES, Figure, Material, Unavailable
from orchestrator.report.curves import _make_logarithmic
from orchestrator.report.style import new_drawing, rendered, styled
from orchestrator.report.verdict import verdict
from orchestrator.results import compare

SMALL = DatasetSpec.model_validate({"name": "digits", "num_train": 100})
# All that can be shown without predictions and images.
OF_TABLE = (
    "table",
    "differences",
    "seeds",
    "may-be-best",
    "learning-curves",
    "gamma-and-n",
    "power",
    "validation-and-test",
    "cost",
    "provenance",
)


def only(kind: str, of: Material) -> Figure:
    (figure,) = FIGURES[kind](of)
    return figure


@pytest.fixture(scope="module")
def sample() -> Material:
    return material()


@pytest.mark.parametrize("kind", OF_TABLE)
def test_each_is_drawn_or_written_in_a_sentence_and_numbers(kind: str, sample: Material) -> None:
    figure = only(kind, sample)
    assert figure.name == kind
    assert figure.sentence.endswith(".")
    assert figure.data
    if figure.draw is None:
        assert figure.html
        return
    with styled():
        drawing = figure.draw()
        assert b"<text" in rendered(drawing, "svg")
        assert Image.open(io.BytesIO(rendered(drawing, "png"))).size[0] > 1000


def test_of_several_columns_each_has_its_own() -> None:
    wide = material(ERM, ZETA, datasets=[DIGITS, SMALL], models=("convnet", "resnet18"))
    for kind in ("differences", "seeds", "cost"):
        figures = FIGURES[kind](wide)
        assert [figure.name for figure in figures] == [f"{kind}-{number}" for number in (1, 2, 3, 4)]
        assert "resnet18" in figures[1].title
    together = only("data-sets", wide)
    assert len(together.data["columns"]) == 4
    assert "in 4 of 4 columns" in together.sentence


def test_differences_are_those_of_the_comparison(sample: Material) -> None:
    figure = only("differences", sample)
    (column,) = sample.comparison.columns
    verdicts = sample.comparison.analyses[column].rows
    shown = {row: (of["these_images"]["low"], of["these_images"]["verdict"]) for row, of in figure.data["rows"].items()}
    assert shown == {row: (verdict.low, verdict.verdict) for row, verdict in verdicts.items()}
    num_better = sum(verdict.verdict == "better" for verdict in verdicts.values())
    assert f"{num_better} of {len(verdicts)} rows are better than erm." in figure.sentence
    assert "zetasweep doctor --fix" in figure.sentence


def test_with_new_images_both_intervals_are_there(sample: Material) -> None:
    both = replace(sample, comparison=replace(sample.comparison, new_images=sample.comparison.analyses))
    figure = only("differences", both)
    assert all(of["new_images"] == of["these_images"] for of in figure.data["rows"].values())
    assert "thin: new images" in figure.sentence
    assert set(only("power", both).data["seeds_by_difference"]) == {"these test images", "new images like these"}


def test_what_may_be_the_best_is_that_of_the_comparison(sample: Material) -> None:
    (column,) = sample.comparison.columns
    kept = {row for row, of in only("may-be-best", sample).data["rows"].items() if of["may_be_best"]}
    assert kept == set(sample.comparison.analyses[column].may_be_best)
    assert only("may-be-best", sample).sentence.startswith(f"{GRID[-1].label} is the best: no other row is better;")


def test_curves_are_means_over_the_seeds(sample: Material) -> None:
    rows = only("learning-curves", sample).data["rows"]
    assert rows["erm"] == pytest.approx({epoch: 0.5 / epoch for epoch in range(1, NUM_EPOCHS + 1)})


def test_an_interruption_costs_nothing(sample: Material) -> None:
    rows = only("cost", sample).data["rows"]
    assert [of["worker_seconds"] for of in rows.values()] == pytest.approx([NUM_EPOCHS] * len(rows))


def test_money_and_what_is_worth_it_are_told_of_each_row(sample: Material) -> None:
    resources = Resources(workers=2)
    paid = replace(
        sample,
        price=Price(0.36, "cpu"),
        experiment=sample.experiment.model_copy(update={"resources": resources}),
    )
    figure = only("cost", paid)
    assert figure.data["price"] == "0.36/cpu-hour"
    assert [of["money"] for of in figure.data["rows"].values()] == pytest.approx([0.0005] * 8)
    assert "Money is that time at 0.36/cpu-hour" in figure.sentence
    # All take equally long: the best is worth its cost alone.
    assert [row for row, of in figure.data["rows"].items() if of["is_worth_its_cost"]] == [GRID[-1].label]
    assert f"no row has a better mean than these: {GRID[-1].label}." in figure.sentence
    with styled():
        assert figure.draw is not None
        assert b"<text" in rendered(figure.draw(), "svg")


def test_the_surface_claims_no_more_than_the_comparison(sample: Material) -> None:
    figure = only("gamma-and-n", sample)
    (column,) = sample.comparison.columns
    kept = sample.comparison.analyses[column].may_be_best
    by_place = {(of["gamma"], of["num_mixed"]): of["ruled_out"] for of in figure.data["cells"]}
    assert by_place == {(row.params["gamma"], row.params["num_mixed"]): row.label not in kept for row in GRID}
    suggested = figure.data["suggested"]
    assert 2.4 < suggested["gamma"] <= 2.8
    assert "a suggestion" in figure.sentence
    assert "zetasweep confirm" in figure.sentence


def test_the_surface_says_which_rows_have_no_place_in_it() -> None:
    changing = (
        {"gamma": Linear(linear=(6.0, 2.0)), "num_mixed": 4},
        {"gamma": 2.0, "num_mixed": Linear(linear=(8, 2))},
    )
    augments = [AugmentSpec(name="zeta_mixup", params=params) for params in changing]
    figure = only("gamma-and-n", material(ERM, *GRID, *augments))
    assert len(figure.data["cells"]) == len(GRID)
    assert " Not shown: 2 rows whose γ or N changes from epoch to epoch." in figure.sentence
    assert "Not shown" not in only("gamma-and-n", material(ERM, *GRID)).sentence


def test_surfaces_are_named_by_those_that_there_are() -> None:
    """One augmentation with a single γ has none, and takes no name from the others."""
    single = AugmentSpec(name="cutmix_zeta_mixup", params={"alpha": 2.0, "gamma": 2.0, "num_mixed": 4})
    assert only("gamma-and-n", material(single, *GRID)).name == "gamma-and-n"
    others = [
        AugmentSpec(name="cutmix_zeta_mixup", params=each.params | {"alpha": alpha})
        for alpha in (0.5, 1.0)
        for each in GRID
    ]
    figures = FIGURES["gamma-and-n"](material(*GRID, single, *others))
    assert [figure.name for figure in figures] == [
        "gamma-and-n",
        "gamma-and-n-cutmix_zeta_mixup",
        "gamma-and-n-cutmix_zeta_mixup-2",
    ]


def test_more_seeds_see_smaller_differences(sample: Material) -> None:
    curve = only("power", sample).data["seeds_by_difference"]["these test images"]
    assert [seeds for _, seeds in curve] == sorted({seeds for _, seeds in curve})
    assert [difference for difference, _ in curve] == sorted((difference for difference, _ in curve), reverse=True)


def test_validation_and_test_are_told_of_each_training(sample: Material) -> None:
    figure = only("validation-and-test", sample)
    assert all(one == pytest.approx(other / 2) for of in figure.data["rows"].values() for one, other in of.values())
    assert "r = 1.00" in figure.sentence


def test_where_numbers_come_from_is_said(sample: Material) -> None:
    figure = only("provenance", replace(sample, link=lambda run: f"https://mlflow/#/runs/{run.run_id}"))
    assert figure.data["facts"]["commits"] == "c0ffee"
    assert figure.data["facts"]["images of digits"] == "f" * 64
    assert figure.data["facts"]["versions"] == "Python 3.11.7"
    assert {cell["key"] for cell in figure.data["cells"]} == {cell.key for cell in sample.cells}
    assert figure.html is not None
    assert figure.html.count('<a href="https://mlflow/#/runs/') == len(sample.cells)


def test_no_link_leads_anywhere_but_to_the_web(sample: Material) -> None:
    figure = only("provenance", replace(sample, link=lambda _: "javascript:alert(1)"))
    assert figure.html is not None
    assert "<a " not in figure.html


def untimed() -> Material:
    found = material(ERM)
    return replace(found, runs={key: replace(run, metrics={}) for key, run in found.runs.items()})


def test_each_column_is_shown_against_its_own_baseline() -> None:
    made = material(ERM, MIXUP, ZETA, models=("convnet", "resnet18"))
    own = {"convnet": ERM, "resnet18": MIXUP}
    confirmed = {cell.config_key for cell in made.cells if own[cell.model.name] == cell.augment}
    of = replace(made, comparison=compare(made.cells, made.runs, confirmed=confirmed))
    for figure, augment in zip(FIGURES["differences"](of), own.values(), strict=True):
        assert figure.data["baseline"] == augment.label
        assert figure.title.startswith(f"Differences from {augment.label}: ")
        assert augment.label not in figure.data["rows"]
        assert f"better than {augment.label}" in figure.sentence
    all_columns = only("data-sets", of)
    assert "shown to be better than the baseline of its column in" in all_columns.sentence
    assert [*all_columns.data["baselines"].values()] == [ERM.label, MIXUP.label]
    for figure, augment in zip(verdict(of), own.values(), strict=True):
        assert f"better than {augment.label}" in figure


ONE_EPOCH = {"curves": lambda _: None}


@pytest.mark.parametrize(
    ("kind", "of", "said"),
    [
        ("differences", material(MIXUP, ZETA), "compare.baseline"),
        ("differences", material(ERM), "Fewer than two rows have values: zetasweep run"),
        ("may-be-best", material(ERM, MIXUP, num_seeds=1), "too few seeds to tell rows apart: add seeds"),
        ("power", material(MIXUP, ZETA), "Without a baseline"),
        ("data-sets", material(ERM, MIXUP), "name several in the file"),
        ("gamma-and-n", material(ERM, ZETA), "two values of each"),
        ("learning-curves", replace(material(ERM), **ONE_EPOCH), "zetasweep doctor"),
        ("cost", untimed(), "does not say of these runs how long they took"),
        ("seeds", material(ERM, finished=0.0), "zetasweep run"),
        ("validation-and-test", material(ERM, comparing=Comparing(metric="val/error")), "such as test/error"),
        ("differences", material(ERM, MIXUP, comparing=Comparing(metric="train/loss")), "compare.metric"),
    ],
)
def test_what_is_not_there_is_said_with_what_to_do(kind: str, of: Material, said: str) -> None:
    with pytest.raises(Unavailable, match=re.escape(said)) as raised:
        FIGURES[kind](of)
    assert raised.value.reason[0].isupper()
    assert raised.value.reason.endswith(".")


@pytest.mark.parametrize(
    ("kind", "of", "said"),
    [
        ("differences", material(ERM), "Fewer than two rows have values: zetasweep confirm trains what is missing."),
        (
            "may-be-best",
            material(ERM, MIXUP, num_seeds=1),
            "tell rows apart: add seeds by zetasweep confirm --seeds N.",
        ),
        ("seeds", material(ERM, finished=0.0), "No cell has a value: zetasweep confirm trains what is missing."),
        ("differences", material(MIXUP, ZETA), "no row erm to compare with: zetasweep confirm --again --against ROW"),
        ("power", material(MIXUP, ZETA), "of what can be seen: zetasweep confirm --again --against ROW chooses one."),
        ("recall", material(ERM, MIXUP, finished=0.0), "is finished: zetasweep confirm sample.yaml goes on."),
    ],
)
def test_what_a_confirmation_lacks_confirm_adds(kind: str, of: Material, said: str) -> None:
    with pytest.raises(Unavailable, match=re.escape(said)):
        FIGURES[kind](replace(of, comparison=compare(of.cells, of.runs, confirmed=())))


@pytest.mark.parametrize("augments", [(ERM,), (ERM, MIXUP, *GRID[:2])])
def test_unfinished_sweeps_have_what_they_have(augments: Sequence[AugmentSpec]) -> None:
    of = material(*augments, num_seeds=3, finished=0.6)
    for kind in OF_TABLE:
        try:
            figures = FIGURES[kind](of)
        except Unavailable:
            continue
        with styled():
            for figure in figures:
                assert figure.html or (figure.draw is not None and rendered(figure.draw(), "svg"))


def test_curves_without_a_number_keep_their_axis() -> None:
    axes = new_drawing(3).subplots()
    _make_logarithmic(axes, [math.nan, math.inf])
    assert axes.get_yscale() == "linear"
