"""Mixing with a probability, and what is done to each image before: on their own, and through a step of a training."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from scipy import stats
from test_contract import no_read_back
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from augment import (
    AUGMENTATIONS,
    SINGLE_IMAGES,
    Augmentation,
    AutoAugment,
    Combined,
    CutMix,
    CutMixZetaMixup,
    Dirichlet,
    Erm,
    MixUp,
    MixUpPSeries,
    Normalization,
    ParameterError,
    RandAugment,
    RandomErasing,
    SingleImages,
    Sometimes,
    TrivialAugment,
    ZetaMixup,
    ZetaMixupRange,
    check_parameter,
    cut,
    draw_window,
    image_ops,
    one_hot,
    without_mixing,
)

UNLUCKY = 1e-3  # see test_weights.py
SHAPE = (6, 3, 9, 8)
HOT = torch.eye(6)
NORMALIZATION = Normalization((0.4, 0.5, 0.6), (0.2, 0.3, 0.4), device=torch.device("cpu"))


@dataclass(frozen=True)
class Swap(Augmentation):
    """One of somebody's own, whose draw is no more than a tensor."""

    @property
    def min_batch_size(self) -> int:
        return 2

    def draw(self, shape: Sequence[int], *, generator: torch.Generator) -> Tensor:
        return torch.arange(shape[0]).flip(0)

    def apply(self, images: Tensor, targets: Tensor, draw: Tensor) -> tuple[Tensor, Tensor]:
        return images[draw], targets[draw]


MIXING = [
    MixUp(),
    MixUp(per="sample"),
    CutMix(),
    CutMix(per="sample"),
    ZetaMixup(2.8, 4),
    ZetaMixupRange(1.8, 4.0, 4),
    CutMixZetaMixup(2.8, 4),
    MixUpPSeries(2.8),
    Dirichlet(4),
    Swap(),
]
SINGLES: list[SingleImages] = [
    TrivialAugment(),
    RandAugment(),
    RandAugment(3, 30),
    AutoAugment("cifar10"),
    RandomErasing(p=1.0),
]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pixels(shape: Sequence[int] = SHAPE) -> Tensor:
    return torch.randint(0, 256, tuple(shape), dtype=torch.uint8, generator=seeded(5))


