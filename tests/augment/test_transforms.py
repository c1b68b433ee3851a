"""Every transform, sample by sample, against torchvision's functional on the same draw."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields, is_dataclass
from typing import Any

import pytest
import torch
from scipy.stats import chisquare, kstest
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision.transforms.v2 import functional as v2

from augment import (
    ColorDraw,
    ColorJitter,
    RandomResizedCrop,
    Region,
    TrainTransform,
    TransformDraw,
    center_crop,
    cut,
    draw_window,
)

BATCH_SIZE = 16

EVERYTHING = TrainTransform(
    image_size=13,
    hflip=True,
    vflip=True,
    rot90=True,
    random_resized_crop=RandomResizedCrop(),
    color_jitter=ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1),
)
# Whatever is done here, not by the kernel that mixes.
CASES = [
    TrainTransform(crop_padding=4, padding_mode="reflect"),
    TrainTransform(crop_padding=15, padding_mode="reflect", hflip=True),
    TrainTransform(crop_padding=3, image_size=11),
    TrainTransform(crop_padding=3, image_size=11, padding_mode="reflect", vflip=True),
    TrainTransform(crop_padding=3, image_size=22),
    TrainTransform(crop_padding=20, image_size=50, rot90=True),
    TrainTransform(image_size=9),
    TrainTransform(vflip=True),
    TrainTransform(rot90=True),
    TrainTransform(hflip=True, vflip=True, rot90=True),
    TrainTransform(crop_padding=4, hflip=True, vflip=True, rot90=True),
    TrainTransform(random_resized_crop=RandomResizedCrop()),
    TrainTransform(random_resized_crop=RandomResizedCrop(), image_size=9, hflip=True, vflip=True),
    TrainTransform(random_resized_crop=RandomResizedCrop(scale=(0.5, 1), ratio=(0.2, 5)), image_size=40, rot90=True),
    TrainTransform(random_resized_crop=RandomResizedCrop(), image_size=1),
    TrainTransform(crop_padding=4, hflip=True, color_jitter=ColorJitter(brightness=0.8)),
    TrainTransform(color_jitter=ColorJitter(brightness=1.5)),
    TrainTransform(color_jitter=ColorJitter(contrast=1.5)),
    TrainTransform(color_jitter=ColorJitter(saturation=1.5)),
    TrainTransform(color_jitter=ColorJitter(hue=0.5)),
    TrainTransform(color_jitter=ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)),
    EVERYTHING,
]
WINDOWS = [
    TrainTransform(),
    TrainTransform(crop_padding=4),
    TrainTransform(hflip=True),
    TrainTransform(hflip=True, image_size=16),
    TrainTransform(hflip=True, padding_mode="reflect"),
    TrainTransform(crop_padding=2, hflip=True, color_jitter=ColorJitter()),
]

every_transform = pytest.mark.parametrize("transform", CASES, ids=str)


def seeded(seed: int = 0, device: str = "cpu") -> torch.Generator:
    return torch.Generator(device).manual_seed(seed)


def random_images(*shape: int) -> Tensor:
    """Pixels as photographs have them: smooth, with all brightnesses, and some that are black, white or grey."""
    coarse = v2.resize(torch.rand((*shape[:2], 4, 4), generator=seeded(7)), [shape[2], shape[3]], antialias=True)
    fine = torch.rand(shape, generator=seeded(8))
    images = ((1.6 * coarse + 0.5 * fine - 0.55) * 255).clamp(0, 255).to(torch.uint8)
    images[:, :, 0, :3] = images[:, :1, 0, :3]
    return images


def at(draw: Any, index: int) -> Any:
    """The draw of one sample, in plain numbers."""
    if isinstance(draw, Tensor):
        return draw[index].item()
    if not is_dataclass(draw):
        return draw
    return {field.name: at(getattr(draw, field.name), index) for field in fields(draw)}


def placed(image: Tensor, region: dict[str, Any], transform: TrainTransform) -> Tensor:
    """What torchvision makes of one image, floating in 0..255."""
    box = [region[name] for name in ("top", "left", "height", "width")]
    size = transform.image_size or image.shape[-1]
    if transform.random_resized_crop is not None:
        image = v2.resized_crop(image.float(), *box, size=[size, size], antialias=True).round()
    else:
        if transform.crop_padding:
            image = v2.pad(image, [transform.crop_padding], padding_mode=transform.padding_mode)
        assert box[2:] == [size, size]
        assert all(0 <= corner <= side - size for corner, side in zip(box, image.shape[-2:], strict=False))
        image = v2.crop(image, *box)
    image = v2.horizontal_flip(image) if region["hflip"] else image
    image = v2.vertical_flip(image) if region["vflip"] else image
    image = torch.rot90(image, region["rot90"] or 0, dims=(-2, -1))
    return image.float()


ADJUSTED: dict[str, Callable[[Tensor, float], Tensor]] = {
    "brightness": v2.adjust_brightness,
    "contrast": v2.adjust_contrast,
    "saturation": v2.adjust_saturation,
    "hue": v2.adjust_hue,
}


def expected(image: Tensor, draw: dict[str, Any], transform: TrainTransform) -> Tensor:
    result = image.float() if draw["region"] is None else placed(image, draw["region"], transform)
    for name, adjust in ADJUSTED.items():
        if draw["colors"] is not None and draw["colors"][name] is not None:
            # A shift drawn as float32 may exceed 0.5 by a rounding, which torchvision refuses.
            factor = min(draw["colors"][name], 0.5) if name == "hue" else draw["colors"][name]
            result = adjust(result / 255, factor) * 255
    return result.round().int()


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("channels", [1, 3])
@every_transform
def test_each_sample_is_what_torchvision_makes_of_it(
    transform: TrainTransform, channels: int, memory_format: torch.memory_format
) -> None:
    pixels = random_images(BATCH_SIZE, channels, 16, 16).to(memory_format=memory_format)
    before = pixels.clone()
    draw = transform.draw(pixels.shape, generator=seeded())
    result, window = transform.apply(pixels, draw)
    assert window is None
    assert result.dtype == torch.uint8
    assert torch.equal(pixels, before)
    wanted = torch.stack([expected(image, at(draw, index), transform) for index, image in enumerate(before)])
    assert result.shape == wanted.shape
    difference = (result.int() - wanted).abs()
    is_arithmetic = transform.random_resized_crop is not None or transform.color_jitter is not None
    assert difference.max() <= is_arithmetic
    # Where two float32 sums fall on either side of a half: seldom.
    assert (difference > 0).float().mean() <= 0.01


@pytest.mark.parametrize("size", [24, 96, 130])
def test_resizing_is_as_exact_as_torch_s_own(size: int) -> None:
    transform = TrainTransform(random_resized_crop=RandomResizedCrop(), image_size=size)
    pixels = random_images(BATCH_SIZE, 3, 96, 96)
    draw = transform.draw(pixels.shape, generator=seeded())
    result, _ = transform.apply(pixels, draw)
    for index, image in enumerate(pixels):
        box = [at(draw.region, index)[name] for name in ("top", "left", "height", "width")]
        exact, usual = (
            v2.resized_crop(image.to(dtype), *box, size=[size, size], antialias=True).double()
            for dtype in (torch.float64, torch.float32)
        )
        # Half a grey level is lost by rounding.
        bound = 0.5 + 2 * (usual - exact).abs().max() + 255 * torch.finfo(torch.float32).eps
        assert (result[index] - exact).abs().max() <= bound


@pytest.mark.parametrize("name", ADJUSTED)
def test_colors_that_draw_the_same_for_all_are_torchvision_s_of_the_batch(name: str) -> None:
    pixels = random_images(BATCH_SIZE, 3, 16, 16)
    for factor in (-0.5, -0.2, 0.0, 0.3, 0.5) if name == "hue" else (0.0, 0.5, 1.0, 2.5):
        draw = TransformDraw(colors=ColorDraw(**{name: torch.full((BATCH_SIZE,), factor)}))
        result, _ = TrainTransform().apply(pixels, draw)
        wanted = (ADJUSTED[name](pixels / 255, factor) * 255).round().int()
        assert (result.int() - wanted).abs().max() <= 1
        if factor == (0 if name == "hue" else 1):
            assert torch.equal(result, pixels)


def test_a_quarter_turn_comes_after_mirroring() -> None:
    pixels = torch.tensor([[[[1, 2], [3, 4]]]], dtype=torch.uint8).expand(4, -1, -1, -1)
    zero, two = torch.zeros(4, dtype=torch.int64), torch.full((4,), 2)
    turns = torch.tensor([0, 1, 1, 3])
    region = Region(
        top=zero, left=zero, height=two, width=two,
        hflip=torch.tensor([True, True, False, False]), vflip=torch.tensor([False, False, True, False]), rot90=turns,
    )  # fmt: skip
    result, _ = TrainTransform(rot90=True).apply(pixels, TransformDraw(region=region))
    assert result.flatten(1).tolist() == [[2, 1, 4, 3], [1, 3, 2, 4], [4, 2, 3, 1], [3, 1, 4, 2]]


@pytest.mark.parametrize("transform", WINDOWS, ids=str)
def test_what_a_window_can_say_is_left_to_it(transform: TrainTransform) -> None:
    pixels = random_images(BATCH_SIZE, 3, 16, 16)
    mine, usual = seeded(3), seeded(3)
    draw = transform.draw(pixels.shape, generator=mine)
    window = draw_window(BATCH_SIZE, crop_padding=transform.crop_padding, hflip=transform.hflip, generator=usual)
    assert torch.equal(mine.get_state(), usual.get_state())
    result, found = transform.apply(pixels, draw)
    assert result is pixels
    assert (found is None) == (window is None) == (not transform.hflip and transform.crop_padding == 0)
    if found is not None and window is not None:
        assert found.padding == window.padding
        for name in ("top", "left", "mirrored"):
            assert torch.equal(getattr(found, name), getattr(window, name))


def test_a_window_of_images_that_are_not_square_stays_allowed() -> None:
    transform = TrainTransform(crop_padding=2, hflip=True)
    assert transform.draw((BATCH_SIZE, 3, 9, 6), generator=seeded()).window is not None


def test_what_is_done_here_is_what_a_window_would_do() -> None:
    pixels = random_images(BATCH_SIZE, 3, 16, 16)
    window = draw_window(BATCH_SIZE, crop_padding=3, hflip=True, generator=seeded())
    assert window is not None
    drawn = TrainTransform(crop_padding=3, vflip=True).draw(pixels.shape, generator=seeded()).region
    assert drawn is not None
    assert torch.equal(drawn.top, window.top)
    assert torch.equal(drawn.left, window.left)
    size = torch.full((BATCH_SIZE,), 16)
    never = torch.zeros(BATCH_SIZE, dtype=torch.bool)
    region = Region(top=window.top, left=window.left, height=size, width=size, hflip=window.mirrored, vflip=never)
    result, _ = TrainTransform(crop_padding=3, vflip=True).apply(pixels, TransformDraw(region=region))
    assert torch.equal(result, cut(pixels, window))


@pytest.mark.parametrize(
    ("transform", "channels"),
    [
        (TrainTransform(), 3),
        (TrainTransform(padding_mode="reflect", image_size=16), 3),
        (TrainTransform(crop_padding=3, image_size=22), 3),
        (TrainTransform(color_jitter=ColorJitter()), 3),
        (TrainTransform(color_jitter=ColorJitter(saturation=0.4, hue=0.1)), 1),
    ],
    ids=str,
)
def test_where_nothing_is_random_nothing_is_drawn(transform: TrainTransform, channels: int) -> None:
    generator = seeded()
    pixels = random_images(BATCH_SIZE, channels, 16, 16)
    result, window = transform.apply(pixels, transform.draw(pixels.shape, generator=generator))
    assert window is None
    assert torch.equal(generator.get_state(), seeded().get_state())
    assert (result is pixels) == (transform.crop_padding == 0)
    assert torch.equal(center_crop(result, 16), pixels)


@every_transform
def test_the_same_seed_draws_the_same_and_another_one_does_not(transform: TrainTransform) -> None:
    pixels = random_images(BATCH_SIZE, 3, 16, 16)
    state = torch.get_rng_state()
    results = [transform.apply(pixels, transform.draw(pixels.shape, generator=seeded(seed)))[0] for seed in (1, 1, 2)]
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[1], results[2]) == (transform == TrainTransform(crop_padding=3, image_size=22))
    assert torch.equal(torch.get_rng_state(), state)


def region_of(transform: TrainTransform, batch_size: int, side: int) -> Region:
    region = transform.draw((batch_size, 3, side, side), generator=seeded()).region
    assert region is not None
    return region


def test_all_corners_flips_and_turns_are_equally_likely() -> None:
    region = region_of(TrainTransform(image_size=6, crop_padding=1, hflip=True, vflip=True, rot90=True), 9000, 6)
    assert region.rot90 is not None
    drawn = torch.stack([region.top, region.left, region.hflip, region.vflip, region.rot90], dim=1)
    seen = Counter(tuple(row) for row in drawn.tolist())
    assert len(seen) == 3 * 3 * 2 * 2 * 4
    assert chisquare(list(seen.values())).pvalue > 0.01


def test_a_smaller_crop_is_taken_anywhere_in_the_padded_image() -> None:
    region = region_of(TrainTransform(image_size=5, crop_padding=2), 9000, 8)
    for corners in (region.top, region.left):
        assert sorted(Counter(corners.tolist())) == list(range(8 + 4 - 5 + 1))
        assert chisquare(corners.bincount()).pvalue > 0.01


def test_resized_regions_have_the_areas_shapes_and_places_asked_for() -> None:
    side = 10_000
    region = region_of(TrainTransform(random_resized_crop=RandomResizedCrop(scale=(0.1, 0.5))), 9000, side)
    height, width = region.height.double(), region.width.double()
    # All fit: sqrt(0.5 · 4/3) < 1. The sides are rounded, which a large image hides.
    assert kstest(height * width / side**2, "uniform", (0.1, 0.4)).pvalue > 0.01
    log_ratio = (width / height).log()
    limit = float(torch.tensor(4 / 3).log())
    assert kstest(log_ratio, "uniform", (-limit, 2 * limit)).pvalue > 0.01
    for corner, length in ((region.top, height), (region.left, width)):
        assert ((corner >= 0) & (corner + length <= side)).all()
        assert kstest((corner + 0.5) / (side - length + 1), "uniform").pvalue > 0.01


def test_small_regions_reach_all_edges_and_stay_inside() -> None:
    region = region_of(TrainTransform(random_resized_crop=RandomResizedCrop(scale=(0.02, 1.0))), 20_000, 8)
    for corner, length in ((region.top, region.height), (region.left, region.width)):
        assert set(length.tolist()) == set(range(1, 9))
        assert set(corner.tolist()) == set(range(8))
        assert ((corner >= 0) & (corner + length <= 8)).all()
        assert 8 in (corner + length)[length < 4]


@pytest.mark.parametrize(
    ("ratio", "box"),
    [((3.0, 4.0), (5, 0, 5, 16)), ((0.25, 0.3), (0, 5, 16, 5)), ((0.1, 10.0), (0, 0, 16, 16))],
)
def test_where_no_candidate_fits_the_middle_is_taken(ratio: tuple[float, float], box: tuple[int, ...]) -> None:
    transform = TrainTransform(random_resized_crop=RandomResizedCrop(scale=(1.0, 1.0), ratio=ratio))
    region = region_of(transform, 64, 16)
    # Of the last kind about one of 50 candidates fits, which is then the whole image, too.
    for name, value in zip(("top", "left", "height", "width"), box, strict=True):
        assert getattr(region, name).tolist() == [value] * 64


def test_another_candidate_is_tried_where_one_does_not_fit() -> None:
    # A share u of the whole fits in a shape that is nearer to a square than u: half of the candidates here. Were there
    # only one, every second region would be the whole image.
    crop = RandomResizedCrop(scale=(0.25, 1.0), ratio=(0.25, 4.0))
    region = region_of(TrainTransform(random_resized_crop=crop), 9000, 1000)
    assert ((region.height <= 1000) & (region.width <= 1000)).all()
    assert ((region.height == 1000) & (region.width == 1000)).float().mean() < 0.01
    assert (region.height < region.width).float().mean() == pytest.approx(0.5, abs=0.02)


def test_factors_fill_their_ranges() -> None:
    jitter = ColorJitter(brightness=0.3, contrast=1.5, saturation=0.8, hue=0.2)
    colors = TrainTransform(color_jitter=jitter).draw((9000, 3, 2, 2), generator=seeded()).colors
    assert colors is not None
    ranges = {"brightness": (0.7, 1.3), "contrast": (0.0, 2.5), "saturation": (0.2, 1.8), "hue": (-0.2, 0.2)}
    for name, (low, high) in ranges.items():
        factors = getattr(colors, name)
        assert factors.dtype == torch.float32
        assert kstest(factors, "uniform", (low, high - low)).pvalue > 0.01
    assert abs(torch.corrcoef(torch.stack([colors.brightness, colors.contrast]))[0, 1]) < 0.05  # type: ignore[list-item]


@pytest.mark.parametrize("size", [1, 4, 5, 6, 7, 9, 10, 11])
@pytest.mark.parametrize("shape", [(2, 3, 6, 6), (2, 1, 9, 6), (3, 7, 10)])
def test_the_middle_is_torchvision_s(shape: tuple[int, ...], size: int) -> None:
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=seeded())
    result = center_crop(pixels, size)
    assert torch.equal(result, v2.center_crop(pixels, [size, size]))
    if size <= min(shape[-2:]):
        assert result.untyped_storage().data_ptr() == pixels.untyped_storage().data_ptr()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TrainTransform(image_size=0), "image_size=0 is not allowed: an integer of at least 1 is"),
        (lambda: TrainTransform(image_size=32.0), "image_size=32.0 is not allowed"),  # type: ignore[arg-type]
        (lambda: TrainTransform(crop_padding=-1), "crop_padding=-1 is not allowed: an integer of at least 0 is"),
        (lambda: TrainTransform(crop_padding=True), "crop_padding=True is not allowed"),
        (lambda: TrainTransform(padding_mode="edge"), "padding_mode='edge' is not allowed: constant or reflect is"),  # type: ignore[arg-type]
        (
            lambda: TrainTransform(crop_padding=4, random_resized_crop=RandomResizedCrop()),
            "crop_padding=4 is not allowed: 0 beside random_resized_crop is. Drop one of them.",
        ),
        (
            lambda: RandomResizedCrop(scale=(0, 1)),
            "scale=(0, 1) is not allowed: a pair of numbers above 0 and at most 1, the",
        ),
        (lambda: RandomResizedCrop(scale=(0.5, 1.1)), "scale=(0.5, 1.1) is not allowed"),
        (lambda: RandomResizedCrop(scale=(0.5, 0.4)), "lower bound first"),
        (
            lambda: RandomResizedCrop(scale=0.5),
            "scale=0.5 is not allowed: a pair of numbers above 0 and at most 1, the lower",
        ),  # type: ignore[arg-type]
        (
            lambda: RandomResizedCrop(ratio=(0.0, 1.0)),
            "ratio=(0.0, 1.0) is not allowed: a pair of numbers above 0 and finite, the",
        ),
        (lambda: RandomResizedCrop(ratio=(1.0, float("inf"))), "ratio=(1.0, inf) is not allowed"),
        (lambda: RandomResizedCrop(ratio=(1.0, "2")), "ratio=(1.0, '2') is not allowed"),  # type: ignore[arg-type]
        (lambda: RandomResizedCrop(ratio=(float("nan"), 1.0)), "ratio=(nan, 1.0) is not allowed"),
        (lambda: ColorJitter(brightness=-0.1), "brightness=-0.1 is not allowed: a finite number of at least 0 is"),
        (lambda: ColorJitter(contrast=float("inf")), "contrast=inf is not allowed"),
        (lambda: ColorJitter(saturation="0.1"), "saturation='0.1' is not allowed"),  # type: ignore[arg-type]
        (lambda: ColorJitter(hue=0.6), "hue=0.6 is not allowed: a number from 0 to 0.5 is"),
        (lambda: center_crop(torch.zeros(3, 8, 8), 0), "size=0 is not allowed: an integer of at least 1 is"),
    ],
)
def test_what_is_out_of_range_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


@pytest.mark.parametrize(
    ("transform", "shape", "message"),
    [
        (TrainTransform(image_size=25, crop_padding=4), (2, 3, 16, 16), "image_size=25 is not allowed: at most 24"),
        (TrainTransform(crop_padding=16, padding_mode="reflect"), (2, 3, 16, 16), "crop_padding=16 .* less than 16"),
        (TrainTransform(vflip=True), (2, 3, 16, 12), "16 x 12 pixels are not allowed: square"),
        (TrainTransform(color_jitter=ColorJitter(hue=0.1)), (2, 4, 16, 16), "4 channels: 1 or 3"),
    ],
    ids=str,
)
def test_images_that_do_not_fit_are_refused(transform: TrainTransform, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        transform.draw(shape, generator=seeded())
    fitting = transform.draw((2, 3, 32, 32), generator=seeded())
    if fitting.region is not None:
        with pytest.raises(ValueError, match=message):
            transform.apply(torch.zeros(shape, dtype=torch.uint8), fitting)


@pytest.mark.parametrize(
    "pixels", [torch.zeros(2, 3, 8, 8), torch.zeros(3, 8, 8, dtype=torch.uint8)], ids=["float", "3d"]
)
@pytest.mark.parametrize("transform", [TrainTransform(hflip=True), EVERYTHING], ids=str)
def test_what_is_not_a_batch_of_raw_pixels_is_refused(transform: TrainTransform, pixels: Tensor) -> None:
    draw = transform.draw((2, 3, 8, 8), generator=seeded())
    with pytest.raises(ValueError, match=r"torch.uint8 \[B, C, H, W\] is allowed"):
        transform.apply(pixels, draw)


def test_settings_are_frozen_and_kept_as_floats() -> None:
    assert RandomResizedCrop(scale=[0.5, 1]).scale == (0.5, 1.0)  # type: ignore[arg-type]
    assert isinstance(ColorJitter(brightness=1).brightness, float)
    with pytest.raises(FrozenInstanceError):
        EVERYTHING.hflip = False  # type: ignore[misc]


def test_an_empty_batch_stays_empty() -> None:
    pixels = torch.zeros((0, 3, 16, 16), dtype=torch.uint8)
    result, _ = EVERYTHING.apply(pixels, EVERYTHING.draw(pixels.shape, generator=seeded()))
    assert result.shape == (0, 3, 13, 13)


def test_autocast_changes_nothing() -> None:
    pixels = random_images(BATCH_SIZE, 3, 16, 16)
    draw = EVERYTHING.draw(pixels.shape, generator=seeded())
    usual, _ = EVERYTHING.apply(pixels, draw)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result, _ = EVERYTHING.apply(pixels, draw)
    assert torch.equal(result, usual)


class NoReadBack(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Fails on each operator whose result or shape the host has to wait for."""

    WAITING = frozenset({"_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero"})

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        assert name not in self.WAITING, f"{name} waits for the device"
        if name == "index":
            indices = [index for index in args[1] if index is not None]
            assert all(index.dtype != torch.bool for index in indices), "a mask as an index waits for the device"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("transform", [*CASES, *WINDOWS], ids=str)
