"""Networks that begin with weights of before: what they take, how they are built, and what does not fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from orchestrator.errors import UserError
from orchestrator.models import build_model
from orchestrator.models.fit import fit_of
from orchestrator.models.heads import freeze_backbone, head_of, training_mode
from orchestrator.models.pretrained import Images, pretrained_network, rebuilt_network
from orchestrator.models.torchvision_weights import adapted
from orchestrator.models.weights import source_of, weights_of_file

SMALL = "shufflenet_v2_x0_5"


def load(name: str, state: dict[str, Tensor], images: Images, folder: Path) -> tuple[nn.Module, str, str]:
    file = folder / "weights.pt"
    torch.save(state, file)
    network, fit = pretrained_network(name, {}, source_of(name, weights_of_file(file)), file, images)
    return network, fit.in_words, fit.warning


def state_of(name: str, *, num_classes: int = 10, num_channels: int = 3, image_size: int = 64) -> dict[str, Tensor]:
    network = build_model(name, num_classes=num_classes, num_channels=num_channels, image_size=image_size)
    return network.state_dict()


def test_all_but_the_head_is_taken_where_the_classes_differ(tmp_path: Path) -> None:
    state = state_of(SMALL)
    network, said, warning = load(SMALL, state, Images(3, 3, 64), tmp_path)
    own = network.state_dict()
    assert said == "336 of 338 tensors taken; its head fc is new (10 classes there, 3 here)"
    assert warning == ""
    assert own["fc.weight"].shape == (3, 1024)
    assert all(torch.equal(own[name], value) for name, value in state.items() if not name.startswith("fc."))
    assert network.training


def test_the_head_is_taken_where_the_classes_are_as_many(tmp_path: Path) -> None:
    state = state_of(SMALL)
    network, said, _ = load(SMALL, state, Images(10, 3, 64), tmp_path)
    assert said == "338 of 338 tensors taken; its head fc is taken, too"
    assert torch.equal(network.state_dict()["fc.weight"], state["fc.weight"])


def test_weights_without_a_head_are_weights(tmp_path: Path) -> None:
    state = {name: value for name, value in state_of(SMALL).items() if not name.startswith("fc.")}
    _, said, _ = load(SMALL, state, Images(10, 3, 64), tmp_path)
    assert said == "336 of 338 tensors taken; its head fc is new (there is none in the file)"


@pytest.mark.parametrize(
    ("num_channels", "trained_at", "used_at", "kernel", "warns"),
    [(1, 224, 32, (7, 7), True), (3, 224, 224, (7, 7), False), (3, 32, 224, (3, 3), False)],
)
def test_the_stem_is_that_of_the_weights(
    num_channels: int, trained_at: int, used_at: int, kernel: tuple[int, int], warns: bool, tmp_path: Path
) -> None:
    state = state_of("resnet18", image_size=trained_at)
    network, said, warning = load("resnet18", state, Images(10, num_channels, used_at), tmp_path)
    inner = network if num_channels == 3 else network.get_submodule("1")
    convolution = inner.get_submodule("conv1")
    assert isinstance(convolution, nn.Conv2d)
    assert convolution.kernel_size == kernel
    assert torch.equal(convolution.weight, state["conv1.weight"])
    assert isinstance(inner.get_submodule("maxpool"), nn.MaxPool2d if kernel == (7, 7) else nn.Identity)
    assert ("images of 32 px are small for it: its stem stays" in warning) == warns
    assert ("the one channel of the images is repeated" in said) == (num_channels == 1)
    rebuilt = rebuilt_network("resnet18", {}, "sha256:", network.state_dict(), Images(10, num_channels, used_at))
    rebuilt.load_state_dict(network.state_dict())
    images = torch.rand(2, num_channels, 32, 32)
    torch.testing.assert_close(rebuilt.eval()(images), network.eval()(images))


def test_weights_of_grey_images_take_grey_images(tmp_path: Path) -> None:
    state = state_of("convnet", num_channels=1, image_size=8)
    network, said, _ = load("convnet", state, Images(10, 1, 8), tmp_path)
    assert "repeated" not in said
    assert network.state_dict().keys() == state.keys()
    with pytest.raises(UserError, match=r"1 tensor have other shapes|0.weight: \[32, 1, 3, 3\] there, \[32, 3, 3, 3\]"):
        load("convnet", state, Images(10, 3, 8), tmp_path)


def test_a_network_of_torchvision_for_grey_images_begins_with_one_for_colours(tmp_path: Path) -> None:
    grey = state_of(SMALL, num_channels=1)
    assert all(name.startswith("1.") for name in grey)
    for num_channels in (1, 3):
        _, said, _ = load(SMALL, grey, Images(10, num_channels, 64), tmp_path)
        assert said.startswith("338 of 338 tensors taken")


def test_weights_of_another_network_are_refused_with_what_does_not_fit(tmp_path: Path) -> None:
    more = state_of(SMALL) | {"more": torch.ones(3)}
    with pytest.raises(UserError, match=rf"weights of {SMALL}: 1 tensor of the file it does not have \(more \[3\]\)"):
        load(SMALL, more, Images(10, 3, 64), tmp_path)
    with pytest.raises(UserError) as refused:
        load("resnet18", state_of(SMALL), Images(10, 3, 64), tmp_path)
    said = str(refused.value)
    assert "100 of its 122 tensors are missing (conv1.weight [64, 3, 7, 7], bn1.weight [64]" in said
    assert "336 tensors of the file it does not have (conv1.0.weight [24, 3, 3, 3]" in said
    wider = {name: torch.cat([value, value]) if value.dim() else value for name, value in state_of(SMALL).items()}
    with pytest.raises(
        UserError, match=r"have other shapes \(conv1.0.weight: \[48, 3, 3, 3\] there, \[24, 3, 3, 3\] here"
    ):
        load(SMALL, wider, Images(10, 3, 64), tmp_path)


def test_bytes_that_are_others_than_the_keys_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    torch.save(state_of(SMALL), file)
    source = source_of(SMALL, weights_of_file(file))
    torch.save(state_of(SMALL), file)
    with pytest.raises(UserError, match="the SHA-256 of the file begins with"):
        pretrained_network(SMALL, {}, source, file, Images(10, 3, 64))


def test_a_file_of_a_network_that_may_normalise_its_images_anew_is_warned_of(tmp_path: Path) -> None:
    images = Images(10, 3, 96)
    network, _, warning = load("googlenet", state_of("googlenet", image_size=96), images, tmp_path)
    assert network.transform_input is False
    assert "normalises its images anew (transform_input); the file does not say so, and here none does" in warning
    assert load(SMALL, state_of(SMALL), images, tmp_path)[2] == ""


def test_old_names_of_densenet_and_positions_of_transformers_are_adapted() -> None:
    old = {"features.denseblock1.denselayer1.norm.1.weight": torch.ones(2), "features.norm5.weight": torch.ones(2)}
    assert set(adapted("densenet121", old, 64)) == {
        "features.denseblock1.denselayer1.norm1.weight",
        "features.norm5.weight",
    }
    positions = {"encoder.pos_embedding": torch.rand(1, 14 * 14 + 1, 8)}
    assert adapted("vit_b_16", positions, 64)["encoder.pos_embedding"].shape == (1, 4 * 4 + 1, 8)
    assert adapted("vit_b_16", positions, 224) is positions


@pytest.mark.parametrize("name", ["convnet", "resnet18", SMALL, "squeezenet1_1", "vgg11", "mobilenet_v3_small"])
@pytest.mark.parametrize("num_channels", [1, 3])
def test_the_head_is_what_has_the_classes(name: str, num_channels: int) -> None:
    with torch.device("meta"):
        network = build_model(name, num_classes=7, num_channels=num_channels, image_size=64)
    head = head_of(network)
    shapes = {parameter.shape[0] for each, parameter in network.named_parameters() if each in head}
    assert len(head) == 2
    assert shapes == {7}


def test_a_frozen_backbone_keeps_weights_and_statistics() -> None:
    network = build_model("convnet", num_classes=3, num_channels=1, image_size=8)
    freeze_backbone(network, head_of(network))
    training_mode(network, backbone_is_frozen=True)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.SGD([each for each in network.parameters() if each.requires_grad], lr=1.0)
    network(torch.rand(8, 1, 8, 8)).square().mean().backward()
    optimizer.step()
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == head_of(network)
    assert network.training


UNUSABLE: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "meta": (lambda tensor: tensor.to("meta"), "on the device meta, without numbers"),
    "sparse": (lambda tensor: tensor.to_sparse(), "sparse, torch.sparse_coo"),
    "complex": (lambda tensor: tensor.to(torch.complex64), "torch.complex64 there, torch.float32 here"),
    "integers": (lambda tensor: (tensor * 100).long(), "torch.int64 there, torch.float32 here"),
    "NaN": (lambda tensor: tensor * float("nan"), "NaN or infinity in it"),
    "infinity": (lambda tensor: tensor.fill_(float("inf")), "NaN or infinity in it"),
}


@pytest.mark.parametrize("what", UNUSABLE)
@pytest.mark.parametrize("name", ["0.weight", "12.bias"])
def test_tensors_that_no_network_can_begin_with(what: str, name: str) -> None:
    change, said = UNUSABLE[what]
    own = {"0.weight": torch.rand(4, 3, 3, 3), "12.weight": torch.rand(10, 4), "12.bias": torch.rand(10)}
    found = fit_of({**own, name: change(own[name].clone())}, own, {"12.weight", "12.bias"})
    assert not found.fits
    assert found.misfits == f"1 tensor cannot be used ({name}: {said})"
    half = {key: tensor.to(torch.bfloat16) for key, tensor in own.items()}
    assert fit_of(half, own, {"12.weight", "12.bias"}).fits


def test_a_head_that_is_one_number_is_new() -> None:
    own = {"0.weight": torch.rand(4, 3, 3, 3), "12.weight": torch.rand(10, 4), "12.bias": torch.rand(10)}
    found = fit_of({**own, "12.bias": torch.tensor(1.0)}, own, {"12.weight", "12.bias"})
    assert (found.fits, found.new_head) == (True, "[] there, [10] here")


def test_what_cannot_be_used_is_said_of_the_file(tmp_path: Path) -> None:
    state = state_of(SMALL)
    state["conv1.0.weight"] = state["conv1.0.weight"] * float("nan")
    with pytest.raises(
        UserError, match=r"1 tensor cannot be used \(conv1.0.weight: NaN or infinity in it\)"
    ) as refused:
        load(SMALL, state, Images(10, 3, 64), tmp_path)
    assert "save the state dict of the network as it was trained" in refused.value.remedy
