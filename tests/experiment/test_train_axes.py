"""Lists under ``train``, and what entries of other lists say instead: the cells they mean, and what is refused."""

from __future__ import annotations

import time
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.errors import ConfigError, Problem
from orchestrator.experiment import Cell, expand, load_experiment

MINIMAL = {"name": "sweep", "dataset": "digits", "model": "convnet", "augment": ["erm", "mixup"]}


def write(folder: Path, parts: dict[str, Any]) -> Path:
    path = folder / "x.yaml"
    path.write_text(yaml.safe_dump(MINIMAL | parts, sort_keys=False))
    return path


def cells_of(folder: Path, *overrides: str, **parts: Any) -> list[Cell]:
    return expand(load_experiment(write(folder, parts), overrides))


def problems_of(folder: Path, *overrides: str, **parts: Any) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        load_experiment(write(folder, parts), overrides)
    return caught.value.problems


def test_a_list_makes_a_cell_of_each_value_with_the_augmentation_changing_fastest(tmp_path: Path) -> None:
    """So an interrupted sweep has compared all augmentations, with all settings, on its first seeds."""
    cells = cells_of(tmp_path, train={"lr": [0.05, 0.1]}, seed=[0, 1])
    assert [(cell.seed, cell.train.lr, cell.augment.name) for cell in cells] == [
        *product((0, 1), (0.05, 0.1), ("erm", "mixup"))
    ]


def test_augmentations_of_few_trainings_come_first(tmp_path: Path) -> None:
    augment = [{"erm": {"train": {"lr": [0.2, 0.3, 0.4]}}}, "mixup"]
    cells = cells_of(tmp_path, augment=augment)
    assert [(cell.augment.name, cell.train.lr) for cell in cells] == [
        ("erm", 0.2),
        ("mixup", 0.1),
        ("erm", 0.3),
        ("erm", 0.4),
    ]


def test_a_swept_cell_is_the_cell_of_a_file_that_has_its_value_alone(tmp_path: Path) -> None:
    swept = cells_of(tmp_path, train={"lr": [0.05, 0.1], "epochs": [3, 5]})
    alone = [cells_of(tmp_path, train={"lr": lr, "epochs": epochs}) for lr, epochs in product((0.05, 0.1), (3, 5))]
    assert [cell.key for cell in swept] == [cell.key for cells in alone for cell in cells]


def test_what_tells_cells_apart_is_said_of_each_and_is_in_no_key(tmp_path: Path) -> None:
    (first, *_) = cells_of(tmp_path, train={"lr": [0.05, 0.1], "epochs": 5})
    assert first.label == "digits convnet erm lr=0.05 seed=0"
    assert first.variant == "erm, lr=0.05"
    (alone, *_) = cells_of(tmp_path, train={"lr": 0.05})
    assert (alone.label, alone.key) == ("digits convnet erm seed=0", first.key)
    assert alone.params() == first.params()


def test_what_differs_between_models_alone_tells_no_cells_of_one_apart(tmp_path: Path) -> None:
    cells = cells_of(tmp_path, model=["convnet", {"resnet18": {"train": {"epochs": 9}}}])
    assert {(cell.model.name, cell.train.epochs, cell.apart) for cell in cells} == {
        ("convnet", 5, ()),
        ("resnet18", 9, ()),
    }


@pytest.mark.parametrize("override", ["train.lr=[0.05, 0.1]", "dataset.train.lr=[0.05, 0.1]"])
def test_the_command_line_sweeps(tmp_path: Path, override: str) -> None:
    assert [cell.train.lr for cell in cells_of(tmp_path, override, augment="erm")] == [0.05, 0.1]