def test_the_host_reads_nothing_back(transform: TrainTransform) -> None:
    pixels = random_images(BATCH_SIZE, 3, 16, 16)
    with NoReadBack():  # type: ignore[no-untyped-call]
        transform.apply(pixels, transform.draw(pixels.shape, generator=seeded()))


def copied_to(draw: Any, device: str) -> Any:
    if isinstance(draw, Tensor):
        return draw.to(device)
    if not is_dataclass(draw) or isinstance(draw, type):
        return draw
    return type(draw)(**{field.name: copied_to(getattr(draw, field.name), device) for field in fields(draw)})


@pytest.mark.gpu
@pytest.mark.parametrize("transform", [*CASES, *WINDOWS], ids=str)
def test_the_host_never_waits_for_the_gpu_and_gets_the_same_pixels(transform: TrainTransform) -> None:
    pixels = random_images(BATCH_SIZE, 3, 16, 16)
    there = pixels.cuda()
    generator = seeded(device="cuda")
    transform.apply(there, transform.draw(there.shape, generator=generator))  # the first call initialises libraries
    torch.cuda.set_sync_debug_mode("error")
    try:
        draw = transform.draw(there.shape, generator=generator)
        result, window = transform.apply(there, draw)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    expected_here, window_here = transform.apply(pixels, copied_to(draw, "cpu"))
    assert (window is None) == (window_here is None)
    assert (result.cpu().int() - expected_here.int()).abs().max() <= 1


@pytest.mark.parametrize(("side", "size", "resized"), [(64, 56, 64), (64, 28, 32), (64, 64, 64), (64, 60, 64)])
def test_evaluation_is_resize_and_centre_crop(side: int, size: int, resized: int) -> None:
    pixels = torch.randint(0, 256, (3, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    seen = TrainTransform(image_size=size, random_resized_crop=RandomResizedCrop()).for_evaluation(pixels)
    expected = v2.center_crop(v2.resize(pixels, [resized, resized], antialias=True), [size, size])
    assert seen.shape == (3, 3, size, size)
    assert (seen.int() - expected.int()).abs().max() <= 1
    at_its_size = TrainTransform(image_size=size, crop_padding=2, hflip=True).for_evaluation(pixels)
    assert torch.equal(at_its_size, v2.center_crop(pixels, [size, size]))
