"""Each operation against torchvision's functional one, byte for byte."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as tv

from augment import image_ops
from augment.image_ops import OPERATIONS, change_images
from augment.policies import AutoAugment, Operations, RandAugment, TrivialAugment
from augment.policy_tables import POLICIES

SHAPES = [(3, 32, 32), (1, 28, 31), (3, 2, 5)]


def affine(image: Tensor, **given: Any) -> Tensor:
    result: Tensor = tv.affine(image, **{"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0], **given})
    return result


def degrees(tangent: float) -> float:
    return math.degrees(math.atan(tangent))


REFERENCES: dict[str, Callable[[Tensor, float], Tensor]] = {
    "Identity": lambda image, _: image,
    "ShearX": lambda image, by: affine(image, shear=[degrees(by), 0.0], center=[0, 0]),
    "ShearY": lambda image, by: affine(image, shear=[0.0, degrees(by)], center=[0, 0]),
    "TranslateX": lambda image, by: affine(image, translate=[int(by), 0]),
    "TranslateY": lambda image, by: affine(image, translate=[0, int(by)]),
    "Rotate": lambda image, by: tv.rotate(image, by),
    "Brightness": lambda image, by: tv.adjust_brightness(image, 1.0 + by),
    "Posterize": lambda image, by: tv.posterize(image, int(by)),
    "Solarize": lambda image, by: tv.solarize(image, 255.0 * by),
    "Invert": lambda image, _: tv.invert(image),
    "AutoContrast": lambda image, _: tv.autocontrast(image),
    "Color": lambda image, by: tv.adjust_saturation(image, 1.0 + by),
    "Contrast": lambda image, by: tv.adjust_contrast(image, 1.0 + by),
    "Equalize": lambda image, _: tv.equalize(image),
    "Sharpness": lambda image, by: tv.adjust_sharpness(image, 1.0 + by),
}
STRONGEST = {"TranslateX": 32.0, "TranslateY": 32.0, "Rotate": 135.0, "Posterize": 8.0, "Solarize": 1.0}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(num: int, channels: int, height: int, width: int) -> Tensor:
    """Noise, of which some has few values, and one image none but one."""
    pixels = torch.randint(0, 256, (num, channels, height, width), dtype=torch.uint8, generator=seeded())
    pixels[1::3] = pixels[1::3] // 8 + 100
    pixels[-1] = 77
    return pixels


def magnitudes(name: str) -> Tensor:
    strengths = torch.linspace(0.0, STRONGEST.get(name, 0.99), 11).double()
    return strengths if name in ("Posterize", "Solarize") else torch.cat([strengths, -strengths])


@pytest.fixture(params=["on a host", "as on a GPU"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of leaving images out that get another operation."""
    if request.param == "as on a GPU":
        monkeypatch.setattr(image_ops, "_host_knows", lambda _: False)


@pytest.mark.parametrize(("channels", "height", "width"), SHAPES)
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_torchvisions(name: str, channels: int, height: int, width: int) -> None:
    strengths = magnitudes(name)
    pixels = images(len(strengths), channels, height, width)
    before = pixels.clone()
    found = change_images(pixels, torch.full((len(pixels),), OPERATIONS.index(name)), strengths)
    expected = torch.stack([REFERENCES[name](*each) for each in zip(pixels, strengths.tolist(), strict=True)])
    assert torch.equal(found[~undecided(name, pixels, strengths)], expected[~undecided(name, pixels, strengths)])
    assert (found.int() - expected.int()).abs().max() <= 1
    assert torch.equal(pixels, before)


def undecided(name: str, pixels: Tensor, strengths: Tensor) -> Tensor:
    """Where the exact result is as good as a whole number, so that float32 may fall on either side before it is cut.

    On which side depends on whether product and sum are rounded once or twice: the last few pixels of a tensor, which
    do not fill a register, are computed in another way than the others, and torchvision's tensor is one image.
    """
    others: dict[str, Callable[[Tensor], Tensor]] = {
        "Color": lambda image: tv.adjust_saturation(image, 0.0).double(),
        "Contrast": lambda image: tv.rgb_to_grayscale(image).double().mean().expand_as(image),
        "Sharpness": lambda image: tv.adjust_sharpness(image, 0.0).double(),
    }
    if name not in others:
        return torch.zeros_like(pixels, dtype=torch.bool)
    by = strengths.view(-1, 1, 1, 1)
    exact = (1 + by) * pixels - by * torch.stack([others[name](image) for image in pixels])
    return (exact - exact.round()).abs() <= 4 * 255 * torch.finfo(torch.float32).eps


