from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from augment import ZetaMixup
from orchestrator.data import DATASETS, default_cache_dir
from orchestrator.errors import ConfigError
from orchestrator.experiment.augment_spec import AugmentSpec
from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.experiment.load import load_experiment
from orchestrator.experiment.settings import (
    CacheSettings,
    Experiment,
    General,
    Resources,
    Tracking,
)
from orchestrator.experiment.train_settings import TrainSettings


@pytest.mark.parametrize("model", [TrainSettings, Resources, Tracking, DatasetSpec, AugmentSpec, Experiment])
def test_models_are_frozen_and_closed(model: type[BaseModel]) -> None:
    assert model.model_config["frozen"]
    assert model.model_config["extra"] == "forbid"


@pytest.mark.parametrize("model", [TrainSettings, Resources, Tracking, DatasetSpec, General])
def test_every_field_says_what_is_allowed(model: type[BaseModel]) -> None:
    assert [name for name, field in model.model_fields.items() if not field.description] == []


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (TrainSettings, {"epochs": 0}),
        (TrainSettings, {"epochs": True}),
        (TrainSettings, {"epochs": 2.0}),
        (TrainSettings, {"epochs": "5"}),
        (TrainSettings, {"batch_size_per_worker": 0}),
        (TrainSettings, {"optimizer": "SGD"}),
        (TrainSettings, {"lr": 0}),
        (TrainSettings, {"lr": math.nan}),
        (TrainSettings, {"lr": math.inf}),
        (TrainSettings, {"lr": True}),
        (TrainSettings, {"lr": 10**400}),
        (TrainSettings, {"momentum": 1.0}),
        (TrainSettings, {"momentum": -0.1}),
        (TrainSettings, {"momentum": None}),
        (TrainSettings, {"weight_decay": -1e-9}),
        (TrainSettings, {"schedule": "exponential"}),
        (TrainSettings, {"warmup_epochs": -1}),
        (TrainSettings, {"epochs": 3, "warmup_epochs": 4}),
        (TrainSettings, {"schedule": "multistep"}),
        (TrainSettings, {"milestones": [0, 1]}),
        (TrainSettings, {"milestones": [2, 1]}),
        (TrainSettings, {"milestones": [1, 1]}),
        (TrainSettings, {"epochs": 3, "milestones": [3]}),
        (TrainSettings, {"lr_decay": 0}),
        (TrainSettings, {"lr_decay": 1.1}),
        (TrainSettings, {"clip_grad_norm": 0}),
        (TrainSettings, {"precision": "fp16"}),
        (TrainSettings, {"amsgrad": True}),
        (Resources, {"workers": 0}),
        (Resources, {"cpus_per_worker": 0}),
        (Resources, {"workers": 2, "cpus_per_worker": 0.5}),
        (Resources, {"cpus_per_worker": 1.5}),
        (Resources, {"gpus_per_worker": -1}),
        (Resources, {"workers": 2, "gpus_per_worker": 0.5}),
        (Resources, {"gpus_per_worker": 1.5}),
        (Resources, {"gpus_per_worker": 1, "backend": "cuda"}),
        (Resources, {"backend": "triton"}),
        (Resources, {"slots": 0}),
        (Resources, {"slots": "many"}),
        (Tracking, {"uri": ""}),
        (Tracking, {"experiment": 5}),
        (DatasetSpec, {"name": "digits", "val_fraction": 0}),
        (DatasetSpec, {"name": "digits", "val_fraction": 1}),
        (DatasetSpec, {"name": "digits", "num_train": 0}),
        (DatasetSpec, {"name": "digits", "image_size": 0}),
        (DatasetSpec, {"name": "digits", "crop_padding": -1}),
        (DatasetSpec, {"name": "digits", "hflip": 1}),
        (DatasetSpec, {"name": "digits", "folder": "x"}),
        (DatasetSpec, {"name": "image_folder"}),
        (DatasetSpec, {"name": "image_folder", "folder": ""}),
        (DatasetSpec, {"name": "image_folder", "folder": "/x"}),
        (DatasetSpec, {"name": "image_folder", "folder": "a/../../x"}),
        (DatasetSpec, {"name": ["digits"]}),
        (General, {"name": "my sweep"}),
        (General, {"name": ".."}),
        (General, {"name": "x\n"}),
        (General, {"name": "x/y"}),
        (General, {"name": "x" * 101}),
        (General, {"name": "x", "storage": ""}),
        (General, {"name": "x", "data_dir": 5}),
    ],
)
def test_out_of_range_is_refused(model: type[BaseModel], values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(values)
    # The last one given is the one that is wrong.
    assert {error["loc"][0] for error in caught.value.errors()} & {list(values)[-1], "folder", "milestones"}


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (TrainSettings, {"epochs": 1, "warmup_epochs": 1}),
        (TrainSettings, {"momentum": 0, "weight_decay": 0, "lr_decay": 1}),
        (TrainSettings, {"optimizer": "adamw", "momentum": None, "lr": 1}),
        (TrainSettings, {"schedule": "multistep", "epochs": 3, "milestones": [1, 2]}),
        (TrainSettings, {"clip_grad_norm": None}),
        (Resources, {"workers": 2, "cpus_per_worker": 3, "gpus_per_worker": 1, "slots": 4}),
        (Resources, {"gpus_per_worker": 1, "backend": "triton"}),
        (Resources, {"backend": "torch"}),
        (Resources, {"cpus_per_worker": 0.5, "gpus_per_worker": 0.25, "slots": "auto"}),
        (DatasetSpec, {"name": "cifar10", "image_size": 64, "num_train": 1, "hflip": False}),
        (General, {"name": "A-1_b.c"}),
    ],
)
def test_the_edge_of_the_range_is_accepted(model: type[BaseModel], values: dict[str, Any]) -> None:
    kept = model.model_validate(values)
    for name, value in values.items():
        assert getattr(kept, name) == (tuple(value) if isinstance(value, list) else value)


