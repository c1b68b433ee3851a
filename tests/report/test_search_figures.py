"""What figures say of a search is what its rungs say; importance is told only where a forest knows something."""

from __future__ import annotations

import io
import math
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from materials import material
from PIL import Image
from raced_samples import EPOCHS, RACED, cells_of, raced
from sweep_samples import ERM

from orchestrator.experiment import AugmentSpec, Cell
from orchestrator.report import FIGURES, Figure, Material, Unavailable, missing_of
from orchestrator.report.importance import _doubt, _errors
from orchestrator.report.measures.importance import LEAST, importance_of
from orchestrator.report.page import Part
from orchestrator.report.parameters import parameters_of
from orchestrator.report.searched import searched as of_column
from orchestrator.report.style import rendered, styled
from orchestrator.results import compare
from orchestrator.search import LogUniform, Range, Space, Uniform

KINDS = ("race", "stopped", "epochs", "tried", "importance")


def searched(cells: list[Cell], **of_race: Any) -> Material:
    found, runs = raced(cells, **of_race)
    return replace(
        material(*RACED), cells=cells, runs=runs, comparison=compare(cells, runs, races=[found]), races=[found]
    )


@pytest.fixture(scope="module")
def over() -> Material:
    return searched(cells_of())


def only(kind: str, of: Material) -> Figure:
    (figure,) = FIGURES[kind](of)
    return figure


@pytest.mark.parametrize("kind", KINDS)
def test_each_is_drawn_or_written_in_a_sentence_and_numbers(kind: str, over: Material) -> None:
    figure = only(kind, over)
    assert figure.name == kind
    assert figure.sentence.endswith(".")
    assert figure.data
    if figure.draw is None:
        assert "mixup(alpha=0.9)" in (figure.html or "")
        return
    with styled():
        assert Image.open(io.BytesIO(rendered(figure.draw(), "png"))).size[0] > 1000


def test_they_say_who_was_stopped_where_and_what_it_cost(over: Material) -> None:
    assert "Of 12 configurations 10 were stopped, " in only("race", over).sentence
    assert only("race", over).data["winner"] == "mixup(alpha=1.1)"
    stopped = only("stopped", over)
    assert stopped.sentence.startswith(
        "Stopped were 4 in rung 1 (1 seed to epoch 2), 4 in rung 2 (2 seeds to epoch 4), "
    )
    assert stopped.data["rows"]["mixup(alpha=0.9)"]["rung"] == 3
    epochs = only("epochs", over)
    assert epochs.data["rows"]["mixup(alpha=1.1)"] == epochs.data["whole"] == 5 * EPOCHS
    assert epochs.data["rows"]["erm"] == 2
    assert sum(epochs.data["rows"].values()) == over.races[0].trained_epochs


def crosses_of(figure: Figure) -> list[tuple[float, float]]:
    assert figure.draw is not None
    with styled():
        (axes,) = figure.draw().axes
    return [point for line in axes.lines if line.get_marker() == "x" for point in line.get_xydata().tolist()]


def test_one_that_failed_has_no_cross_where_it_was_good() -> None:
    """It fails in rung 2, and in rung 1 it was the best of all."""
    found = searched(cells_of(), failed={("mixup(alpha=1.1)", 1)})
    figure = only("race", found)
    assert "went on" not in figure.sentence
    assert ", and 1 without one, of which a training failed." in figure.sentence
    stopped = found.races[0].search.decision.stopped.values()
    places = {stop.rung - 1: set[float]() for stop in stopped}
    for stop in stopped:
        places[stop.rung - 1].add(round(100 * stop.mean, 9))
    crosses = crosses_of(figure)
    assert len(crosses) == len(stopped) - 1
    assert all(round(mean, 9) in places[int(rung)] for rung, mean in crosses)


def test_it_is_said_why_some_went_on_whatever_their_place() -> None:
    """With warm_start finished configurations go on, too, and nobody has kept these."""
    kept, before = "search.keep", "finished before the search"
    alone = only("race", searched(cells_of(), keep=["erm"])).sentence
    assert f"by its place (erm went on all the same: {kept})." in alone
    known = only("race", searched(cells_of(), known=["mixup(alpha=0.1)"])).sentence
    assert f"by its place (mixup(alpha=0.1) went on all the same: {before})." in known
    both = only("race", searched(cells_of(), keep=["erm"], known=["mixup(alpha=0.1)"])).sentence
    assert f"(erm went on all the same: {kept}; mixup(alpha=0.1) went on all the same: {before})." in both