@pytest.mark.parametrize(
    ("parts", "epochs"),
    [
        ({"dataset": ["digits", {"mnist": {"train": {"epochs": 7}}}]}, {("digits", "erm"): 5, ("mnist", "erm"): 7}),
        (
            {"augment": ["erm", {"mixup": {"alpha": [1, 2], "train": {"epochs": 7}}}]},
            {("digits", "erm"): 5, ("digits", "mixup"): 7},
        ),
        (
            {"dataset": {"digits": {"folds": 3, "train": {"epochs": 7}}}, "train": {"epochs": 9}},
            {("digits", "erm"): 7},
        ),
        (  # they say the same
            {"dataset": {"digits": {"train": {"epochs": 7}}}, "model": {"convnet": {"train": {"epochs": 7}}}},
            {("digits", "erm"): 7},
        ),
    ],
)
def test_an_entry_goes_before_the_section(
    tmp_path: Path, parts: dict[str, Any], epochs: dict[tuple[str, str], int]
) -> None:
    cells = cells_of(tmp_path, **({"augment": "erm"} | parts))
    assert {(cell.dataset.name, cell.augment.name): cell.train.epochs for cell in cells} == epochs


def test_one_model_may_stand_twice_if_it_is_trained_otherwise(tmp_path: Path) -> None:
    cells = cells_of(tmp_path, model=["convnet", {"convnet": {"train": {"lr": 0.2}}}], augment="erm")
    assert [cell.variant for cell in cells] == ["erm, lr=0.1", "erm, lr=0.2"]


def test_the_whole_batch_is_that_of_the_cell(tmp_path: Path) -> None:
    augment = {"zeta_mixup": {"gamma": 2.8, "num_mixed": ["batch", 16]}}
    cells = cells_of(tmp_path, augment=augment, train={"batch_size_per_worker": [16, 32]})
    assert [(cell.train.batch_size_per_worker, cell.augment.params["num_mixed"]) for cell in cells] == [
        (16, 16),
        (32, 32),
        (32, 16),
    ]


def test_the_whole_batch_is_that_of_the_entry(tmp_path: Path) -> None:
    mixing = {"gamma": 2.8, "num_mixed": "batch"}
    model = ["convnet", {"resnet18": {"train": {"batch_size_per_worker": 8}}}]
    cells = cells_of(tmp_path, augment={"zeta_mixup": mixing}, model=model)
    assert [cell.augment.params["num_mixed"] for cell in cells] == [64, 8]
    mixing["train"] = {"batch_size_per_worker": 24}
    (cell,) = cells_of(tmp_path, augment={"zeta_mixup": mixing})
    assert cell.augment.params["num_mixed"] == 24


def test_a_value_that_one_optimizer_ignores_makes_one_cell_of_it(tmp_path: Path) -> None:
    cells = cells_of(tmp_path, augment="erm", train={"optimizer": ["sgd", "adamw"], "momentum": [0.8, 0.9]})
    assert [cell.variant for cell in cells] == [
        "erm, optimizer=sgd, momentum=0.8",
        "erm, optimizer=sgd, momentum=0.9",
        "erm, optimizer=adamw",
    ]


def test_milestones_are_one_value_and_a_list_of_them_is_swept(tmp_path: Path) -> None:
    multistep = {"schedule": "multistep", "epochs": 9}
    (cell,) = cells_of(tmp_path, augment="erm", train=multistep | {"milestones": [2, 4]})
    assert cell.train.milestones == (2, 4)
    cells = cells_of(tmp_path, augment="erm", train=multistep | {"milestones": [[2, 4], [3]]})
    assert [cell.train.milestones for cell in cells] == [(2, 4), (3,)]


def test_null_is_a_value_of_a_list(tmp_path: Path) -> None:
    cells = cells_of(tmp_path, augment="erm", train={"clip_grad_norm": [None, 1.0]})
    assert [(cell.train.clip_grad_norm, cell.apart) for cell in cells] == [(None, ()), (1.0, ("clip_grad_norm=1.0",))]


