"""What a search draws from, and what a point of it means: the configuration of a file that has these values."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.errors import UserError
from orchestrator.experiment import Column, columns, expand, known_from_start, load_experiment
from orchestrator.search import LogUniform, Point, RandInt, Rung, Uniform

RANDOM = {"sampler": "random", "num_samples": 12}
ZETA = {"zeta_mixup": {"gamma": {"uniform": [1.75, 6.0]}, "num_mixed": [4, "batch"]}}
BASE: dict[str, Any] = {
    "name": "s",
    "dataset": "digits",
    "model": "convnet",
    "augment": ["erm", {"mixup": {"alpha": {"uniform": [0.1, 2.0]}}}, ZETA],
    "seed": [0, 1, 2],
    "train": {"epochs": 8, "lr": {"loguniform": [0.02, 0.5]}},
    "search": RANDOM,
}


def found_in(folder: Path, *overrides: str, **parts: Any) -> tuple[Column, ...]:
    path = folder / "s.yaml"
    path.write_text(yaml.safe_dump(BASE | parts, sort_keys=False))
    return columns(load_experiment(path, overrides))


def column_of(folder: Path, *overrides: str, **parts: Any) -> Column:
    (column,) = found_in(folder, *overrides, **parts)
    return column


def test_each_alternative_is_a_branch_and_what_all_have_is_shared(tmp_path: Path) -> None:
    space = column_of(tmp_path).space
    assert space.branches == {
        "erm": {},
        "mixup": {"alpha": Uniform(0.1, 2.0)},
        "zeta_mixup": {"gamma": Uniform(1.75, 6.0), "num_mixed": (4, "batch")},
    }
    assert space.shared == {"train.lr": LogUniform(0.02, 0.5)}


def test_a_point_is_the_cell_of_a_file_that_has_its_values(tmp_path: Path) -> None:
    column = column_of(tmp_path)
    for point in column.ask(12):
        options = {name: value for name, value in point.values if not name.startswith("train.")}
        parts = {"augment": {point.branch: options}, "train": {"epochs": 8, "lr": point["train.lr"]}, "search": None}
        path = tmp_path / "alone.yaml"
        path.write_text(yaml.safe_dump(BASE | parts))
        alone = expand(load_experiment(path))
        assert [cell.key for cell in alone] == [
            cell.key for cell in expand(column.experiment, [column.configuration(point)])
        ]
        assert column.name_of(point) == alone[0].config_key


def test_a_label_has_what_is_drawn_whatever_else_is_known(tmp_path: Path) -> None:
    column = column_of(tmp_path)
    point = Point("erm", (("train.lr", 0.0477),))
    assert column.cell(point).label == "digits convnet erm lr=0.0477 seed=0"


@pytest.mark.parametrize(
    ("augment", "train", "branches"),
    [
        # A momentum is read by sgd alone, and the end of mixing by what mixes.
        (
            ["erm", "mixup"],
            {"optimizer": ["sgd", "adam"], "momentum": {"uniform": [0.5, 0.9]}, "mixing_off_epochs": [0, 2]},
            {
                "erm, optimizer=sgd": {"train.momentum"},
                "erm, optimizer=adam": set(),
                "mixup, optimizer=sgd": {"train.momentum", "train.mixing_off_epochs"},
                "mixup, optimizer=adam": {"train.mixing_off_epochs"},
            },
        ),
        # What an entry says goes before the section.
        (
            [{"erm": {"train": {"lr": 0.1}}}, "mixup", {"mixup": {"train": {"lr": {"uniform": [0.1, 0.2]}}}}],
            {"lr": {"loguniform": [0.02, 0.5]}},
            {"erm": set(), "mixup": {"train.lr"}, "mixup (2)": {"train.lr"}},
        ),
        # Alternatives inside one have parameters of their own.
        (
            [{"erm": {"combine": ["none", {"rand_augment": {"magnitude": {"randint": [3, 12]}}}]}}],
            {"lr": 0.1},
            {"erm": set(), "erm + rand_augment": {"combine.rand_augment.magnitude"}},
        ),
        (
            [{"mixup": {"alpha": [1.0], "probability": {"uniform": [0.2, 0.9]}}}],
            {"lr": 0.1, "milestones": [[3], [4, 6]], "schedule": ["cosine", "multistep"]},
            {
                "mixup, schedule=cosine": {"probability"},
                "mixup, schedule=multistep": {"probability", "train.milestones"},
            },
        ),
    ],
)
def test_a_parameter_is_in_the_branches_alone_whose_cells_it_makes_others(
    tmp_path: Path, augment: list[Any], train: dict[str, Any], branches: dict[str, set[str]]
) -> None:
    column = column_of(tmp_path, augment=augment, train={"epochs": 8} | train, search=RANDOM | {"num_samples": 4})
    assert {name: {*column.space.axes(name)} for name in column.space.branches} == branches
    points = column.ask(4)
    assert len({column.name_of(point) for point in points}) == len(points)


def test_values_that_are_lists_are_drawn_too(tmp_path: Path) -> None:
    train = {"epochs": 8, "schedule": "multistep", "milestones": [[3], [4, 6]]}
    column = column_of(tmp_path, augment="erm", train=train, search=RANDOM | {"num_samples": 2})
    assert {column.configuration(point).train.milestones for point in column.ask(2)} == {(3,), (4, 6)}


def test_each_data_set_and_model_has_a_column_with_what_it_says_of_its_training(tmp_path: Path) -> None:
    model = ["convnet", {"resnet18": {"train": {"epochs": 16, "lr": {"uniform": [0.1, 0.2]}}}}]
    first, second = found_in(tmp_path, model=model)
    assert [(each.model.name, each.epochs) for each in (first, second)] == [("convnet", 8), ("resnet18", 16)]
    assert second.space.shared == {"train.lr": Uniform(0.1, 0.2)}
    assert column_of(tmp_path, "dataset={digits: {folds: 3, fold: 1}}").dataset.fold == 1
    assert second.configuration(second.ask(1)[0]).model.name == "resnet18"


def test_without_ranges_the_grid_is_the_search_in_its_order(tmp_path: Path) -> None:
    lists = {"augment": ["erm", "mixup"], "train": {"epochs": 8, "lr": [0.1, 0.2]}}
    column = column_of(tmp_path, **lists, search={"race": "ladder"})
    cells = expand(column.experiment)
    assert [column.name_of(point) for point in column.ask(4)] == [cell.config_key for cell in cells[:4]]
    without = tmp_path / "without.yaml"
    without.write_text(yaml.safe_dump(BASE | lists | {"search": None}))
    assert [cell.key for cell in expand(load_experiment(without))] == [cell.key for cell in cells]
    assert columns(load_experiment(without)) == ()


def test_what_is_known_from_the_start_is_all_of_a_sampler_that_learns_nothing(tmp_path: Path) -> None:
    column = column_of(tmp_path)
    known = known_from_start(column.experiment)
    assert len(known) == 12
    assert len(expand(column.experiment, known)) == 36
    with pytest.raises(UserError, match=r"known of its search alone\n  remedy:  zetasweep.results\(file\).cells has"):
        expand(column.experiment)


def test_more_samples_and_another_seed_leave_those_of_before(tmp_path: Path) -> None:
    before = column_of(tmp_path)
    names = [before.name_of(point) for point in before.ask(12)]
    more = column_of(tmp_path, "search.num_samples=20", "seed=[0,1,2,3]")
    assert [more.name_of(point) for point in more.ask(20)][:12] == names
    assert more.seeds == (0, 1, 2, 3)


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        ([], [None, None, None]),
        (["erm"], ["erm", "erm", None]),
        ("erm, lr=0.1", ["erm, lr=0.1", None, None]),
        (["erm", "erm, lr=0.1"], ["erm, lr=0.1", "erm", None]),
    ],
)
def test_keep_names_a_row_or_all_of_an_augmentation(tmp_path: Path, keep: Any, kept: list[str | None]) -> None:
    lists = {"augment": ["erm", "mixup"], "train": {"epochs": 8, "lr": [0.1, 0.2]}}
    column = column_of(tmp_path, **lists, search={"race": "ladder", "keep": keep})
    by_label = {column.cell(point).variant: column.kept_as(point) for point in column.ask(4)}
    assert [by_label[row] for row in ("erm, lr=0.1", "erm, lr=0.2", "mixup(alpha=1.0), lr=0.1")] == kept
    assert column.num_kept == len({*kept} - {None})


@pytest.mark.parametrize(
    ("race", "rungs"),
    [
        ("none", [(3, 8, 1)]),
        ("ladder", [(1, 2, 8), (2, 4, 4), (2, 8, 2), (3, 8, 1)]),
        ([{"seeds": 2, "epochs": 4, "keep": 3}, {"seeds": 3, "epochs": 8, "keep": 1}], [(2, 4, 3), (3, 8, 1)]),
    ],
)
def test_the_race_is_as_written(tmp_path: Path, race: Any, rungs: list[tuple[int, int, int]]) -> None:
    column = column_of(tmp_path, search=RANDOM | {"race": race})
    assert column.rungs_of(12) == tuple(Rung(*rung) for rung in rungs)


def test_optuna_is_asked_in_batches_and_not_for_the_file_to_be_read(tmp_path: Path) -> None:
    optuna = {"sampler": "optuna", "num_samples": 12}
    assert column_of(tmp_path, search=optuna).batch == 8
    assert column_of(tmp_path, search=optuna | {"batch": 12}).batch == 12
    assert column_of(tmp_path).batch == 12


@pytest.mark.skipif(find_spec("optuna") is not None, reason="Optuna is installed")
def test_optuna_that_is_missing_is_said_with_the_key(tmp_path: Path) -> None:
    column = column_of(tmp_path, search={"sampler": "optuna", "num_samples": 12})
    with pytest.raises(UserError, match=r"s.yaml: search.sampler: optuna, which is not installed\n.*random or qmc"):
        known_from_start(column.experiment)


def test_whole_numbers_are_drawn_as_such(tmp_path: Path) -> None:
    augment = ["erm", {"zeta_mixup": {"gamma": 2.8, "num_mixed": {"randint": [2, 9]}}}]
    training = {"epochs": 8, "warmup_epochs": 1}
    column = column_of(tmp_path, augment=augment, search=RANDOM | {"num_samples": 8}, train=training)
    assert column.space.branches["zeta_mixup"] == {"num_mixed": RandInt(2, 9)}
    drawn = [column.configuration(point).augment.params["num_mixed"] for point in column.ask(6)[1:]]
    assert all(isinstance(value, int) and 2 <= value <= 8 for value in drawn)