def test_a_rung_is_called_as_status_calls_it_in_each_batch() -> None:
    """A smaller batch has fewer rungs: what is its first is the second of the others."""
    figure = only("race", searched(cells_of(), batch=9))
    assert figure.draw is not None
    with styled():
        (axes,) = figure.draw().axes
    labels = {label.get_text() for label in axes.get_xticklabels()}
    for rung in figure.data["rungs"]:
        what = f"seed{'s' if rung['seeds'] > 1 else ''}\nto epoch {rung['epochs']}"
        (label,) = (each for each in labels if f"\n{rung['seeds']} {what}" in each)
        assert str(rung["rung"]) in label.split("\n")[0]


@pytest.mark.parametrize(("num", "epochs"), [(24, EPOCHS), (12, 2)])
def test_importance_is_of_the_end_where_enough_came_there_and_else_says_so(num: int, epochs: int) -> None:
    augments = [AugmentSpec(name="mixup", params={"alpha": round(0.1 * step, 1)}) for step in range(1, num + 1)]
    cells = cells_of(*augments)
    found = searched(cells)
    (column,) = found.comparison.columns
    seen = of_column(found, column)
    rung, errors = _errors(seen)
    assert rung.epochs == epochs
    assert len(errors) >= LEAST
    assert _doubt(rung, seen).startswith(f" These are errors of epoch {epochs} of") == (epochs < EPOCHS)


def test_what_was_tried_stands_by_its_place_in_the_race(over: Material) -> None:
    first, *_, last = only("tried", over).data["configurations"]
    assert (first["row"], first["place"], first["parameters"]) == (
        "mixup(alpha=1.1)",
        1,
        {"augment": "mixup", "alpha": 1.1},
    )
    assert (last["row"], last["rung"], last["parameters"]) == ("erm", 1, {"augment": "erm", "alpha": None})


@pytest.mark.parametrize(
    ("kinds", "of", "said"),
    [
        (KINDS, lambda: material(ERM), "Nothing is searched: the file has no section search"),
        (KINDS, lambda: searched(cells_of(), rounds=0), "No rung of the search is decided yet"),
        (("race", "stopped"), lambda: searched(cells_of(*RACED[:2])), "No configuration is stopped early"),
        (
            ("differences", "may-be-best", "power", "recall"),
            lambda: searched(cells_of()),
            "Rows that were raced have no intervals here",
        ),
    ],
)
def test_what_there_is_not_is_said(kinds: tuple[str, ...], of: Callable[[], Material], said: str) -> None:
    made = of()
    for kind in kinds:
        with pytest.raises(Unavailable, match=said):
            FIGURES[kind](made)


def test_kinds_that_lack_the_same_are_named_together() -> None:
    parts = [Part("race", reason="none."), Part("table", [Figure("t", "t", "t.")]), Part("epochs", reason="none.")]
    assert missing_of(parts) == [("race, epochs", "none.")]


def test_importance_finds_what_the_error_hangs_on_and_nothing_in_noise() -> None:
    draw = random.Random(0)
    space = Space({"mixup": {"alpha": Uniform(0.1, 2.0)}}, {"train.lr": LogUniform(0.001, 1.0)})
    cells: list[Cell] = []
    (cell, *_) = cells_of(ERM, num_seeds=1)
    for _ in range(48):
        alpha, lr = (_at(axis, draw.random()) for axis in (Uniform(0.1, 2.0), LogUniform(0.001, 1.0)))
        changes = {"augment": AugmentSpec(name="mixup", params={"alpha": alpha})}
        cells.append(cell.model_copy(update={**changes, "train": cell.train.model_copy(update={"lr": lr})}))
    by_name = {cell.config_key: cell for cell in cells}
    parameters = parameters_of(by_name, space)
    assert [(each.name, each.is_log) for each in parameters] == [("alpha", False), ("lr", True)]
    errors = {name: 0.3 + 0.1 * abs(math.log10(cell.train.lr) + 1) for name, cell in by_name.items()}
    found = importance_of(errors, parameters)
    assert found.explained > 0.5
    assert found.shares["lr"] > 0.8
    assert sum(found.shares.values()) + found.together == pytest.approx(1.0)
    assert found == importance_of(errors, parameters)  # the same for the same
    assert not importance_of({name: draw.random() for name in by_name}, parameters).tells


def _at(axis: Range, share: float) -> float:
    return float(axis.at(share))