@pytest.mark.parametrize("name", [name for name, info in DATASETS.items() if info.path_option is None])
def test_data_set_options_come_from_the_registry(name: str) -> None:
    spec = DatasetSpec.model_validate({"name": name})
    assert (spec.crop_padding, spec.hflip) == (DATASETS[name].crop_padding, DATASETS[name].hflip)
    assert spec.label == name


def test_data_set_label_shows_what_is_not_usual() -> None:
    spec = DatasetSpec.model_validate({"name": "cifar10", "num_train": 100, "hflip": False, "val_fraction": 0.1})
    assert spec.label == "cifar10(hflip=False, num_train=100)"


@pytest.mark.parametrize("folder", ["a/b", "a//b/", "./a/b"])
def test_one_folder_has_one_spelling(folder: str) -> None:
    spec = DatasetSpec.model_validate({"name": "image_folder", "folder": folder})
    assert spec.folder == "a/b"
    assert spec.label == "image_folder(folder=a/b)"


def test_augmentation_is_built_with_its_values() -> None:
    spec = AugmentSpec(name="zeta_mixup", params={"num_mixed": 4, "gamma": 2.8})
    assert spec.build() == ZetaMixup(gamma=2.8, num_mixed=4)
    assert spec.label == "zeta_mixup(gamma=2.8, num_mixed=4)"
    assert AugmentSpec(name="erm").label == "erm"


def test_equal_augmentations_are_one_key() -> None:
    first = AugmentSpec(name="zeta_mixup", params={"num_mixed": 4, "gamma": 2.8})
    second = AugmentSpec(name="zeta_mixup", params={"gamma": 2.8, "num_mixed": 4})
    assert {first: 1} == {second: 1}


def test_paths_are_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.delenv("ZETASWEEP_DATA", raising=False)
    assert General(name="x").data_dir == tmp_path / "data"
    assert General(name="x").storage == tmp_path / "runs"
    assert General.model_validate({"name": "x", "storage": "a/../b"}).storage == tmp_path / "b"
    assert General.model_validate({"name": "x", "data_dir": "~/d"}).data_dir == Path("/home/somebody/d")


def test_environment_replaces_only_the_default_of_data_dir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZETASWEEP_DATA", "/elsewhere")
    assert General(name="x").data_dir == Path("/elsewhere")
    assert General.model_validate({"name": "x", "data_dir": "here"}).data_dir == tmp_path / "here"
    monkeypatch.setenv("ZETASWEEP_DATA", "")
    assert General(name="x").data_dir == tmp_path / "data"


@pytest.mark.parametrize(
    ("section", "variable", "value", "shown", "remedy"),
    [
        (General, "ZETASWEEP_DATA", "s3://KEY:SECRET@bucket", "s3://***@bucket", "finds them in the environment"),
        (General, "ZETASWEEP_DATA", "http://host/data", "http://host/data", "mount what lies elsewhere"),
        (CacheSettings, "ZETASWEEP_CACHE", "s3://KEY:SECRET@bucket", "s3://***@bucket", "mount what lies elsewhere"),
        (CacheSettings, "ZETASWEEP_CACHE", "~nobody-of-that-name/c", "~nobody-of-that-name/c", "no such user"),
    ],
)
def test_what_is_wrong_with_a_place_of_the_environment_is_said_of_the_variable(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    section: type[General | CacheSettings],
    variable: str,
    value: str,
    shown: str,
    remedy: str,
) -> None:
    """And with what is wrong in the file; pydantic's own error would have the password."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError) as caught:
        section.model_validate({"name": "any"} if section is General else {})
    (problem,) = caught.value.problems
    assert (problem.file, problem.key, problem.value) == ("environment", variable, shown)
    assert remedy in problem.remedy
    file = tmp_path / "x.yaml"
    file.write_text("name: x\ndataset: digits\nmodel: convnet\naugment: erm\nseed: -1\n")
    with pytest.raises(ConfigError) as caught:
        load_experiment(file)
    assert {each.key for each in caught.value.problems} == {variable, "seed"}
    assert "SECRET" not in str(caught.value)


def test_a_place_that_the_file_names_needs_no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZETASWEEP_CACHE", "~/decoded")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert CacheSettings().dir == default_cache_dir() == Path("/home/somebody/decoded")
    monkeypatch.setenv("ZETASWEEP_DATA", "s3://KEY:SECRET@bucket")
    assert General.model_validate({"name": "x", "data_dir": "/here"}).data_dir == Path("/here")


def test_a_resized_crop_takes_the_place_of_the_padded_one() -> None:
    spec = DatasetSpec.model_validate(
        {"name": "cifar10", "image_size": 28, "cache_size": 32, "random_resized_crop": {"scale": (0.5, 1.0)}}
    )
    assert (spec.crop_padding, spec.stored_size, spec.hflip) == (0, 32, True)
    assert spec.label == "cifar10(cache_size=32, image_size=28, random_resized_crop(scale=0.5-1.0))"
    transform = spec.transform()
    assert transform.random_resized_crop is not None
    assert (transform.image_size, transform.random_resized_crop.scale) == (28, (0.5, 1.0))


def test_what_is_off_is_no_part_of_a_key() -> None:
    # A later option that is off must not make finished cells unknown.
    options = DatasetSpec.model_validate({"name": "cifar10"}).model_dump(exclude_none=True)
    assert not options.keys() & {"folder", "file", "cache_size", "random_resized_crop", "color_jitter", "num_train"}
