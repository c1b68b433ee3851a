from collections import Counter
from itertools import product

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor
from torchvision.transforms.v2 import functional as v2

from augment import Normalization, cut, draw_window


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_images(*shape: int, seed: int = 7) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator(seed))


def cut_at_random(images: Tensor, *, crop_padding: int, hflip: bool) -> Tensor:
    return cut(images, draw_window(len(images), crop_padding=crop_padding, hflip=hflip, generator=generator()))


@pytest.mark.parametrize("hflip", [False, True])
@pytest.mark.parametrize("crop_padding", [0, 1, 4])
@pytest.mark.parametrize("shape", [(16, 3, 8, 8), (5, 1, 6, 9)])
def test_a_window_is_padding_cropping_and_mirroring_one_by_one(
    shape: tuple[int, ...], crop_padding: int, hflip: bool
) -> None:
    images = random_images(*shape)
    batch_size, _, height, width = shape
    draw = generator()
    tops_and_lefts = torch.randint(0, 2 * crop_padding + 1, (2, batch_size, 1), generator=draw)
    mirrored = torch.rand((batch_size, 1), generator=draw) < 0.5
    expected = []
    for index, image in enumerate(v2.pad(images, [crop_padding])):
        # The first draw moves the window to the side, the second down.
        left, top = (int(offset) for offset in tops_and_lefts[:, index, 0])
        cropped = v2.crop(image, top, left, height, width)
        expected.append(v2.horizontal_flip(cropped) if hflip and mirrored[index] else cropped)
    result = cut_at_random(images, crop_padding=crop_padding, hflip=hflip)
    assert result.dtype == torch.uint8
    assert torch.equal(result, torch.stack(expected))


def test_all_windows_and_both_directions_are_equally_likely() -> None:
    image = torch.arange(1, 10, dtype=torch.uint8).view(1, 3, 3)
    padded = v2.pad(image, [1])
    windows = [v2.crop(padded, top, left, 3, 3) for top, left in product(range(3), range(3))]
    possible = [tuple(view.flatten().tolist()) for window in windows for view in (window, v2.horizontal_flip(window))]
    result = cut_at_random(image.expand(9000, 1, 3, 3), crop_padding=1, hflip=True)
    seen = Counter(tuple(row) for row in result.flatten(1).tolist())
    assert seen.keys() == set(possible)
    assert chisquare(list(seen.values())).pvalue > 0.01


def test_cutting_leaves_input_and_global_generator_alone() -> None:
    images = random_images(4, 3, 8, 8)
    before, state = images.clone(), torch.get_rng_state()
    cut_at_random(images, crop_padding=2, hflip=True)
    assert torch.equal(images, before)
    assert torch.equal(torch.get_rng_state(), state)


def test_nothing_to_do_draws_nothing_and_returns_the_images_themselves() -> None:
    images = random_images(4, 3, 8, 8)
    draw = generator()
    assert draw_window(4, crop_padding=0, hflip=False, generator=draw) is None
    assert cut(images, None) is images
    assert torch.equal(draw.get_state(), generator().get_state())


def test_normalization_subtracts_mean_and_divides_by_std() -> None:
    images = random_images(16, 3, 8, 8)
    before = images.clone()
    mean, std = (0.49, 0.3, 0.0), (0.2, 1.0, 0.05)
    result = Normalization(mean, std, device=torch.device("cpu"))(images)
    columns = [torch.tensor(values, dtype=torch.float64).view(1, 3, 1, 1) for values in (mean, std)]
    exact = (images.double() / 255 - columns[0]) / columns[1]
    assert result.dtype == torch.float32
    assert result.is_contiguous(memory_format=torch.channels_last)
    # Three roundings of numbers no larger than the two that are subtracted.
    bound = 3 * torch.finfo(torch.float32).eps * (images.double() / 255 / columns[1] + columns[0] / columns[1])
    assert ((result.double() - exact).abs() <= bound).all()
    assert torch.equal(images, before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_inverse_gives_the_pixels_back(dtype: torch.dtype) -> None:
    pixels = random_images(4, 3, 8, 8)
    normalization = Normalization((0.49, 0.3, 0.0), (0.2, 1.0, 0.3), device=torch.device("cpu"))
    found = normalization.inverse(normalization(pixels).to(dtype))
    assert found.dtype == torch.uint8
    # bfloat16 keeps 8 bits of a number of up to 4 standard deviations.
    assert (found.int() - pixels.int()).abs().max() <= (0 if dtype == torch.float32 else 2)


def test_normalization_leaves_what_it_is_given() -> None:
    pixels = random_images(2, 3, 4, 4).float()
    before = pixels.clone()
    normalized = Normalization((0.4, 0.5, 0.6), (0.2, 0.3, 0.4), device=torch.device("cpu"))(pixels)
    assert torch.equal(pixels, before)
    assert not torch.equal(normalized, before)
