"""The reference is made from the code, and is current; the schema says of a file what reading it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from commands import ROOT

from augment import AUGMENTATIONS, parameters
from orchestrator import exit_codes
from orchestrator.cli.outcomes import OF_OUTCOME
from orchestrator.data import DATASETS
from orchestrator.environment import SETTINGS, VARIABLES
from orchestrator.errors import ConfigError
from orchestrator.experiment.dataset_spec import DatasetSpec, written
from orchestrator.experiment.load import load_experiment
from orchestrator.experiment.settings import General
from orchestrator.metric_names import METRICS
from orchestrator.records import Outcome
from orchestrator.tracking import names
from tools.reference.commands import contexts
from tools.reference.pages import make_pages
from tools.reference.schema import experiment_schema
from tools.reference.yaml_keys import SECTIONS, SWEPT

FOLDER = ROOT / "docs" / "reference"
EXPERIMENTS = sorted((ROOT / "experiments").glob("*.yaml"))
SCHEMA = experiment_schema()


def headings(name: str) -> set[str]:
    return set(re.findall(r"^#+ `(.+)`$", (FOLDER / name).read_text(), re.MULTILINE))


def listed(name: str) -> set[str]:
    return set(re.findall(r"^(?:- |\| )`([^`]+)`", (FOLDER / name).read_text(), re.MULTILINE))


def test_every_page_is_current() -> None:
    pages = make_pages()
    assert {path.name for path in FOLDER.iterdir()} == pages.keys()
    for name, text in pages.items():
        assert (FOLDER / name).read_text() == text, "make reference"


def test_every_key_is_there() -> None:
    keys = {*General.model_fields, *SWEPT}
    keys |= {f"{section}.{name}" for section, model in SECTIONS.items() for name in model.model_fields}
    keys |= {f"dataset.NAME.{written(name)}" for name in DatasetSpec.model_fields if name != "name"}
    keys |= {f"augment.{name}" for name in AUGMENTATIONS}
    keys |= {f"augment.{name}.{parameter}" for name, make in AUGMENTATIONS.items() for parameter in parameters(make)}
    assert keys <= headings("yaml.md")
    assert DATASETS.keys() <= listed("yaml.md")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("train.lr", "in the key"),
        ("train.precision", "in the key"),
        ("dataset.NAME.color_jitter.hue", "in the key"),
        ("dataset.NAME.splits.val", "in the key"),
        ("dataset.NAME.fold", "in the key"),
        ("dataset.NAME.name", "not in the key"),
        ("resources.workers", "in the key"),
        ("resources.gpus_per_worker", "in the key with `train.precision: auto` alone"),
        ("resources.slots", "not in the key"),
        ("storage", "not in the key"),
        ("cache.limit_gib", "not in the key"),
    ],
)
def test_a_key_says_whether_it_makes_another_cell(key: str, expected: str) -> None:
    text = (FOLDER / "yaml.md").read_text()
    entry = " ".join(text.split(f"### `{key}`\n")[1].split("\n#")[0].split())
    assert f", {expected}. Allowed: " in entry


def test_every_command_and_flag_is_there() -> None:
    text = (FOLDER / "commands.md").read_text()
    sections = {section.split("`")[0]: section for section in text.split("\n## `")[1:]}
    for context in contexts():
        section = sections[context.command_path]
        for parameter in context.command.get_params(context):
            spellings = parameter.opts if isinstance(parameter, click.Option) else [parameter.make_metavar(context)]
            assert [name for name in spellings if name not in section] == []
    assert {"zetasweep", "zetasweep run", "zetasweep data check"} <= sections.keys()


def test_every_metric_tag_code_and_variable_is_there() -> None:
    assert METRICS.keys() <= listed("metrics.md")
    tables = (names.SWEEP_TAGS, names.CELL_TAGS, names.EPOCH_METRICS, names.FINAL_METRICS, names.CELL_ARTIFACTS)
    tables += (names.LINK_TAGS, names.ANSWER_METRICS, names.SWEEP_ARTIFACTS, names.EXPERIMENT_TAGS)
    assert {name for table in tables for name in table} <= listed("mlflow.md")
    codes = {value for name, value in vars(exit_codes).items() if name.isupper() and isinstance(value, int)}
    assert codes == exit_codes.MEANINGS.keys()
    assert OF_OUTCOME.keys() == set(Outcome)
    assert {str(code) for code in codes} <= set(
        re.findall(r"^\| (\d+) ", (FOLDER / "exit-codes.md").read_text(), re.MULTILINE)
    )
    assert {entry.name for entry in (*SETTINGS, *VARIABLES)} <= listed("environment.md")


# The schema


def valid(data: Any) -> bool:
    return bool(jsonschema.Draft7Validator(SCHEMA).is_valid(data))


def test_the_schema_is_one() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.name)
def test_every_experiment_is_valid_and_names_the_schema(path: Path) -> None:
    jsonschema.validate(yaml.safe_load(path.read_text()), SCHEMA)
    line = re.search(r"^# yaml-language-server: \$schema=(\S+)$", path.read_text(), re.MULTILINE)
    assert line is not None
    assert (path.parent / line[1]).resolve() == FOLDER / "experiment.schema.json"


SMALL = {"name": "small", "dataset": "digits", "model": "convnet", "augment": "erm"}


def is_read(data: dict[str, Any], folder: Path) -> bool:
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(data))
    try:
        load_experiment(path)
    except ConfigError:
        return False
    return True


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"seed": [0, 2**32 - 1]},
        {"dataset": ["digits", {"cifar10": None}, {"image_folder": {"folder": "mine", "image_size": 32}}]},
        {"dataset": {"cifar10": {"random_resized_crop": {"scale": [0.5, 1]}, "color_jitter": {"hue": 0.1}}}},
        {"augment": {"zeta_mixup": {"gamma": [2.0, 2.8], "num_mixed": [4, "batch"]}}},
        {"augment": ["erm", "mixup", {"mixup": {"alpha": 0.2}}]},
        {"augment": {"cutmix_zeta_mixup": {"gamma": 2, "num_mixed": "batch", "cutmix_prob": 0.25}}},
        {"train": None, "resources": {"slots": 3}, "tracking": {"uri": None}},
        {"train": {"schedule": "multistep", "milestones": [1, 2], "momentum": 0}},
        {"train": {"optimizer": "adamw", "momentum": 0, "nesterov": True, "betas": [0.9, 0], "mixing_off_epochs": 4}},
        {"train": {"optimizer": "adamw", "momentum": None}, "resources": {"gpus_per_worker": 1, "backend": "triton"}},
        {"resources": {"workers": 2, "cpus_per_worker": 2.0}, "storage": "../runs", "data_dir": "~/data"},
        {"tracking": {"uri": "sqlite:////srv/x.db"}},
        {"tracking": {"uri": "http://127.0.0.1:5000"}},
        {"dataset": {"image_folder": {"folder": "a/b..c", "csv": "labels.csv", "columns": {"image": "file"}}}},
        {"dataset": {"digits": {"folds": 5, "fold": [0, 1]}}},
        {"train": {"lr": [0.05, 0.1], "clip_grad_norm": [None, 1.0], "warmup_epochs": [0, 1]}, "max_cells": 8},
        {"train": {"optimizer": ["sgd", "adamw"], "momentum": [0.8, 0.9]}},
        {"train": {"schedule": ["cosine", "multistep"], "milestones": [[1], [1, 2]]}},
        {"train": {"schedule": "multistep"}, "model": [{"convnet": {"train": {"milestones": [1]}}}]},
        {"train": {"momentum": None}, "augment": {"mixup": {"train": {"optimizer": "adamw"}}}},
        {"dataset": {"digits": {"train": {"epochs": [1, 2]}}}, "model": {"convnet": {"train": None}}},
        {"search": {}},
        {
            "search": {"race": "ladder", "keep": "erm", "budget": {"device_hours": 2.5}},
            "seed": [0, 1],
            "augment": ["erm", {"mixup": {"alpha": [0.5, 1.0]}}],
        },
        {"search": {"race": [{"seeds": 2, "epochs": 5, "keep": 1}], "confirm": {"against": ["erm"]}}, "seed": [0, 1]},
        {"train": {"lr": {"loguniform": [0.02, 0.5]}}, "search": {"sampler": "qmc", "num_samples": 4, "seed": 1}},
        {
            "train": {"momentum": {"uniform": [0.5, 0.9]}, "warmup_epochs": {"randint": [0, 3]}},
            "augment": {"zeta_mixup": {"gamma": {"uniform": [2, 4]}, "num_mixed": {"lograndint": [2, 9]}}},
            "search": {"sampler": "optuna", "num_samples": 4, "batch": 2, "warm_start": True},
        },
        {
            "augment": {"mixup": {"probability": {"uniform": [0.1, 0.9]}, "train": {"lr": {"uniform": [0.1, 1]}}}},
            "search": {"sampler": "random", "num_samples": 4},
        },
    ],
    ids=str,
)
def test_what_can_be_read_is_valid(change: dict[str, Any], tmp_path: Path) -> None:
    assert is_read(SMALL | change, tmp_path)
    assert valid(SMALL | change)


@pytest.mark.parametrize(
    "change",
    [
        {"nmae": "small"},
        {"name": "no spaces"},
        {"seed": -1},
        {"seed": 2**32},
        {"seed": []},
        {"seed": "0"},
        {"dataset": "digit"},
        {"dataset": "image_folder"},
        {"dataset": {"digits": {"folder": "mine"}}},
        {"dataset": {"digits": {"hflip": "yes"}}},
        {"dataset": {"digits": {"random_resized_crop": {"scale": [0.5]}}}},
        {"dataset": {"digits": None, "mnist": None}},
        {"model": 18},
        {"augment": "zeta_mixup"},
        {"augment": {"zeta_mixup": {"gamma": 2.8}}},
        {"augment": {"mixup": {"alpha": 0}}},
        {"augment": {"mixup": {"beta": 1.0}}},
        {"augment": {"zeta_mixup": {"gamma": 2.8, "num_mixed": 1}}},
        {"augment": {"cutmix_zeta_mixup": {"gamma": 2, "num_mixed": 2, "cutmix_prob": 1}}},
        {"train": {"lr": "fast"}},
        {"train": {"epochs": 0}},
        {"train": {"optimizer": "adamv"}},
        {"train": {"momentum": 0, "nesterov": True}},
        {"train": {"optimizer": "lion", "betas": [0.9]}},
        {"train": {"optimizer": "rmsprop", "momentum": None}},
        {"resources": {"slots": 0}},
        {"cache": {"limit_gib": 0}},
        {"train": {"momentum": None}},
        {"train": {"schedule": "multistep"}},
        {"train": {"epochs": 9, "milestones": [1, 1]}},
        {"train": {"lr": []}},
        {"train": {"lr": [0.1, 0]}},
        {"train": {"optimizer": ["sgd", "adamw"], "momentum": None}},
        {"train": {"schedule": ["cosine", "multistep"]}},
        {"model": {"convnet": {"train": {"epohs": 1}}}},
        {"augment": {"mixup": {"train": {"milestones": [2, 2]}}}},
        {"model": {"convnet": None, "resnet18": None}},
        {"resources": {"workers": 2, "cpus_per_worker": 0.5}},
        {"resources": {"cpus_per_worker": 1.5}},
        {"resources": {"backend": "triton"}},
        {"storage": "hdfs://name/x"},
        {"storage": "s3://key:secret@bucket/x"},
        {"data_dir": "a\nb"},
        {"tracking": {"uri": "sqlite:///x.db"}},
        {"tracking": {"uri": "http://me:secret@host"}},
        {"tracking": {"experiment": "  "}},
        {"model": "ResNet 18"},
        {"dataset": {"image_folder": {"folder": None}}},
        {"dataset": {"image_folder": {"folder": "../x"}}},
        {"dataset": {"image_folder": {"folder": "x", "columns": {"image": "file"}}}},
        {"dataset": {"digits": {"fold": 1}}},
        {"dataset": {"digits": {"crop_padding": 2, "random_resized_crop": {}}}},
        {"tracking": {"url": "http://127.0.0.1:5000"}},
        {"search": {"sampler": "random"}},
        {"search": {"num_samples": 2}},
        {"search": {"sampler": "random", "num_samples": 1, "batch": 1}, "train": {"lr": {"uniform": [0.1, 1]}}},
        {"search": {"race": []}},
        {"search": {"budget": {"epochs": 200, "device_hours": 1}}},
        {"search": {"metric": "test/error"}},
        {"search": {"confirm": {"seeds": [0, 1]}}},
        {"search": {"sampler": "random", "num_samples": 2}, "train": {"warmup_epochs": {"uniform": [0, 2]}}},
        {"search": {"sampler": "random", "num_samples": 2}, "train": {"lr": {"uniform": [0.1]}}},
        {
            "search": {"sampler": "random", "num_samples": 2},
            "model": {"convnet": {"train": {"lr": {"normal": [0, 1]}}}},
        },
    ],
    ids=str,
)
def test_what_cannot_be_read_is_not_valid(change: dict[str, Any], tmp_path: Path) -> None:
    assert not is_read(SMALL | change, tmp_path)
    assert not valid(SMALL | change)


@pytest.mark.parametrize("key", SMALL)
def test_what_is_required_is_missed(key: str, tmp_path: Path) -> None:
    rest = {name: value for name, value in SMALL.items() if name != key}
    assert not is_read(rest, tmp_path)
    assert not valid(rest)
