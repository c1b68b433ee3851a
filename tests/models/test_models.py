from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision.models
from torch import nn

from orchestrator.data import Split, load_dataset
from orchestrator.models.registry import MODELS, build_model, is_model, model_names
from zetasweep._model_contract import all_parameters_are_used, logits_have_a_column_for_each_class
from zetasweep.testing import MODEL_CLAUSES, ModelCase

# One of each family that needs something of its own, and one that needs nothing.
TORCHVISION = {"googlenet": 96, "inception_v3": 96, "vit_b_16": 32, "maxvit_t": 224, "mobilenet_v3_small": 32}


def logits_of(model: nn.Module, num_channels: int, image_size: int, *, device: str = "cpu") -> torch.Tensor:
    logits = model(torch.rand(2, num_channels, image_size, image_size, device=device))
    assert isinstance(logits, torch.Tensor)
    return logits


@pytest.mark.parametrize("clause", MODEL_CLAUSES, ids=lambda clause: clause.__name__)
def test_convnet_keeps_the_contract(clause: Callable[[ModelCase], None]) -> None:
    clause(ModelCase(MODELS["convnet"]))


# Clauses that compute take seconds with these.
@pytest.mark.parametrize("clause", [logits_have_a_column_for_each_class, all_parameters_are_used])
@pytest.mark.parametrize("name", [name for name in MODELS if name != "convnet"])
def test_the_registry_keeps_the_contract(name: str, clause: Callable[[ModelCase], None]) -> None:
    clause(ModelCase(MODELS[name]))


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnet34", "wide_resnet50_2"])
def test_the_stem_depends_on_the_size(name: str) -> None:
    def stem(num_channels: int, image_size: int) -> tuple[nn.Conv2d, nn.Module]:
        model = build_model(name, num_classes=10, num_channels=num_channels, image_size=image_size)
        resnet = model[1] if isinstance(model, nn.Sequential) else model
        convolution, pooling = resnet.get_submodule("conv1"), resnet.get_submodule("maxpool")
        assert isinstance(convolution, nn.Conv2d)
        assert convolution.in_channels == (num_channels if name in MODELS else 3)
        # He et al.'s initialisation for outputs: variance 2 / (kernel area x output channels).
        area = convolution.kernel_size[0] * convolution.kernel_size[1]
        assert convolution.weight.std().item() == pytest.approx((2 / (area * 64)) ** 0.5, rel=0.15)
        return convolution, pooling

    for num_channels in (1, 3):
        convolution, pooling = stem(num_channels, 63)
        assert (convolution.kernel_size, convolution.stride, type(pooling)) == ((3, 3), (1, 1), nn.Identity)
        convolution, pooling = stem(num_channels, 64)
        assert (convolution.kernel_size, convolution.stride, type(pooling)) == ((7, 7), (2, 2), nn.MaxPool2d)


def test_the_size_of_resnet18_for_cifar10_is_the_published_one() -> None:
    model = build_model("resnet18", num_classes=10, num_channels=3, image_size=32)
    assert sum(parameter.numel() for parameter in model.parameters()) == 11_173_962


@pytest.mark.parametrize("num_channels", [1, 3])
@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvisions_models_give_plain_logits_in_training(name: str, num_channels: int) -> None:
    with torch.device("meta"):
        model = build_model(name, num_classes=7, num_channels=num_channels, image_size=TORCHVISION[name])
    assert model.training
    assert logits_of(model, num_channels, TORCHVISION[name], device="meta").shape == (2, 7)


def test_grey_images_are_repeated_for_torchvisions_models() -> None:
    model = build_model("mobilenet_v3_small", num_classes=5, num_channels=1, image_size=32).eval()
    grey = torch.rand(2, 1, 32, 32)
    inner = model.get_submodule("1")
    torch.testing.assert_close(model(grey), inner(grey.repeat(1, 3, 1, 1)))


def test_the_names_are_the_registrys_and_torchvisions_without_doubles() -> None:
    names = model_names()
    assert names[: len(MODELS)] == tuple(MODELS)
    assert len(names) == len(set(names))
    assert set(names) == {"convnet", *torchvision.models.list_models(module=torchvision.models)}
    assert all(is_model(name) for name in ("convnet", "resnet50", "efficientnet_b0"))
    assert not is_model("resnet19")
    assert not is_model("maskrcnn_resnet50_fpn")  # not a classifier


@pytest.mark.parametrize(
    ("name", "num_channels", "image_size", "message"),
    [
        ("resnet19", 3, 32, "model='resnet19' is not known; known are convnet"),
        ("convnet", 3, 7, "image_size=7 is not allowed: at least 8 px for convnet is. Set dataset.image_size."),
        (
            "alexnet",
            3,
            32,
            "image_size=32 is not allowed: a size that alexnet takes .* Set dataset.image_size",
        ),
        (
            "vit_b_16",
            3,
            30,
            "image_size=30 is not allowed: a size that vit_b_16 takes .* Set dataset.image_size",
        ),
        (
            "maxvit_t",
            3,
            32,
            "image_size=32 is not allowed: a size that maxvit_t takes .* Set dataset.image_size",
        ),
        (
            "mobilenet_v3_small",
            4,
            32,
            "num_channels=4 is not allowed: 1 or 3 for mobilenet_v3_small is. Use one",
        ),
    ],
)
def test_what_cannot_be_built_is_refused(name: str, num_channels: int, image_size: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_model(name, num_classes=10, num_channels=num_channels, image_size=image_size)


def test_convnet_learns_digits(tmp_path: Path) -> None:
    digits = load_dataset("digits", tmp_path)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model("convnet", num_classes=10, num_channels=1, image_size=8)
    order = torch.Generator().manual_seed(0)
    num_steps = 5 * (len(digits.train) // 128)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_steps)

    def images(split: Split) -> torch.Tensor:
        return (digits.images[split.rows] / 255 - digits.mean[0]) / digits.std[0]

    train_images = images(digits.train)
    for _ in range(num_steps):
        batch = torch.randperm(len(digits.train), generator=order)[:128]
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(train_images[batch]), digits.train.labels[batch]).backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        predicted = model.eval()(images(digits.test)).argmax(dim=1)
    assert (predicted == digits.test.labels).double().mean() > 0.95
