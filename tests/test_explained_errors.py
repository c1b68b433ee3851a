"""Errors say what is wrong, what is allowed and how to mend it: on lines of their own, or in one."""

from __future__ import annotations

import pickle

import pytest

from orchestrator.errors import CellError, DataError, ExplainedError, UserError, first_line, nearest

WHOLE = "lr = -1\n  allowed: above 0\n  remedy:  raise it\n           or leave it out"


def test_each_part_has_a_line() -> None:
    assert str(UserError("lr = -1", allowed="above 0", remedy="raise it\nor leave it out")) == WHOLE
    assert str(UserError("lr = -1")) == "lr = -1"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (CellError("the loss became nan", remedy="lower train.lr"), "the loss became nan: lower train.lr"),
        (CellError("the copies differ:\n  a: x\n  b: y", remedy="copy it"), "the copies differ: copy it"),
        (DataError("a.png cannot be read.", remedy="Remove it."), "a.png cannot be read: Remove it."),
        (UserError("lr = -1", allowed="above 0", remedy="raise it\nor leave it out"),
         "lr = -1: above 0: raise it; or leave it out"),
        (UserError("no such metric"), "no such metric"),
    ],
)  # fmt: skip
def test_one_line_says_enough(error: ExplainedError, line: str) -> None:
    assert error.in_one_line == line
    assert first_line(error.in_full) == line
    assert str(error) in error.in_full


def test_they_survive_being_sent_to_another_process() -> None:
    error = DataError("a", allowed="b", remedy="c", details=["d"])
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.in_one_line, again.details) == (str(error), error.in_one_line, ("d",))


def test_the_nearest_name_begins_alike_or_has_most_letters_in_common() -> None:
    assert nearest("acc", ["auroc", "Accuracy"]) == "Accuracy"
    assert nearest("mixpu", ["erm", "mixup"]) == "mixup"
    assert nearest("x", ["erm"]) is None
