from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from orchestrator.experiment.augment_spec import AugmentSpec
from orchestrator.experiment.cells import Cell, expand
from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.experiment.resources import Resources
from orchestrator.experiment.settings import Experiment
from orchestrator.experiment.train_settings import TrainSettings

AUGMENTS = (
    AugmentSpec(name="erm"),
    AugmentSpec(name="mixup", params={"alpha": 1.0}),
    AugmentSpec(name="zeta_mixup", params={"gamma": 2.8, "num_mixed": 4}),
)


def experiment(**parts: Any) -> Experiment:
    content = {
        "name": "sweep",
        "dataset": [{"name": "digits"}],
        "model": ["convnet"],
        "augment": AUGMENTS,
        "file": Path("x.yaml"),
    }
    return Experiment.model_validate({**content, **parts})


def only_cell(**parts: Any) -> Cell:
    (cell,) = expand(experiment(augment=AUGMENTS[2:], **parts))
    return cell


def test_cells_are_all_combinations_with_the_augmentation_changing_fastest() -> None:
    cells = expand(experiment(model=["convnet", "resnet18"], seed=[1, 0]))
    assert [cell.label for cell in cells] == [
        f"digits {model} {augment.label} seed={seed}"
        for model in ("convnet", "resnet18")
        for seed in (1, 0)
        for augment in AUGMENTS
    ]
    assert len({cell.key for cell in cells}) == len(cells) == 12


def test_config_key_groups_the_seeds() -> None:
    cells = expand(experiment(seed=[0, 1, 2]))
    groups = {cell.config_key: cell.augment for cell in cells}
    assert len(groups) == len(AUGMENTS)
    assert all(groups[cell.config_key] == cell.augment for cell in cells)
    assert groups.keys().isdisjoint(cell.key for cell in cells)


def test_key_is_the_same_tomorrow() -> None:
    # Finished cells are found by it: a change makes every earlier result unknown. Then KEY_VERSION says so.
    assert only_cell(resources=Resources(workers=2)).key == "27182419b1e5a2e2"


@pytest.mark.parametrize(
    "parts",
    [
        {"name": "other"},
        {"storage": "elsewhere"},
        {"data_dir": "elsewhere"},
        {"file": Path("y.yaml")},
        {"tracking": {"uri": "http://x", "experiment": "e"}},
        {"resources": {"slots": 3, "cpus_per_worker": 2}},
        {"train": {"precision": "fp32"}},
        {"train": {"milestones": [1], "lr_decay": 0.5}},
        {"train": {"lr": 0.1, "weight_decay": 5e-4}},
        {"train": {"best_by": "error"}},
        {"dataset": [{"name": "digits", "padding_mode": "reflect", "color_jitter": {"hue": 0.0}}]},
        {"dataset": [{"name": "digits", "crop_padding": 0, "hflip": False, "val_fraction": 0.1, "image_size": None}]},
    ],
)
def test_what_does_not_change_the_result_is_not_in_the_key(parts: dict[str, Any]) -> None:
    assert only_cell(**parts).key == only_cell().key


@pytest.mark.parametrize(
    "parts",
    [
        {"dataset": [{"name": "mnist"}]},
        {"dataset": [{"name": "digits", "num_train": 100}]},
        {"dataset": [{"name": "digits", "hflip": True}]},
        {"model": ["resnet18"]},
        {"seed": [1]},
        {"resources": {"workers": 2}},
        {"resources": {"gpus_per_worker": 1}},
        {"train": {"precision": "bf16"}},
        {"train": {"epochs": 6}},
        {"train": {"lr": 0.05}},
        {"train": {"momentum": 0}},
        {"train": {"optimizer": "adamw"}},
        {"train": {"clip_grad_norm": 1.0}},
        {"train": {"best_by": "balanced_accuracy"}},
        {"train": {"best_by": "last"}},
        {"train": {"schedule": "multistep", "milestones": [1]}},
    ],
)
def test_what_changes_the_result_is_in_the_key(parts: dict[str, Any]) -> None:
    assert only_cell(**parts).key != only_cell().key


def test_the_value_of_a_parameter_is_in_the_key() -> None:
    other = AugmentSpec(name="zeta_mixup", params={"gamma": 2.8, "num_mixed": 5})
    assert expand(experiment(augment=[other]))[0].key != only_cell().key


def test_a_cache_of_the_size_of_the_image_is_not_in_the_key() -> None:
    plain, same, larger = (
        only_cell(dataset=[{"name": "digits", "image_size": 16, **options}])
        for options in ({}, {"cache_size": 16}, {"cache_size": 20})
    )
    assert same.key == plain.key
    assert larger.key != plain.key


def test_momentum_of_adamw_is_not_in_the_key() -> None:
    first = only_cell(train={"optimizer": "adamw", "momentum": 0.5})
    assert first.key == only_cell(train={"optimizer": "adamw", "momentum": None}).key
    assert first.train.momentum is None


