"""Which metrics the images of a split do not allow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from orchestrator.data import ArraySamples, Source, split_dataset, unmeasured
from orchestrator.data.decode import decode_in_memory
from orchestrator.data.measurable import groups_of_test
from orchestrator.data.partition import Parts

NAMES = ("mel", "nv", "bcc", "df", "vasc", "akiec")


def samples(labels: Sequence[int], groups: Sequence[str] | None = None, *, part: str = "x") -> ArraySamples:
    images = torch.randint(0, 256, (len(labels), 1, 4, 4), dtype=torch.uint8)
    return ArraySamples([f"{part}{place}" for place in range(len(labels))], np.array(labels), images, groups)


def parts(val: Sequence[int], test: Sequence[int], groups: Sequence[str] | None = None) -> Parts:
    found = {"val": samples(val), "test": samples(test, groups)}
    return {name: (part, np.arange(len(part.labels))) for name, part in found.items()}


ALL = [0, 1, 2, 3, 4, 5]


def test_where_every_class_occurs_nothing_is_left_out() -> None:
    assert unmeasured(parts(ALL, [*ALL, *ALL], ["a", "b", "c", "d", "e", "f"] * 2), NAMES) == ()
    assert unmeasured(parts(ALL, ALL), NAMES) == ()


@pytest.mark.parametrize(
    ("split", "line"),
    [
        (parts([0, 1, 2, 3, 4], ALL), "no validation image of akiec: no metric of"),
        (parts(ALL, [0, 1]), "no test image of bcc, df, vasc and 1 more: no metric of"),
        (parts([1, 1], ALL), "all validation images are of nv: no metric of the others, and no auroc"),
        (parts(ALL, ALL, ["P1", "P2", "P1", "P3", "P4", "P5"]), "1 group of test images with more than one label (P1)"),
    ],
)
def test_what_does_not_exist_is_said(split: Parts, line: str) -> None:
    (found,) = unmeasured(split, NAMES)
    assert found.startswith(line)


def test_only_the_samples_of_the_split_count() -> None:
    test = samples([0, 1, 2, 1], ["a", "b", "c", "a"])
    split = {"val": (test, np.array([0, 1, 2])), "test": (test, np.array([2, 1, 0]))}
    assert unmeasured(split, NAMES[:3]) == ()
    numbers = groups_of_test(split)
    assert numbers is not None
    assert numbers.tolist() == [2, 1, 0]
    assert groups_of_test({**split, "test": (test, np.arange(4))}) is None, "a has two labels"


@pytest.mark.parametrize("groups", [None, ["one", "two", "one"]])
def test_a_data_set_knows_the_groups_of_its_test(groups: list[str] | None) -> None:
    source = Source(("a", "b"), samples([0, 1] * 10, part="train"), samples([0, 0, 0], groups, part="test"))
    dataset = split_dataset("made_up", decode_in_memory(source, None))
    if groups is None:
        assert dataset.test_groups is None
    else:
        assert dataset.test_groups is not None
        assert (dataset.test_groups.dtype, dataset.test_groups.tolist()) == (torch.int64, [0, 1, 0])
    (said,) = dataset.unmeasured
    assert said.startswith("all test images are of a")
