"""`compare` on finished cells: earlier looks, predictions from MLflow, `--final`, and what it refuses in a sentence."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from commands import Answer, Call
from finished_sweep import FinishedSweep as Sweep
from mlflow import MlflowClient

MORE = ("-o", "seed=[0, 1, 2, 3, 4]")


@pytest.fixture
def sweep(tmp_path: Path, new_store: Path) -> Sweep:
    return Sweep(tmp_path, new_store)


def text(answer: Answer, *, code: int = 0) -> str:
    assert "Traceback" not in answer.out + answer.err
    assert answer.code == code, answer.out + answer.err
    return " ".join(answer.out.split())


@pytest.mark.parametrize("place", ["in storage", "in MLflow"])
def test_predictions_come_from_storage_or_else_from_mlflow(call: Call, sweep: Sweep, place: str) -> None:
    sweep.finish(predictions=place)
    answer = call("compare", sweep.file)
    assert "Both are about new trainings and new test images like these." in text(answer)
    assert answer.err == ""


def test_cells_of_earlier_versions_are_compared_and_what_they_lack_is_said(call: Call, sweep: Sweep) -> None:
    (first, *_) = sweep.finish(predictions="nowhere")
    said = text(call("compare", sweep.file))
    assert f"since {first.label} has no predictions of each image, or of others: zetasweep doctor --fix" in said
    assert "better than erm: mixup(alpha=1.0) by -12.00 points" in said


def test_artifacts_out_of_reach_keep_no_table_back(call: Call, sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep.finish(predictions="in MLflow")

    def unreachable(*_: object) -> None:
        raise OSError("no route to the bucket")

    monkeypatch.setattr(MlflowClient, "list_artifacts", unreachable)
    answer = call("compare", sweep.file)
    assert "better than erm: mixup(alpha=1.0)" in text(answer)
    assert answer.err.count("nothing is said of new images") == 1
    assert "its artifacts cannot be looked at (" in answer.err


def test_seeds_that_are_added_after_a_look_cost_confidence(call: Call, sweep: Sweep) -> None:
    sweep.finish()
    looks = sweep.storage.looks
    assert "looked at before" not in text(call("compare", sweep.file))
    first = looks.read_bytes()
    text(call("compare", sweep.file))
    text(call("compare", sweep.file, *MORE), code=1)  # seeds are missing: it is no answer yet
    assert looks.read_bytes() == first, "the same seeds are the same look"
    sweep.finish(MORE[1])
    said = text(call("compare", sweep.file, *MORE))
    assert "the table was looked at before seeds were added, once: 98.7 % intervals" in said
    assert len(json.loads(looks.read_text())["looks"]) == 2
    assert said == text(call("compare", sweep.file, *MORE))
    assert "looked at before" not in text(call("compare", sweep.file)), "nothing was added to the first three"


@pytest.mark.parametrize("content", ["{", '{"version": 2, "looks": []}', "[]", None])
def test_looks_that_cannot_be_kept_are_said_and_keep_no_table_back(
    call: Call, sweep: Sweep, content: str | None
) -> None:
    sweep.finish()
    looks = sweep.storage.looks
    if content is None:
        looks.mkdir()
    else:
        looks.write_text(content)
    answer = call("compare", sweep.file)
    assert "better than erm" in text(answer)
    assert f"{looks}: which seeds were looked at cannot be kept there (" in answer.err
    assert content is None or looks.read_text() == content


def test_a_final_table_lacks_nothing(call: Call, sweep: Sweep) -> None:
    sweep.finish()
    assert text(call("compare", sweep.file, "--final")) == text(call("compare", sweep.file))
    answer = call("compare", sweep.file, *MORE, "--final")
    assert text(answer, code=1) == ""
    assert "not final:\n- 4 of 10 cells missing: zetasweep run trains them\n" in answer.err


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--against=cutmix"], 2, "--against cutmix: there is no such row\n  allowed: one of the rows: erm, mixup"),
        (["--best-of=,"], 2, "--best-of ',': it names no setting"),
        (["-o", "compare.baseline=cutmix"], 2, "finished.yaml: compare.baseline = cutmix: there is no such row"),
        (["-o", "compare.margin=-0.1"], 2, "compare.margin = -0.1\n  allowed: a finite number, at least 0"),
        (["-o", "compare.family=row"], 2, "compare.family = row\n  allowed: column or table"),
        (["--metric=group/error"], 2, "metric = test/group/error: none of the finished cells has it"),
        (["--metric=eror"], 2, "metric=eror is not tracked. Did you mean error?"),
        (["-o", "augment=erm"], 0, "fewer than two rows have values, so there is nothing to compare: add another to"),
        (["-o", "seed=9"], 1, "fewer than two rows have values, so there is nothing to compare: zetasweep run trains"),
        (["-o", "seed=0"], 0, "too few seeds to tell rows apart"),
        (["--best-of=lr"], 2, "--best-of lr: the cells do not differ in it"),
    ],
)
def test_wrong_input_is_a_sentence_that_says_what_to_do(
    call: Call, sweep: Sweep, options: Sequence[str], code: int, said: str
) -> None:
    sweep.finish()
    answer = call("compare", sweep.file, *options)
    shown = answer.err if code == 2 else text(answer, code=code)
    assert answer.code == code, answer.err
    assert said in shown
    assert code != 2 or "remedy:" in answer.err or "Did you mean" in answer.err
