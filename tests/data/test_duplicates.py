"""Pictures that stand twice are found however they were saved, mirrored or not; look-alikes are not."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from orchestrator.data.duplicates import MAX_DISTANCE, SIDE_PX, Fingerprints, Thumbnails, fingerprints, near_pairs

Pixels = NDArray[np.uint8]


def photographs(num: int, *, side: int = 64, seed: int = 0) -> Pixels:
    """uint8 [num, side, side, 3], no two alike: noise whose spectrum falls like that of photographs."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side))
    frequency[0, 0] = np.inf
    waves = np.fft.ifft2(np.fft.fft2(rng.normal(size=(num, 3, side, side))) / frequency).real
    waves[:, 1:] = waves[:, :1] + 0.3 * waves[:, 1:]  # channels resemble each other
    scaled = waves / waves.std(axis=(1, 2, 3), keepdims=True) * rng.uniform(20, 50, (num, 1, 1, 1)) + 128
    return scaled.clip(0, 255).round().astype(np.uint8).transpose(0, 2, 3, 1)


def tensor(pixels: Pixels) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))


def prints_of(pixels: Pixels) -> Fingerprints:
    return fingerprints(tensor(pixels))


def encoded(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file)


def cropped(image: Image.Image, px: int) -> Image.Image:
    return image.crop((px, 0, image.width, image.height - px)).resize(image.size, Image.Resampling.BILINEAR)


def zoomed(image: Image.Image, share: float) -> Image.Image:
    """The middle part of it, enlarged."""
    edge = image.width * (1 - share) / 2
    box = (edge, edge, image.width - edge, image.height - edge)
    return image.resize(image.size, Image.Resampling.BILINEAR, box=box)


def shifted(image: Image.Image, px: int) -> Image.Image:
    """What moves in is the last row, repeated, as a scan or a player shows it."""
    moved = np.pad(np.asarray(image), ((px, 0), (px, 0), (0, 0)), mode="edge")
    return Image.fromarray(moved[: image.height, : image.width])


def resized(image: Image.Image, side: int) -> Image.Image:
    return image.resize((side, side), Image.Resampling.BILINEAR).resize(image.size, Image.Resampling.BILINEAR)


def altered(pixels: Pixels, alter: Callable[[Image.Image], Image.Image]) -> Pixels:
    return np.stack([np.asarray(alter(Image.fromarray(image))) for image in pixels])