def from_pixels(augmentation: Augmentation, draw: Any, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    window = draw_window(len(HOT), crop_padding=2, hflip=True, generator=seeded(1))
    return augmentation.apply_to_pixels(pixels(), HOT, draw, window=window, normalization=NORMALIZATION, dtype=dtype)


def test_every_augmentation_that_mixes_is_tried_with_a_probability() -> None:
    assert {type(each) for each in MIXING} - {Swap} == {make for make in AUGMENTATIONS.values() if make.mixes}
    assert {type(each) for each in SINGLES} == set(SINGLE_IMAGES.values())


@pytest.mark.parametrize("mixing", MIXING, ids=str)
def test_a_batch_is_mixed_or_left_as_it_is(mixing: Augmentation) -> None:
    sometimes = Sometimes(mixing, 0.5)
    images = torch.rand(SHAPE, generator=seeded(9))
    for seed in range(12):
        generator = seeded(seed)
        drawn = mixing.draw(SHAPE, generator=generator)
        is_mixed = bool(torch.rand((), generator=generator) < 0.5)
        draw = sometimes.draw(SHAPE, generator=seeded(seed))
        expected = mixing.apply(images, HOT, drawn) if is_mixed else (images, HOT)
        found = sometimes.apply(images, HOT, draw)
        assert torch.equal(found[0], expected[0])
        assert torch.equal(found[1], expected[1])
        plain = from_pixels(mixing, drawn) if is_mixed else from_pixels(Erm(), Erm().draw(SHAPE, generator=seeded()))
        made = from_pixels(sometimes, draw)
        torch.testing.assert_close(made[0], plain[0], rtol=0, atol=1e-6)
        assert torch.equal(made[1], plain[1])
    with no_read_back():
        sometimes.apply(images, HOT, sometimes.draw(SHAPE, generator=seeded()))


def test_the_probability_is_that_of_a_batch() -> None:
    sometimes, generator = Sometimes(CutMix(per="sample"), 0.3), seeded()
    boxes = [sometimes.draw((8, 1, 30, 30), generator=generator).mixing.box for _ in range(500)]
    # All of a batch, or none.
    num_mixed = sum(bool(box.any()) for box in boxes)
    assert stats.binomtest(num_mixed, 500, 0.3).pvalue > UNLUCKY


@pytest.mark.parametrize("value", [0, 1.5, float("nan"), True, "0.5", None])
def test_a_probability_out_of_range_is_refused(value: Any) -> None:
    with pytest.raises(ParameterError, match=r"probability=.* is not allowed: a number above 0 and at most 1 is"):
        Sometimes(MixUp(), value)


def test_each_sample_has_a_lambda_of_its_own() -> None:
    draw = MixUp(0.4, "sample").draw((3000, 1, 1, 1), generator=seeded())
    assert draw.weights.shape == (3000, 2)
    lower = draw.weights[:, 0][draw.weights[:, 0] < 0.5].numpy()
    assert stats.kstest(lower, lambda x: 2 * stats.beta(0.4, 0.4).cdf(x)).pvalue > UNLUCKY
    assert stats.binomtest(len(lower), 3000, 0.5).pvalue > UNLUCKY


def test_each_sample_has_a_box_of_its_own_distributed_as_that_of_a_batch() -> None:
    of_samples = CutMix(1.0, "sample").draw((500, 1, 32, 24), generator=seeded()).box
    generator = seeded(1)
    of_batches = torch.stack([CutMix().draw((2, 1, 32, 24), generator=generator).box for _ in range(500)])
    for edge in range(4):
        assert stats.ks_2samp(of_samples[:, edge].numpy(), of_batches[:, edge].numpy()).pvalue > UNLUCKY


@pytest.mark.parametrize("single", SINGLES, ids=str)
@pytest.mark.parametrize("mixing", [Erm(), ZetaMixup(2.8, 4), Sometimes(CutMix(), 0.5)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_an_image_is_cropped_then_changed_then_mixed(
    single: SingleImages, mixing: Augmentation, dtype: torch.dtype
) -> None:
    combined = Combined(single, mixing)
    draw = combined.draw(SHAPE, generator=seeded(3))
    found, soft = from_pixels(combined, draw, dtype)
    cropped = cut(pixels(), draw_window(len(HOT), crop_padding=2, hflip=True, generator=seeded(1)))
    if isinstance(single, RandomErasing):
        changed = single.apply(NORMALIZATION(cropped), draw.single)
    else:
        changed = NORMALIZATION(single.apply(cropped, draw.single))
    expected = mixing.apply(changed, HOT, draw.mixing)
    assert torch.equal(found, expected[0].to(dtype))
    assert torch.equal(soft, expected[1])
    assert found.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("single", SINGLES, ids=str)
def test_neither_draw_nor_apply_waits_for_a_gpu(single: SingleImages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_ops, "_host_knows", lambda _: False)
    combined = Combined(single, MixUp())
    combined.draw(SHAPE, generator=seeded())  # makes the tables
    with no_read_back():
        draw = combined.draw(SHAPE, generator=seeded(3))
        found = from_pixels(combined, draw)
    monkeypatch.undo()
    assert torch.equal(found[0], from_pixels(combined, draw)[0])


@pytest.mark.parametrize("single", SINGLES, ids=str)
def test_floating_images_are_changed_as_their_bytes_are(single: SingleImages) -> None:
    combined, images = Combined(single, Erm()), pixels().float().div(255).to(memory_format=torch.channels_last)
    draw = combined.draw(SHAPE, generator=seeded(3))
    found, _ = combined.apply(images, HOT, draw)
    byte_wise = single.apply(images if single.is_normalized_first else pixels(), draw.single).float()
    assert torch.equal(found, byte_wise if single.is_normalized_first else byte_wise / 255)
    assert found.stride() == images.stride()


@pytest.mark.parametrize("single", [each for each in SINGLES if not isinstance(each, RandomErasing)], ids=str)
def test_images_without_colours_are_changed_and_those_of_other_channels_refused(single: SingleImages) -> None:
    grey = single.apply(pixels((6, 1, 9, 8)), single.draw((6, 1, 9, 8), generator=seeded()))
    assert grey.shape == (6, 1, 9, 8)
    with pytest.raises(ValueError, match=r"combine=\w+ is not allowed for images of 4 channels: 1 or 3 are"):
        single.draw((6, 4, 9, 8), generator=seeded())


def test_erased_rectangles_are_torchvisions() -> None:
    erasing = RandomErasing()
    images = torch.rand((40, 3, 21, 17), generator=seeded())
    draw = erasing.draw(images.shape, generator=seeded(1))
    sides = zip(*(each.tolist() for each in (draw.top, draw.left, draw.height, draw.width)), strict=True)
    expected = [tv.erase(image, *side, torch.zeros(1, 1, 1)) for image, side in zip(images, sides, strict=True)]
    assert torch.equal(erasing.apply(images, draw), torch.stack(expected))


@pytest.mark.parametrize("erasing", [RandomErasing(), RandomErasing(1.0, (0.3, 0.9), (0.1, 8.0))], ids=str)
def test_erased_rectangles_are_distributed_as_torchvisions(erasing: RandomErasing) -> None:
    from torchvision.transforms import v2

    shape, num = (3, 32, 24), 500
    draw = erasing.draw((num, *shape), generator=seeded())
    theirs = v2.RandomErasing(erasing.p, erasing.scale, erasing.ratio)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        params = [theirs.make_params([torch.zeros(shape)]) for _ in range(num)]
    params = [each for each in params if each["v"] is not None]
    erased = draw.height > 0
    assert stats.binomtest(int(erased.sum()), num, erasing.p * len(params) / num).pvalue > UNLUCKY
    for ours, name in ((draw.top, "i"), (draw.left, "j"), (draw.height, "h"), (draw.width, "w")):
        assert stats.ks_2samp(ours[erased].numpy(), [each[name] for each in params]).pvalue > UNLUCKY


REFUSED: list[tuple[type[SingleImages], str, list[Any], str]] = [
    (RandAugment, "num_ops", [0, 1.5, True, "2", None], "an integer of at least 1"),
    (RandAugment, "magnitude", [-1, 31, 9.0, True, None], "an integer from 0 to 30"),
    (AutoAugment, "policy", ["cifar", "", 3, None], "imagenet, cifar10 or svhn"),
    (RandomErasing, "p", [0, 1.1, float("nan"), True], "a number above 0 and at most 1"),
    (RandomErasing, "scale", [0.3, [0.3], [0, 0.3], [0.3, 0.2], [0.1, 1.5], ["a", 1], None, [0.1, 0.2, 0.3]],
     "a pair of numbers above 0 and at most 1, the lower bound first"),
    (RandomErasing, "ratio", [[0, 1], [2, 1], [1, float("inf")], [1, float("nan")]],
     "a pair of numbers above 0 and finite, the lower bound first"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "name", "values", "allowed"), REFUSED)
def test_what_is_out_of_range_is_refused(make: Callable[..., Any], name: str, values: list[Any], allowed: str) -> None:
    for value in values:
        with pytest.raises(ParameterError, match=re.escape(f"{name}={value!r} is not allowed: {allowed} is.")):
            make(**{name: value})
        with pytest.raises(ParameterError):
            check_parameter(make, name, value)  # type: ignore[arg-type]


def test_without_mixing_what_is_done_to_each_image_stays() -> None:
    single = TrivialAugment()
    assert without_mixing(Sometimes(MixUp(), 0.5)) == Erm()
    assert without_mixing(Combined(single, Sometimes(MixUp(), 0.5))) == Combined(single, Erm())
    for mixing in (MixUp(), Sometimes(MixUp(), 0.5), Combined(single, MixUp())):
        assert mixing.mixes
        assert not without_mixing(mixing).mixes
    for idle in (Erm(), Combined(single, Erm()), Combined(single, Sometimes(Erm(), 0.5))):
        assert not idle.mixes
        assert without_mixing(idle) is idle
        assert not pickle.loads(pickle.dumps(idle)).mixes


def test_labels_stay_with_their_images() -> None:
    """One draw for images and labels: also with what is done to each image in between."""
    combined = Combined(RandomErasing(p=1.0), CutMix())
    images, labels = torch.rand(SHAPE), torch.arange(6)
    draw = combined.draw(SHAPE, generator=seeded(2))
    assert torch.equal(combined.apply(images, one_hot(labels, 6), draw)[1], CutMix().apply(images, HOT, draw.mixing)[1])