@pytest.mark.parametrize(
    ("parts", "key", "value", "words"),
    [
        ({"train": {"lr": []}}, "train.lr", "[]", "a finite number above 0"),
        ({"train": {"lr": [0.1, -1]}}, "train.lr[1]", "-1", "a finite number above 0"),
        ({"train": {"lr": [0.1, 0.1]}}, "train.lr[1]", "0.1", "The same cells come from train.lr[0] = 0.1"),
        ({"train": {"lr": [[0.1]]}}, "train.lr[0]", "[0.1]", "a finite number above 0"),
        (
            {"train": {"optimizer": "adamw", "momentum": [0.8, 0.9]}},
            "train.momentum[1]",
            "0.9",
            "The same cells come from train.momentum[0] = 0.8",
        ),
        ({"train": {"precision": ["auto", "fp32"]}}, "train.precision[1]", "fp32", "train.precision[0] = auto"),
        ({"train": {"epochs": [3, 9], "warmup_epochs": 4}}, "train.warmup_epochs", "4", "0 to train.epochs=3"),
        ({"train": {"epohs": [1, 2]}}, "train.epohs", "[1, 2]", "Did you mean epochs?"),
        (
            {"train": {"schedule": "multistep", "milestones": [[1], [2, 1]]}},
            "train.milestones[1]",
            "[2, 1]",
            "rising epochs",
        ),
        ({"model": {"convnet": {"train": {"epochs": 0}}}}, "model.convnet.train.epochs", "0", "an integer from 1"),
        ({"model": {"convnet": {"train": {"epoch": 2}}}}, "model.convnet.train.epoch", "2", "Did you mean epochs?"),
        ({"model": {"convnet": {"train": 3}}}, "model.convnet.train", "3", "a mapping with the keys epochs"),
        ({"augment": [{"mixup": {"train": {"lr": 0}}}]}, "augment[0].mixup.train.lr", "0", "above 0"),
        ({"dataset": {"digits": {"train": {"lr": "x"}}}}, "dataset.digits.train.lr", "x", "above 0"),
        (
            {"dataset": {"digits": {"train": {"lr": 1}}}, "model": {"convnet": {"train": {"lr": 2}}}},
            "model.convnet.train.lr",
            "2",
            "1, as dataset.digits.train.lr says: the two meet in a cell",
        ),
        (
            {"model": [{"convnet": {"train": {"lr": 1}}}, {"convnet": {"train": {"lr": 1}}}]},
            "model[1]",
            "{convnet: {train: {lr: 1}}}",
            "The same cells come from model[0]",
        ),
        (
            {"model": ["convnet", {"convnet": {"train": {"lr": 0.1}}}]},
            "model[1]",
            "{convnet: {train: {lr: 0.1}}}",
            "The same cells come from model[0] = convnet",
        ),
        (
            {"augment": ["mixup", {"mixup": {"train": {"lr": [0.1, 0.2]}}}]},
            "augment[1].mixup.train.lr[0]",
            "0.1",
            "The same cells come from augment[0] = {alpha: 1.0}",
        ),
        (
            {"train": {"batch_size_per_worker": [8, 64]}, "augment": {"zeta_mixup": {"gamma": 2, "num_mixed": 9}}},
            "augment.zeta_mixup.num_mixed",
            "9",
            "2 to train.batch_size_per_worker=8",
        ),
        ({"train": {"lr": [0.1, 0.2]}, "max_cells": 3}, "max_cells", "3", "-o max_cells=4"),
    ],
)
def test_mistake_is_named_with_key_value_and_remedy(
    tmp_path: Path, parts: dict[str, Any], key: str, value: str, words: str
) -> None:
    (problem,) = problems_of(tmp_path, **parts)
    assert (problem.file, problem.key, problem.value) == (str(tmp_path / "x.yaml"), key, value)
    assert words in str(problem)


def test_a_list_that_no_cell_has_is_refused(tmp_path: Path) -> None:
    model = [{"convnet": {"train": {"lr": 0.1}}}, {"resnet18": {"train": {"lr": 0.2}}}]
    found = problems_of(tmp_path, model=model, train={"lr": [0.3, 0.4]})
    assert [problem.key for problem in found] == ["train.lr[0]", "train.lr[1]"]
    assert "all of them have it from an entry" in found[0].allowed


