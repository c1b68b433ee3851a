"""timm's models and weights: found in the cache of the Hugging Face hub, and loaded as timm itself does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from orchestrator.errors import ConfigError, DataError, UserError
from orchestrator.experiment import Cell, expand, load_experiment
from orchestrator.models import build_model, is_model
from orchestrator.models import names as model_names_file
from orchestrator.models.heads import head_of
from orchestrator.models.pretrained import Images, pretrained_network
from orchestrator.models.weights import fetch_weights, source_of, weight_names, weights_of_file

REASON = "timm is not installed: pip install 'zetasweep[timm]'"
# A vision transformer of 0.4 million parameters, made for tests: with positions for images of 160 px.
VIT, TAG = "timm/test_vit", "r160_in1k"


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights of `VIT`, made here, where the Hugging Face hub keeps what was fetched; nothing is fetched."""
    timm = pytest.importorskip("timm", reason=REASON)
    from huggingface_hub import constants
    from safetensors.torch import save_file

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    repository = tmp_path / f"models--timm--test_vit.{TAG}"
    for folder in ("refs", "snapshots/1"):
        (repository / folder).mkdir(parents=True)
    (repository / "refs" / "main").write_text("1")
    file = repository / "snapshots" / "1" / "model.safetensors"
    torch.manual_seed(3)
    save_file(timm.create_model("test_vit").state_dict(), file)
    return file


def test_weights_load_as_timms_own(cached: Path) -> None:
    import timm

    source = source_of(VIT, TAG)
    assert source.file == cached
    assert (source.mean, source.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    network, fit = pretrained_network(VIT, {}, source, cached, Images(7, 3, 96))
    theirs = timm.create_model(f"test_vit.{TAG}", pretrained=True, num_classes=7, img_size=96)
    own = network.state_dict()
    assert head_of(network) == {"head.weight", "head.bias"}
    assert all(torch.equal(own[name], value) for name, value in theirs.state_dict().items() if "head." not in name)
    assert fit.in_words == "78 of 80 tensors taken; its head head is new (1000 classes there, 7 here)"
    assert network(torch.rand(2, 3, 96, 96)).shape == (2, 7)


@pytest.mark.parametrize("model", [VIT, "timm/test_vit2"])  # with and without a position for the class token
@pytest.mark.parametrize("image_size", [96, 160, 224])
def test_positions_in_a_file_are_interpolated_as_timm_does(model: str, image_size: int, tmp_path: Path) -> None:
    timm = pytest.importorskip("timm", reason=REASON)
    torch.manual_seed(4)
    state = timm.create_model(model.removeprefix("timm/")).state_dict()
    torch.save(state, tmp_path / "mine.pt")
    source = source_of(model, weights_of_file(tmp_path / "mine.pt"))
    network, fit = pretrained_network(model, {}, source, tmp_path / "mine.pt", Images(1000, 3, image_size))
    theirs = timm.create_model(
        model.removeprefix("timm/"), pretrained=True, pretrained_cfg_overlay={"state_dict": state}, img_size=image_size
    )
    assert all(torch.equal(network.state_dict()[name], value) for name, value in theirs.state_dict().items())
    assert fit.in_words.endswith("its head head is taken, too")


def test_weights_that_are_not_there_say_where_they_are_expected(cached: Path, tmp_path: Path) -> None:
    cached.unlink()
    source = source_of(VIT, TAG)
    assert (source.file, source.place) == (None, tmp_path / f"models--timm--test_vit.{TAG}")
    with pytest.raises(DataError, match="the download of r160_in1k of timm/test_vit failed") as failed:
        fetch_weights(source)
    assert f"hf download timm/test_vit.{TAG} model.safetensors" in failed.value.remedy


def test_weights_of_another_network_are_refused(cached: Path) -> None:
    torch.save({"more": torch.ones(1)}, cached.with_suffix(".pt"))
    with pytest.raises(UserError, match=rf"these are not the weights {TAG} of {VIT}"):
        pretrained_network(VIT, {}, source_of(VIT, TAG), cached.with_suffix(".pt"), Images(7, 3, 160))


@pytest.mark.parametrize("num_channels", [1, 3])
def test_timms_models_are_built_by_name(num_channels: int) -> None:
    pytest.importorskip("timm", reason=REASON)
    assert is_model("timm/test_resnet")
    assert not is_model("timm/test_resnot")
    assert weight_names("timm/test_resnet") == ("r160_in1k",)
    network = build_model("timm/test_resnet", num_classes=5, num_channels=num_channels, image_size=40)
    assert network(torch.rand(2, num_channels, 40, 40)).shape == (2, 5)
    with pytest.raises(ValueError, match=r"image_size=41 is not allowed: a size that timm/test_vit takes .*160 px"):
        build_model("timm/test_vit", num_classes=5, num_channels=3, image_size=41)


def test_without_timm_its_names_are_refused_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "timm", None)
    monkeypatch.setattr("orchestrator.models.registry.is_installed", lambda: False)
    assert not is_model("timm/test_resnet")
    with pytest.raises(UserError, match=r"pip install 'zetasweep\[timm\]'"):
        weight_names("timm/test_resnet")
    assert model_names_file.split_tag("timm/a.b") == ("timm/a", "b")
    assert model_names_file.split_tag("a.b") == ("a.b", None)


def test_its_names_have_weights_behind_a_dot(tmp_path: Path) -> None:
    pytest.importorskip("timm", reason=REASON)

    def cell_of(model: str) -> Cell:
        (tmp_path / "x.yaml").write_text(f"name: x\ndataset: digits\naugment: erm\nmodel: {model}\n")
        (only,) = expand(load_experiment(tmp_path / "x.yaml"))
        return only

    assert cell_of("timm/test_vit.r160_in1k").key == cell_of("{timm/test_vit: {weights: r160_in1k}}").key
    assert cell_of("timm/test_vit").model.weights is None
    for model, sentence in (
        ("{timm/test_vit.r160_in1k: {weights: null}}", "write timm/test_vit, or remove weights"),
        ("timm/test_vit.r160_in2k", "Did you mean r160_in1k?"),
        ("timm/test_vitt", "Did you mean timm/test_vit?"),
    ):
        with pytest.raises(ConfigError) as refused:
            cell_of(model)
        assert sentence in str(refused.value), refused.value
