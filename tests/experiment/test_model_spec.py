"""Models with options, from the file to keys, labels and params."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from torch import nn

from orchestrator.errors import ConfigError
from orchestrator.experiment import Cell, ModelSpec, expand, load_experiment
from orchestrator.models import MODELS

MINIMAL = {"name": "sweep", "dataset": "digits", "augment": "erm"}


class TinyNet(nn.Module):
    """Nothing is built here."""

    def __init__(
        self, *, num_classes: int, num_channels: int, image_size: int, width: int = 8, dropout: float | None = None
    ) -> None:
        raise AssertionError


class Sized(nn.Module):
    """Nor here."""

    def __init__(self, *, num_classes: int, num_channels: int, image_size: int, depth: int) -> None:
        raise AssertionError


@pytest.fixture(autouse=True)
def _models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "tinynet", TinyNet)
    monkeypatch.setitem(MODELS, "sized", Sized)


def cells_of(folder: Path, model: Any, **parts: Any) -> list[Cell]:
    path = folder / "x.yaml"
    path.write_text(yaml.safe_dump(MINIMAL | {"model": model} | parts, sort_keys=False))
    return expand(load_experiment(path))


@pytest.mark.parametrize(
    ("model", "labels"),
    [
        ("convnet", ["convnet"]),
        ({"convnet": {}}, ["convnet"]),
        ({"convnet": None}, ["convnet"]),
        ("tinynet", ["tinynet(width=8)"]),
        ({"tinynet": {"width": [8, 16]}}, ["tinynet(width=8)", "tinynet(width=16)"]),
        (
            ["convnet", {"tinynet": {"width": [4, 8], "dropout": [None, 0.5]}}],
            [
                "convnet",
                "tinynet(width=4)",
                "tinynet(dropout=0.5, width=4)",
                "tinynet(width=8)",
                "tinynet(dropout=0.5, width=8)",
            ],
        ),
        ({"sized": {"depth": 3}}, ["sized(depth=3)"]),
    ],
)
def test_options_and_their_lists_make_models(tmp_path: Path, model: Any, labels: list[str]) -> None:
    assert [cell.model.label for cell in cells_of(tmp_path, model)] == labels


@pytest.mark.parametrize(
    ("model", "key", "value", "words"),
    [
        ({"tinynet": {"wdth": 8}}, "model.tinynet.wdth", "8", "Did you mean width?"),
        ({"convnet": {"width": 8}}, "model.convnet.width", "8", "no options: convnet has none"),
        ({"convnet": {"epochs": [5, 9]}}, "model.convnet.epochs", "[5, 9]", "convnet: {train: {epochs: [5, 9]}}"),
        ({"tinynet": {"width": "8"}}, "model.tinynet.width", "'8'", "an integer, 8 where nothing is said"),
        ([{"tinynet": {"width": [8, 0.5]}}], "model[0].tinynet.width[1]", "0.5", "an integer"),
        ({"tinynet": {"width": []}}, "model.tinynet.width", "[]", "At least one is needed"),
        ({"tinynet": {"width": [8, 8]}}, "model.tinynet.width[1]", "8", "model.tinynet.width[0] = 8"),
        ({"tinynet": {"dropout": [0, 0.0]}}, "model.tinynet.dropout[1]", "0.0", "dropout[0] = 0: remove one"),
        ({"tinynet": 3}, "model.tinynet", "3", "options as a mapping"),
        ("sized", "model.sized.depth", "", "It is missing: add it."),
        (["tinynet", {"tinynet": {"width": 8}}], "model[1]", "{tinynet: {width: 8}}", "model[0] = tinynet"),
        ({"tinynet": {"width": 8}, "convnet": None}, "model", "{tinynet: {width: 8}, convnet: null}", "one name"),
    ],
)
def test_mistake_is_named_with_key_value_and_remedy(
    tmp_path: Path, model: Any, key: str, value: str, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        cells_of(tmp_path, model)
    (problem,) = caught.value.problems
    assert (problem.key, problem.value) == (key, value)
    assert words in str(problem)


def test_the_key_params_and_names_of_a_cell_have_the_options(tmp_path: Path) -> None:
    eight, sixteen = cells_of(tmp_path, {"tinynet": {"width": [8, 16]}})
    assert eight.key != sixteen.key
    assert (eight.params()["model"], eight.params()["model.width"]) == ("tinynet", "8")
    assert eight.label == "digits tinynet(width=8) erm seed=0"
    assert " · tinynet(width=8) · " in eight.setting != sixteen.setting


def test_options_in_another_order_are_the_same_cell(tmp_path: Path) -> None:
    one, other = (
        cells_of(tmp_path, {"tinynet": options})[0]
        for options in ({"width": 4, "dropout": 0.5}, {"dropout": 0.5, "width": 4})
    )
    assert (one, one.key, hash(one.model)) == (other, other.key, hash(other.model))


@pytest.mark.parametrize("options", [{}, {"width": 8}, {"width": 8, "dropout": 0.5, "bias": False, "head": "mean"}])
def test_a_spec_survives_every_way_it_travels(options: dict[str, Any]) -> None:
    spec = ModelSpec(name="tinynet", options=options)
    for back in (ModelSpec.model_validate(spec.model_dump()), ModelSpec.model_validate_json(spec.model_dump_json())):
        assert back == spec
        assert {name: type(value) for name, value in back.options.items()} == {
            name: type(value) for name, value in options.items()
        }


def test_a_name_alone_is_written_and_read_as_a_name() -> None:
    assert ModelSpec(name="convnet").model_dump() == "convnet"
    assert ModelSpec.model_validate("convnet") == ModelSpec(name="convnet")