@pytest.mark.usefixtures("place")
def test_each_image_gets_its_own_operation_whatever_stands_beside_it() -> None:
    operations = torch.arange(len(OPERATIONS)).repeat(2)[torch.randperm(2 * len(OPERATIONS), generator=seeded(1))]
    strengths = 0.9 * torch.rand(len(operations), generator=seeded(2), dtype=torch.float64)
    pixels = images(len(operations), 3, 12, 12)
    alone = [change_images(pixels[[at]], operations[[at]], strengths[[at]])[0] for at in range(len(operations))]
    laid_out = pixels.contiguous(memory_format=torch.channels_last)
    assert torch.equal(change_images(laid_out, operations, strengths), torch.stack(alone))


class FedTorch:
    """The module torch for torchvision's transforms, which draws what it is given."""

    def __init__(self, integers: list[int], uniforms: list[float]) -> None:
        self._integers, self._uniforms = integers, uniforms

    def randint(self, *_: object) -> int:
        return self._integers.pop(0)

    def rand(self, *_: object) -> Tensor:
        return torch.tensor(self._uniforms.pop(0))

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


def on_the_same_draw(
    monkeypatch: pytest.MonkeyPatch, ours: Operations, theirs: Any, pixels: Tensor, choices: Any
) -> tuple[Tensor, Tensor]:
    """What ours makes of images, and what torchvision's makes of them if it draws the same.

    Ours draws integers for all images, step by step, and then coins; torchvision image by image, and a coin only where
    it needs one: `choices` says which those are.
    """
    drawn = ours.draw(pixels.shape, generator=seeded(3))
    expected = []
    for at, image in enumerate(pixels):
        fed = FedTorch(*choices(at))
        monkeypatch.setattr("torchvision.transforms.v2._auto_augment.torch", fed)
        expected.append(theirs(image))
        monkeypatch.undo()
    return ours.apply(pixels, drawn), torch.stack(expected)


def signed(name: str) -> bool:
    return bool(v2.RandAugment._AUGMENTATION_SPACE.get(name, (None, False))[1])


def test_trivial_augment_is_torchvisions_on_the_same_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, names, generator = images(64, 3, 32, 32), list(v2.TrivialAugmentWide._AUGMENTATION_SPACE), seeded(3)
    ops = torch.randint(14, (1, 64), generator=generator)[0].tolist()
    bins = torch.randint(31, (1, 64), generator=generator)[0].tolist()
    coins = torch.rand((1, 64), generator=generator)[0].tolist()

    def choices(at: int) -> tuple[list[int], list[float]]:
        has_bins = names[ops[at]] not in ("Identity", "AutoContrast", "Equalize")
        return [ops[at], *([bins[at]] if has_bins else [])], [coins[at]] if signed(names[ops[at]]) else []

    found, expected = on_the_same_draw(monkeypatch, TrivialAugment(), v2.TrivialAugmentWide(), pixels, choices)
    assert torch.equal(found, expected)


@pytest.mark.parametrize(("num_ops", "magnitude"), [(2, 9), (3, 30), (1, 0)])
def test_rand_augment_is_torchvisions_on_the_same_draw(
    monkeypatch: pytest.MonkeyPatch, num_ops: int, magnitude: int
) -> None:
    pixels, names, generator = images(32, 3, 24, 40), list(v2.RandAugment._AUGMENTATION_SPACE), seeded(3)
    ops = torch.randint(14, (num_ops, 32), generator=generator).T.tolist()
    coins = torch.rand((num_ops, 32), generator=generator).T.tolist()

    def choices(at: int) -> tuple[list[int], list[float]]:
        steps = zip(ops[at], coins[at], strict=True)
        return list(ops[at]), [coin for op, coin in steps if signed(names[op])]

    theirs = v2.RandAugment(num_ops=num_ops, magnitude=magnitude)
    found, expected = on_the_same_draw(monkeypatch, RandAugment(num_ops, magnitude), theirs, pixels, choices)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("policy", POLICIES)
def test_auto_augment_is_torchvisions_on_the_same_draw(monkeypatch: pytest.MonkeyPatch, policy: str) -> None:
    pixels, generator = images(100, 3, 32, 32), seeded(3)
    pairs = torch.randint(25, (100,), generator=generator).tolist()
    done = torch.rand((2, 100), generator=generator).T.tolist()
    coins = torch.rand((2, 100), generator=generator).T.tolist()
    theirs = v2.AutoAugment(v2.AutoAugmentPolicy(policy))

    def choices(at: int) -> tuple[list[int], list[float]]:
        uniforms: list[float] = []
        for (name, probability, _), first, coin in zip(theirs._policies[pairs[at]], done[at], coins[at], strict=True):
            is_done = bool(torch.tensor(first) <= probability)
            uniforms += [first, coin] if is_done and signed(name) else [first]
        return [pairs[at]], uniforms

    found, expected = on_the_same_draw(monkeypatch, AutoAugment(policy), theirs, pixels, choices)
    assert torch.equal(found, expected)