SAME: dict[str, Callable[[Image.Image], Image.Image]] = {
    "jpeg 60": lambda image: encoded(image, 60),
    "jpeg 90": lambda image: encoded(image, 90),
    "resized to 7/8 and back": lambda image: resized(image, image.width * 7 // 8),
    "resized to 1/2 and back": lambda image: resized(image, image.width // 2),
    "5 % brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.05),
    "5 % darker": lambda image: ImageEnhance.Brightness(image).enhance(0.95),
    "less contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.7),
    "cropped": lambda image: cropped(image, 2),
    "a twentieth cropped off two sides": lambda image: cropped(image, image.width // 20),
    "the middle 0.9 of it": lambda image: zoomed(image, 0.9),
    "shifted": lambda image: shifted(image, 2),
    "turned by 2 degrees": lambda image: image.rotate(2, Image.Resampling.BILINEAR),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "all of it": lambda image: encoded(ImageEnhance.Brightness(cropped(image, 2)).enhance(1.05), 75),
}


@pytest.mark.parametrize("change", SAME)
def test_the_same_picture_is_found_and_no_other(change: str) -> None:
    originals = photographs(40)
    found = near_pairs(prints_of(originals).thumbnails, prints_of(altered(originals, SAME[change])).thumbnails)
    assert found.rows.tolist() == [[row, row] for row in range(40)]
    assert found.distances.max() <= MAX_DISTANCE
    assert not found.mirrored.any()


@pytest.mark.parametrize("change", SAME)
def test_a_mirrored_picture_is_found_and_said_to_be_mirrored(change: str) -> None:
    originals = photographs(40)
    copies = altered(altered(originals, SAME[change]), ImageOps.mirror)
    for left, right in ((originals, copies), (copies, originals)):
        found = near_pairs(prints_of(left).thumbnails, prints_of(right).thumbnails)
        assert found.rows.tolist() == [[row, row] for row in range(40)]
        assert found.mirrored.all()


def test_a_picture_of_another_size_is_found() -> None:
    originals = photographs(20, side=256)
    small = altered(originals, lambda image: image.resize((100, 100)))
    pairs = near_pairs(prints_of(originals).thumbnails, prints_of(small).thumbnails).rows
    assert pairs.tolist() == [[row, row] for row in range(20)]


def test_a_symmetrical_picture_is_named_once_and_is_not_mirrored() -> None:
    halves = photographs(20)[:, :, :32]
    originals = np.concatenate([halves, halves[:, :, ::-1]], axis=2)
    found = near_pairs(prints_of(originals).thumbnails, prints_of(altered(originals, SAME["jpeg 90"])).thumbnails)
    assert found.rows.tolist() == [[row, row] for row in range(20)]
    same = near_pairs(*[prints_of(originals).thumbnails] * 2)
    assert same.rows.tolist() == [[row, row] for row in range(20)]
    assert not same.mirrored.any()


@pytest.mark.parametrize("change", [ImageOps.flip, lambda image: image.rotate(90)])
def test_what_is_upside_down_or_turned_is_another_picture(change: Callable[[Image.Image], Image.Image]) -> None:
    originals = photographs(40)
    found = near_pairs(prints_of(originals).thumbnails, prints_of(altered(originals, change)).thumbnails)
    assert len(found.rows) == 0


def test_pictures_do_not_resemble_each_other_by_chance() -> None:
    one, other = prints_of(photographs(400, seed=1)).thumbnails, prints_of(photographs(400, seed=2)).thumbnails
    assert len(near_pairs(one, other).rows) == 0


def test_a_frame_that_pictures_share_makes_no_duplicates() -> None:
    """As the dark corners and the reflections of a dermatoscope do."""
    frame = np.hypot(*np.mgrid[-1:1:64j, -1:1:64j])[None, ..., None]
    one, other = (
        np.where(frame > 0.85, 10, np.where(frame > 0.8, 250, photographs(40, seed=seed) // 4 + 120)).astype(np.uint8)
        for seed in (1, 2)
    )
    assert len(near_pairs(prints_of(one).thumbnails, prints_of(other).thumbnails).rows) == 0
    pairs = near_pairs(prints_of(one).thumbnails, prints_of(altered(one, SAME["jpeg 60"])).thumbnails).rows
    assert pairs.tolist() == [[row, row] for row in range(40)]


@pytest.mark.parametrize("noise", [0.0, 0.3, 0.8])
def test_flat_pictures_do_not_all_match(noise: float) -> None:
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (60, 1, 1)) + rng.normal(0, noise, (60, SIDE_PX, SIDE_PX))
    flat = grey.clip(0, 255).round().astype(np.uint8)
    assert len(near_pairs(flat[:30], flat[30:]).rows) == 0
    assert len(near_pairs(flat, flat).rows) == 0


def test_pictures_without_detail_do_not_all_match() -> None:
    """Skies: the one is light at the top, the other, too."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 1, SIDE_PX)[:, None] * rng.uniform(20, 150, (60, 1, 1))
    skies = (
        (ramp + rng.uniform(20, 100, (60, 1, 1)) + rng.normal(0, 1, (60, SIDE_PX, SIDE_PX))).round().astype(np.uint8)
    )
    assert len(near_pairs(skies[:30], skies[30:]).rows) == 0


def test_small_images_have_exact_duplicates_only() -> None:
    tiny = photographs(5, side=SIDE_PX - 1)
    prints = prints_of(tiny)
    assert len(set(prints.digests)) == 5
    assert prints.too_small.all()
    assert len(near_pairs(prints.thumbnails, prints.thumbnails).rows) == 0
    assert not prints_of(photographs(5, side=SIDE_PX)).too_small.any()


def test_grey_is_the_same_as_grey_in_rgb() -> None:
    grey = tensor(photographs(5))[:, :1]
    one, other = fingerprints(grey), fingerprints(grey.expand(-1, 3, -1, -1))
    assert one.digests == other.digests
    np.testing.assert_array_equal(one.thumbnails, other.thumbnails)


def test_each_copy_is_found_though_there_are_many() -> None:
    thumbnails = prints_of(photographs(1)).thumbnails
    pairs = near_pairs(np.repeat(thumbnails, 30, axis=0), thumbnails).rows
    assert pairs[:, 0].tolist() == list(range(30))
    pairs = near_pairs(np.repeat(thumbnails, 30, axis=0), np.repeat(thumbnails, 20, axis=0)).rows
    assert (set(pairs[:, 0]), set(pairs[:, 1])) == (set(range(30)), set(range(20)))


def test_chunks_and_batches_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    originals = photographs(50)
    arguments = prints_of(originals).thumbnails, prints_of(altered(originals, SAME["jpeg 60"])).thumbnails
    found = near_pairs(*arguments)
    monkeypatch.setattr("orchestrator.data.candidates._COSINES_PER_CHUNK", 7 * 50)
    monkeypatch.setattr("orchestrator.data.duplicates._PAIRS_PER_BATCH", 3)
    other = near_pairs(*arguments)
    np.testing.assert_array_equal(found.rows, other.rows)
    np.testing.assert_array_equal(found.mirrored, other.mirrored)
    np.testing.assert_allclose(found.distances, other.distances, atol=1e-5)


def test_it_is_told_how_far_it_is() -> None:
    some, few = prints_of(photographs(30)).thumbnails, prints_of(photographs(7)).thumbnails
    looked: list[int] = []
    near_pairs(some, few, looked.append)
    assert sum(looked) == 2 * (30 + 7)


def test_nothing_resembles_nothing() -> None:
    some, none = prints_of(photographs(3)).thumbnails, prints_of(photographs(3)[:0]).thumbnails
    for left, right in ((some, none), (none, some), (none, none)):
        found = near_pairs(left, right)
        assert found.rows.shape == (0, 2)
        assert found.distances.shape == found.mirrored.shape == (0,)


def test_the_number_of_threads_is_put_back() -> None:
    before = torch.get_num_threads()
    near_pairs(*[prints_of(photographs(3)).thumbnails] * 2)
    assert torch.get_num_threads() == before


@st.composite
def any_thumbnails(draw: st.DrawFn) -> Thumbnails:
    """Noise, steps and constants of any contrast, with what is black or white throughout."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    num, side = draw(st.integers(0, 12)), draw(st.sampled_from([1, 2, 4, 8, 16, 32]))
    low = draw(st.integers(0, 255))
    values = rng.integers(low, draw(st.integers(low, 255)) + 1, (num, side, side), dtype=np.uint8)
    return np.kron(values, np.ones((1, SIDE_PX // side, SIDE_PX // side), dtype=np.uint8))


@settings(deadline=None)
@given(any_thumbnails(), any_thumbnails())
def test_whatever_the_pictures_the_pairs_are_valid(left: Thumbnails, right: Thumbnails) -> None:
    with np.errstate(all="raise", under="ignore"):
        found = near_pairs(left, right)
    assert len(found.distances) == len(found.mirrored) == len({tuple(pair) for pair in found.rows.tolist()})
    assert ((found.rows >= 0) & (found.rows < [len(left), len(right)])).all()
    assert np.isfinite(found.distances).all()
    assert (found.distances <= MAX_DISTANCE).all()


@settings(deadline=None)
@given(st.integers(1, 8), st.integers(8, 40), st.integers(0, 2**32 - 1))
def test_digests_are_equal_where_pixels_are(num: int, side: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (num, side, side, 3), dtype=np.uint8)
    changed = pixels.copy()
    changed[seed % num, seed % side, 0, seed % 3] ^= 1
    one, other = prints_of(pixels), prints_of(changed)
    assert [a == b for a, b in zip(one.digests, other.digests, strict=True)] == [
        row != seed % num for row in range(num)
    ]
    joined = Fingerprints.joined([one, other])
    assert joined.digests == one.digests + other.digests
    assert joined.part([num]).digests == other.digests[:1]
    np.testing.assert_array_equal(joined.part(range(num, 2 * num)).thumbnails, other.thumbnails)
