"""A file that has another space than before: what was asked stays as far as it can; the rest is drawn anew."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_races import Simulated, opened

from orchestrator.experiment import columns
from orchestrator.plan import Layout, make_plan, plan_lines
from orchestrator.racing import known_configurations
from orchestrator.search import SAMPLERS

TEXT = """
name: spaces
dataset: digits
model: convnet
augment:
  - erm
  - mixup: {alpha: {uniform: [0.1, 2.0]}}
  - zeta_mixup: {gamma: {uniform: [1.75, 6.0]}, num_mixed: [4, 8]}
train: {epochs: 8, lr: {loguniform: [0.02, 0.5]}}
seed: [0, 1]
search: {sampler: random, num_samples: 12, race: ladder}
"""
CUTMIX = TEXT.replace("train:", "  - cutmix: {alpha: {uniform: [0.1, 2.0]}}\ntrain:")
CHANGES = {
    "a value appended": (TEXT.replace("[4, 8]", "[4, 8, 16]"), 12),
    "an alternative appended": (CUTMIX, 12),
    "an alternative that has nothing to draw": (
        TEXT.replace("train:", "  - mixup: {alpha: 0.3, train: {lr: 0.1}}\ntrain:"),
        11,
    ),
    "a range widened": (TEXT.replace("[0.1, 2.0]", "[0.1, 2.5]"), 12),
    "fewer samples": (TEXT.replace("num_samples: 12", "num_samples: 8"), 8),
    "more samples": (TEXT.replace("num_samples: 12", "num_samples: 20"), 12),
    "another seed": (TEXT.replace("num_samples: 12", "num_samples: 12, seed: 7"), 0),
    "another training": (TEXT.replace("epochs: 8", "epochs: 16"), 0),
}


@pytest.fixture(autouse=True)
def _without_optuna(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SAMPLERS, "optuna", SAMPLERS["random"])


@pytest.mark.parametrize("sampler", ["random", "qmc", "optuna"])
@pytest.mark.parametrize(("text", "num_stay"), CHANGES.values(), ids=[*CHANGES])
def test_what_was_asked_stays(tmp_path: Path, text: str, num_stay: int, sampler: str) -> None:
    batch = ["search.batch=4"] if sampler == "optuna" else []
    before = Simulated(opened(tmp_path, TEXT, f"search.sampler={sampler}", *batch))
    then = before.drive()
    after = Simulated(opened(tmp_path, text, f"search.sampler={sampler}", *batch))
    after.runs, after.kept = before.runs, before.kept
    planned = known_configurations(after.experiment, after.kept)
    now = after.drive()
    names = dict.fromkeys(then.columns[0].cells)
    assert len(names.keys() & now.columns[0].cells.keys()) == num_stay
    assert now.left_out == 12 - num_stay
    assert len(now.columns[0].cells) == columns(after.experiment)[0].num_samples
    assert now.configurations[: len(planned)] == planned, "plan knows it before anything is asked"
    again = Simulated(after.experiment)
    again.runs, again.kept = after.runs, after.kept
    assert again.drive().configurations == now.configurations
    assert not again.trained
    # As it was, it is the search that it was.
    back = Simulated(before.experiment)
    back.runs, back.kept = after.runs, after.kept
    assert back.drive().configurations == then.configurations


def test_what_is_left_out_and_what_is_not_tried_is_said(tmp_path: Path) -> None:
    before = Simulated(opened(tmp_path, TEXT))
    before.drive()
    layout = Layout(slots=1, nodes=())
    for text, said in (
        (CUTMIX, "none is of cutmix: raise search.num_samples"),
        (TEXT.replace("[0.1, 2.0]", "[0.1, 0.11]"), "asked before are no longer in the search: the file has changed"),
    ):
        after = Simulated(opened(tmp_path, text))
        after.runs, after.kept = before.runs, before.kept
        followed = after.drive()
        plan = make_plan(after.experiment, followed.cells, after.runs, layout, followed=followed)
        assert said in "\n".join(plan_lines(plan, after.experiment))


@given(st.integers(0, 2**32 - 1), st.integers(4, 12), st.sampled_from(["random", "qmc"]))
@settings(max_examples=25, deadline=None)
def test_a_point_of_each_alternative_that_is_kept_or_compared_with_is_asked_first(
    tmp_path_factory: pytest.TempPathFactory, seed: int, num: int, sampler: str
) -> None:
    search = f"search={{sampler: {sampler}, seed: {seed}, num_samples: {num}, race: ladder, keep: [zeta_mixup]}}"
    (column,) = columns(opened(tmp_path_factory.mktemp("kept"), CUTMIX, search, "compare.baseline=mixup"))
    points = column.ask(column.batch)
    assert {"zeta_mixup", "mixup"} <= {point.branch for point in points}
    assert len(set(points)) == num
    # What was drawn without that is what is drawn with it.
    drawn = SAMPLERS[sampler](column.space, num, seed=seed)
    assert len({*points} & {*drawn}) >= num - 2