@pytest.mark.parametrize(("gpus", "precision"), [(0, "fp32"), (1, "bf16"), (0.5, "bf16")])
def test_auto_precision_is_resolved(gpus: float, precision: str) -> None:
    assert only_cell(resources={"gpus_per_worker": gpus}).train.precision == precision
    assert only_cell(resources={"gpus_per_worker": gpus}, train={"precision": "fp32"}).train.precision == "fp32"


def test_a_changed_copy_has_its_own_key() -> None:
    cell = only_cell()
    assert cell.model_copy(update={"seed": 1}).key == only_cell(seed=[1]).key != cell.key


def test_params_are_flat_and_only_what_applies() -> None:
    params = only_cell(
        train={"optimizer": "adamw", "lr": 5e-4}, dataset=[{"name": "digits", "num_train": 100}]
    ).params()
    assert params == {
        "dataset": "digits",
        "model": "convnet",
        "augment": "zeta_mixup",
        "gamma": "2.8",
        "num_mixed": "4",
        "seed": "0",
        "resources.workers": "1",
        "dataset.val_fraction": "0.1",
        "dataset.num_train": "100",
        "dataset.crop_padding": "0",
        "dataset.padding_mode": "constant",
        "dataset.hflip": "false",
        "dataset.vflip": "false",
        "dataset.rot90": "false",
        "train.epochs": "5",
        "train.batch_size_per_worker": "64",
        "train.optimizer": "adamw",
        "train.lr": "0.0005",
        "train.weight_decay": "0.0005",
        "train.schedule": "cosine",
        "train.warmup_epochs": "0",
        "train.precision": "fp32",
    }


def test_params_of_multistep() -> None:
    params = only_cell(train={"schedule": "multistep", "milestones": [2, 4], "epochs": 6}).params()
    assert (params["train.milestones"], params["train.lr_decay"]) == ("[2, 4]", "0.1")
    assert params["train.momentum"] == "0.9"


_positive = st.floats(min_value=1e-6, max_value=1e6)
_cells = st.builds(
    Cell,
    dataset=st.builds(
        lambda num_train, hflip, val_fraction: DatasetSpec.model_validate(
            {"name": "cifar10", "num_train": num_train, "hflip": hflip, "val_fraction": val_fraction}
        ),
        st.none() | st.integers(1, 10**9),
        st.booleans(),
        st.floats(min_value=0.001, max_value=0.999),
    ),
    model=st.sampled_from(["convnet", "resnet18"]),
    augment=st.builds(
        lambda gamma, num_mixed: AugmentSpec(name="zeta_mixup", params={"gamma": gamma, "num_mixed": num_mixed}),
        _positive | st.integers(1, 100).map(float),
        st.integers(2, 10**6),
    ),
    seed=st.integers(0, 2**32 - 1),
    train=st.builds(TrainSettings, lr=_positive, epochs=st.integers(1, 10**6), weight_decay=_positive),
    workers=st.integers(1, 10**4),
)


# A value of the same kind that is another one.
_OTHER: dict[type, Callable[[Any], Any]] = {
    bool: lambda value: not value,
    int: lambda value: value + 1,
    float: lambda value: value / 2,
    str: lambda value: value + "x",
    tuple: lambda value: (*value, 1),
    dict: lambda value: {**value, "gamma": 9.0},
    type(None): lambda _: "x",
}


def with_one_change(model: BaseModel) -> Iterator[BaseModel]:
    """Yield copies that differ in one field each, also of the models inside, whether or not a file could say it."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        others = with_one_change(value) if isinstance(value, BaseModel) else [_OTHER[type(value)](value)]
        yield from (model.model_copy(update={name: other}) for other in others)


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize("milestones", [(), (2,)])
def test_what_is_not_in_the_key_is_no_param(milestones: tuple[int, ...]) -> None:
    """MLflow refuses another value of a param, and with it the rest of a cell that was begun before the change."""
    train = {"schedule": "multistep", "milestones": milestones} if milestones else {}
    cell = only_cell(train=train)
    changed = [other for other in with_one_change(cell) if isinstance(other, Cell)]
    assert len(changed) > 30
    same = [other for other in changed if other.key == cell.key]
    assert same, "the name in tables is outside the key"
    assert [other.params() for other in same] == [cell.params()] * len(same)


@settings(deadline=None)
@given(_cells)
def test_key_survives_every_way_a_cell_travels(cell: Cell) -> None:
    ways = [
        Cell.model_validate_json(cell.model_dump_json()),
        Cell.model_validate(cell.model_dump(mode="json")),
        Cell.model_validate(json.loads(json.dumps(cell.model_dump(mode="json"), sort_keys=True))),
        pickle.loads(pickle.dumps(cell)),
    ]
    for other in ways:
        assert other == cell
        assert (other.key, other.config_key, other.label) == (cell.key, cell.config_key, cell.label)
        assert other.params() == cell.params()


@settings(deadline=None)
@given(_cells, _cells)
def test_equal_keys_mean_equal_cells(first: Cell, second: Cell) -> None:
    assert (first.key == second.key) == (first == second)
    assert hash(first) == hash(pickle.loads(pickle.dumps(first)))