@pytest.mark.parametrize(
    ("override", "value", "remedy"),
    [
        ("train.epochs=2", "2", "Set it there: -o 'model[0].convnet.train.epochs=2'"),
        ("train={epochs: 2}", "2", "Set it there: -o 'model[0].convnet.train.epochs=2'"),
    ],
)
def test_what_the_command_line_sets_for_no_cell_is_refused_with_where_to_set_it(
    tmp_path: Path, override: str, value: str, remedy: str
) -> None:
    """Without that it would be ignored: what an entry says goes before it."""
    parts = {"model": [{"convnet": {"train": {"epochs": 9}}}, {"resnet18": {"train": {"epochs": 8}}}]}
    for section in ({}, {"train": {"epochs": 7, "lr": 0.2}}):
        (problem,) = problems_of(tmp_path, override, **parts, **section)
        assert (problem.file, problem.key, problem.value) == ("-o", "train.epochs", value)
        assert problem.remedy == remedy
    assert {cell.train.epochs for cell in cells_of(tmp_path, **parts, train={"epochs": 7})} == {9, 8}, "a default"
    one = {"model": [*parts["model"][:1], "resnet18"]}
    assert {cell.train.epochs for cell in cells_of(tmp_path, override, **one)} == {9, 2}


def test_a_value_of_the_command_line_is_blamed_on_it(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, "train.lr=[0.1, 0]")
    assert (problem.file, problem.key) == ("-o", "train.lr[1]")


def test_a_mistake_elsewhere_hides_none_in_train(tmp_path: Path) -> None:
    found = problems_of(tmp_path, augment="erms", train={"lr": [0.1, -1]})
    assert sorted(problem.key for problem in found) == ["augment", "train.lr[1]"]


LONG = list(range(1, 101))


@pytest.mark.parametrize(
    "parts",
    [
        {"train": {"epochs": LONG, "weight_decay": LONG, "lr": LONG}},
        {"train": {"epochs": LONG, "lr": LONG}},  # two augmentations
        {"train": {"epochs": LONG}, "seed": LONG},
        {"augment": {"cutmix_zeta_mixup": {"gamma": LONG, "num_mixed": LONG[1:60], "cutmix_prob": 0.5, "alpha": LONG}}},
        {"model": {"convnet": {"train": {"epochs": LONG, "lr": LONG, "weight_decay": LONG}}}},
    ],
)
def test_too_many_cells_are_asked_back_with_their_number_before_they_are_made(
    tmp_path: Path, parts: dict[str, Any]
) -> None:
    start = time.monotonic()
    (problem,) = problems_of(tmp_path, **parts)
    assert problem.key == "max_cells"
    assert f"-o max_cells={problem.allowed.split()[2].rstrip(':')}" in problem.remedy
    assert time.monotonic() - start < 5


def test_as_many_cells_as_are_allowed_are_made(tmp_path: Path) -> None:
    assert len(cells_of(tmp_path, "max_cells=200", train={"epochs": LONG})) == 200


_AXES = {
    "lr": st.sampled_from([0.05, 0.1]),
    "optimizer": st.sampled_from(["sgd", "adamw"]),
    "momentum": st.sampled_from([0.8, 0.9]),
    "precision": st.sampled_from(["auto", "fp32", "bf16"]),
}
_TRAIN = st.fixed_dictionaries({}, optional={name: st.lists(of, min_size=1, max_size=2) for name, of in _AXES.items()})


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_TRAIN)
def test_the_cells_are_those_of_the_single_files_each_once(tmp_path: Path, train: dict[str, list[Any]]) -> None:
    """And a list is refused just where leaving a value of it out leaves the cells as they are."""
    known: dict[str, str] = {}

    def key_of(single: dict[str, Any]) -> str:
        if str(single) not in known:
            (cell,) = cells_of(tmp_path, augment="erm", train=single)
            known[str(single)] = cell.key
        return known[str(single)]

    def keys(of: dict[str, list[Any]]) -> set[str]:
        return {key_of(dict(zip(of, values, strict=True))) for values in product(*of.values())}

    every = keys(train)
    idle = any(
        len(values) > 1 and keys(train | {name: values[:index] + values[index + 1 :]}) == every
        for name, values in train.items()
        for index in range(len(values))
    )
    if idle:
        assert problems_of(tmp_path, augment="erm", train=train)
    else:
        cells = cells_of(tmp_path, augment="erm", train=train)
        assert len(cells) == len(every) == len({cell.label for cell in cells})
        assert {cell.key for cell in cells} == every
