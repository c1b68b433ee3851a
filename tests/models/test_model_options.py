"""The options of a model: the typed keyword arguments of its builder."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest
from pydantic import Field
from torch import nn

from augment import ParameterError
from orchestrator.experiment import expand, load_experiment
from orchestrator.models import MODELS, ModelOption, build_model, model_options, read_options

if TYPE_CHECKING:
    from pathlib import Path as Unknown


class TinyNet(nn.Module):
    """A class is a builder, too; its options have all kinds of types."""

    def __init__(
        self,
        *,
        num_classes: int,
        num_channels: int,
        image_size: int,
        width: Annotated[int, Field(ge=1)] = 8,
        dropout: float | None = None,
        head: Literal["linear", "mean"] = "linear",
        bias: bool = True,
        stages: tuple[int, ...] = (1, 2),
        **_: Any,
    ) -> None:
        super().__init__()
        self.width, self.bias = width, bias


class Needy(nn.Module):
    """It needs an option."""

    def __init__(self, num_classes: int, num_channels: int, image_size: int, depth: int, scale: float = 1.0) -> None:
        super().__init__()
        self.depth, self.scale = depth, scale


@pytest.fixture(autouse=True)
def _models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "tinynet", TinyNet)
    monkeypatch.setitem(MODELS, "needy", Needy)


def build(name: str, **options: Any) -> Any:
    return build_model(name, num_classes=3, num_channels=1, image_size=8, **options)


def test_options_are_the_keyword_arguments_that_a_file_can_say() -> None:
    assert list(model_options("tinynet")) == ["width", "dropout", "head", "bias"]
    assert list(model_options("needy")) == ["depth", "scale"]
    assert model_options("convnet") == model_options("mobilenet_v3_small") == {}


def test_they_reach_the_builder() -> None:
    assert build("tinynet").width == 8
    tinynet = build("tinynet", width=3, bias=False)
    assert (tinynet.width, tinynet.bias) == (3, False)
    needy = build("needy", depth=2, scale=3)
    assert (needy.depth, needy.scale, type(needy.scale)) == (2, 3.0, float)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("tinynet", {"width": 0}, "an integer, 8 where nothing is said (input should be greater than or equal to 1)"),
        ("tinynet", {"width": True}, "an integer"),
        ("tinynet", {"width": "8"}, "an integer"),
        ("tinynet", {"width": 8.0}, "an integer"),
        ("tinynet", {"width": None}, "an integer"),
        ("tinynet", {"width": [8]}, "an integer"),
        ("tinynet", {"dropout": math.nan}, "a number or null, null where nothing is said"),
        ("tinynet", {"head": "max"}, "linear or mean, linear where nothing is said"),
        ("tinynet", {"bias": 1}, "true or false, true where nothing is said"),
        ("tinynet", {"stages": (1,)}, "the options of tinynet (width: an integer, 8 where nothing is said; dropout:"),
        ("tinynet", {"wdth": 8}, "Did you mean width?"),
        ("convnet", {"width": 8}, "no options: convnet has none"),
        ("needy", {}, "a value: an integer"),
    ],
)
def test_what_is_no_option_or_no_value_of_one_is_refused(name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ParameterError) as caught:
        build(name, **options)
    assert words in str(caught.value)


class Untyped(nn.Module):
    """Annotated, if at all, with a name that only type checkers know."""

    def __init__(self, num_classes: int, num_channels: int, image_size: int, width=8, other: Unknown | None = None):  # type: ignore[no-untyped-def]
        super().__init__()


@pytest.mark.parametrize(
    ("builder", "names"),
    [
        (Untyped, ["width", "other"]),
        (partial(TinyNet, width=4), ["width", "dropout", "head", "bias"]),
    ],
)
def test_builders_of_other_kinds_have_options_too(builder: Callable[..., Any], names: list[str]) -> None:
    options = read_options(builder)
    assert list(options) == names
    assert options["width"].check(16) == 16


def test_a_default_is_what_it_is_where_it_is_written_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def build(*, num_classes: int, num_channels: int, image_size: int, dropout: float = 0) -> nn.Module:
        return Needy(num_classes, num_channels, image_size, 1, dropout)

    monkeypatch.setitem(MODELS, "flt", build)
    file = tmp_path / "exp.yaml"
    keys = set()
    for model in ("flt", "{flt: {dropout: 0}}", "{flt: {dropout: 0.0}}"):
        file.write_text(f"{{name: x, dataset: digits, augment: erm, model: {model}}}")
        keys |= {cell.key for cell in expand(load_experiment(file))}
    assert len(keys) == 1
    assert ModelOption("width", int, None).usual is None  # what its annotation does not allow
    assert isinstance(build_model("flt", num_classes=2, num_channels=1, image_size=8).scale, float)
