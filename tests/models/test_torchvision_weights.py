"""torchvision's published weights: where torch.hub keeps them, fetched and loaded as torchvision itself does.

The files are small, made here, and stand under a name with their own hash: what is published cannot be had in a test.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from torchvision.models import ShuffleNet_V2_X0_5_Weights, get_model

from orchestrator.errors import DataError, UserError
from orchestrator.models import build_model
from orchestrator.models.pretrained import Images, pretrained_network
from orchestrator.models.weights import fetch_weights, source_of, weight_names

NAME = "shufflenet_v2_x0_5"
WEIGHTS = ShuffleNet_V2_X0_5_Weights.IMAGENET1K_V1


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of weights for 1,000 classes, published at an address of this machine."""
    torch.manual_seed(7)
    file = tmp_path / "weights.pth"
    torch.save(build_model(NAME, num_classes=1000, num_channels=3, image_size=64).state_dict(), file)
    file = file.rename(tmp_path / f"shuffle-{hashlib.sha256(file.read_bytes()).hexdigest()[:8]}.pth")
    monkeypatch.setattr(WEIGHTS.value, "url", file.as_uri())
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    return file


def test_names_are_torchvisions() -> None:
    assert weight_names("resnet50") == ("IMAGENET1K_V1", "IMAGENET1K_V2", "DEFAULT")
    assert weight_names("convnet") == ()
    assert source_of("resnet50", "DEFAULT").name == "IMAGENET1K_V2"
    with pytest.raises(ValueError, match="known are IMAGENET1K_V1, IMAGENET1K_V2, DEFAULT"):
        source_of("resnet50", "IMAGENET")


def test_weights_are_fetched_to_where_torch_hub_looks_and_load_as_torchvisions_own(
    published: Path, tmp_path: Path
) -> None:
    missing = source_of(NAME, WEIGHTS.name)
    assert (missing.file, missing.place) == (None, tmp_path / "home" / "hub" / "checkpoints" / published.name)
    fetch_weights(missing)
    found = source_of(NAME, WEIGHTS.name)
    assert found.file == missing.place
    published.unlink()
    fetch_weights(found)  # nothing to do

    network, fit = pretrained_network(NAME, {}, found, missing.place, Images(1000, 3, 64))
    theirs, images = get_model(NAME, weights=WEIGHTS), torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(network.eval()(images), theirs.eval()(images), rtol=0, atol=0)
    assert fit.in_words == "338 of 338 tensors taken; its head fc is taken, too"
    assert (found.mean, found.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_a_download_that_fails_says_what_to_do_by_hand(published: Path) -> None:
    published.unlink()
    with pytest.raises(DataError, match="the download of IMAGENET1K_V1 of shufflenet_v2_x0_5 failed") as failed:
        fetch_weights(source_of(NAME, WEIGHTS.name))
    assert f"curl -O {published.as_uri()}" in failed.value.remedy


@pytest.mark.usefixtures("published")
def test_another_file_under_the_name_is_refused() -> None:
    source = source_of(NAME, WEIGHTS.name)
    fetch_weights(source)
    assert source.place is not None
    torch.save({}, source.place)
    with pytest.raises(UserError, match="these are not the weights IMAGENET1K_V1 of shufflenet_v2_x0_5"):
        pretrained_network(NAME, {}, source, source.place, Images(10, 3, 64))


@pytest.mark.usefixtures("published")
def test_small_images_are_warned_of() -> None:
    source = source_of(NAME, WEIGHTS.name)
    fetch_weights(source)
    assert source.place is not None
    _, fit = pretrained_network(NAME, {}, source, source.place, Images(10, 1, 32))
    assert fit.warning.startswith("images of 32 px are small for it: its weights were made for larger ones")
