"""``zetasweep list``: everything there is, with what can be said of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from commands import Call

from augment import AUGMENTATIONS, parameters
from orchestrator import guide
from orchestrator.cli.list import KINDS
from orchestrator.data import DATASETS
from orchestrator.experiment import DatasetSpec, options_beside
from orchestrator.metric_names import METRICS
from orchestrator.models import MODELS, model_names, timm_names


def listed(call: Call, kind: str, *options: str) -> dict[str, dict[str, Any]]:
    answer = call("list", kind, "--format", "json", *options)
    assert answer.code == 0, answer.err
    return {item["name"]: item for item in json.loads(answer.out)}


def test_everything_of_the_registries_is_listed(call: Call) -> None:
    assert tuple(guide.KINDS) == KINDS
    assert tuple(listed(call, "models")) == (*model_names(), *timm_names())
    assert listed(call, "augmentations").keys() == AUGMENTATIONS.keys()
    assert listed(call, "datasets").keys() == DATASETS.keys()
    assert listed(call, "metrics").keys() >= METRICS.keys()


def test_options_have_defaults_and_ranges(call: Call) -> None:
    for name, item in listed(call, "augmentations").items():
        names = [*parameters(AUGMENTATIONS[name]), *options_beside(name)]
        assert [option["name"] for option in item["options"]] == names
        assert all(option["allowed"] and option["what"] for option in item["options"])
    cifar = listed(call, "datasets", "--filter", "cifar10")["cifar10"]
    assert cifar["classes"] == "10"
    assert [option["name"] for option in cifar["options"]] == DatasetSpec.options_of("cifar10")
    assert {option["name"]: option["default"] for option in cifar["options"]}["crop_padding"] == 4
    folder = listed(call, "datasets", "--filter", "image_folder")["image_folder"]
    assert [option["name"] for option in folder["options"] if option["required"]] == ["folder"]


def test_lines_say_each_option_once(call: Call) -> None:
    answer = call("list", "datasets")
    assert answer.code == 0, answer.err
    assert "cifar100" in answer.out
    assert answer.out.count("  crop_padding: ") == 1
    assert "options of medmnist_npz:\n  file: " in answer.out
    assert "(required)" in answer.out
    assert "gamma: " in call("list", "augmentations").out
    models = call("list", "models").out
    assert all(f"\n{name} " in models for name in MODELS)
    assert "IMAGENET1K_V1" in models
    assert "\n  weights: " in models
    assert "of timm: --filter timm/" in models
    assert "timm/convnext_atto" not in models


@pytest.mark.parametrize(("arguments", "said"), [(["model"], "'models'"), (["models", "--filter", "xyz"], "xyz")])
def test_what_is_not_there_is_said(call: Call, arguments: list[str], said: str) -> None:
    answer = call("list", *arguments)
    assert answer.code == 2
    assert said in answer.err
