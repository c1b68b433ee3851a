"""What holds for every augmentation. A new one joins by one line in CASES."""

import copy
import random
import re
from dataclasses import FrozenInstanceError, fields
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from augment import (
    AUGMENTATIONS,
    Augmentation,
    CutMix,
    CutMixZetaMixup,
    Dirichlet,
    Erm,
    MixUp,
    MixUpPSeries,
    Normalization,
    ParameterError,
    ZetaMixup,
    ZetaMixupRange,
    check_parameter,
    cut,
    draw_window,
    one_hot,
    parameters,
)
from augment.contract import check_fraction, check_num_mixed, check_positive

BATCH_SIZE, NUM_CLASSES = 12, 5

CASES: list[Augmentation] = [
    Erm(),
    MixUp(alpha=0.4),
    CutMix(alpha=1.0),
    ZetaMixup(gamma=2.4, num_mixed=4),
    ZetaMixup(gamma=1.2, num_mixed=BATCH_SIZE),
    ZetaMixupRange(gamma_low=1.5, gamma_high=4.0, num_mixed=5),
    CutMixZetaMixup(gamma=2.4, num_mixed=4),
    MixUpPSeries(gamma=2.4),
    Dirichlet(num_mixed=BATCH_SIZE),
]
MIXING = [case for case in CASES if not isinstance(case, Erm)]

every_augmentation = pytest.mark.parametrize("augmentation", CASES, ids=str)
every_mixing_augmentation = pytest.mark.parametrize("augmentation", MIXING, ids=str)


def seeded(seed: int = 0, device: str = "cpu") -> torch.Generator:
    return torch.Generator(device).manual_seed(seed)


def make_batch(channels: int = 3, device: str = "cpu") -> tuple[Tensor, Tensor]:
    generator = seeded(99)
    images = torch.rand((BATCH_SIZE, channels, 9, 6), generator=generator)
    return images.to(device), torch.randint(NUM_CLASSES, (BATCH_SIZE,), generator=generator).to(device)


def mixed(augmentation: Augmentation, images: Tensor, labels: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = seeded(seed, images.device.type)
    return augmentation(images, labels, num_classes=NUM_CLASSES, generator=generator)


def test_every_registered_augmentation_is_tested_here() -> None:
    assert {type(case) for case in CASES} == set(AUGMENTATIONS.values())


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64], ids=str)
@pytest.mark.parametrize("channels", [1, 3])
@every_augmentation
def test_images_keep_shape_dtype_and_memory_format(
    augmentation: Augmentation, channels: int, dtype: torch.dtype, memory_format: torch.memory_format
) -> None:
    images, labels = make_batch(channels)
    # Not `contiguous`: it leaves an image of one channel as it is, whose strides tell the formats apart nevertheless.
    images = torch.empty_like(images, dtype=dtype, memory_format=memory_format).copy_(images)
    result, _ = mixed(augmentation, images, labels)
    assert (result.shape, result.dtype, result.stride()) == (images.shape, dtype, images.stride())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
@every_augmentation
def test_targets_are_distributions_in_float32(augmentation: Augmentation, dtype: torch.dtype) -> None:
    images, labels = make_batch()
    _, targets = mixed(augmentation, images.to(dtype), labels)
    assert (targets.shape, targets.dtype) == ((BATCH_SIZE, NUM_CLASSES), torch.float32)
    assert targets.min() >= 0
    # Each of the K entries is rounded once to float32.
    assert (targets.double().sum(1) - 1).abs().max() <= NUM_CLASSES * torch.finfo(torch.float32).eps


@pytest.mark.parametrize("seed", range(5))
@every_augmentation
def test_targets_follow_the_images(augmentation: Augmentation, seed: int) -> None:
    _, labels = make_batch()
    # One channel per class, bright where the label is: a channel's mean brightness is the share of its class.
    images = torch.eye(NUM_CLASSES, dtype=torch.float64)[labels][:, :, None, None].expand(-1, -1, 7, 11).contiguous()
    result, targets = mixed(augmentation, images, labels, seed)
    torch.testing.assert_close(targets.double(), result.mean(dim=(2, 3)), atol=2e-7, rtol=0)


@every_augmentation
def test_one_seed_one_result(augmentation: Augmentation) -> None:
    images, labels = make_batch()
    first, again = mixed(augmentation, images, labels, seed=7), mixed(augmentation, images, labels, seed=7)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])


@every_mixing_augmentation
def test_consecutive_calls_differ(augmentation: Augmentation) -> None:
    images, labels = make_batch()
    generator = seeded()
    results = [augmentation(images, labels, num_classes=NUM_CLASSES, generator=generator)[0] for _ in range(6)]
    assert any(not torch.equal(results[0], other) for other in results[1:])


def test_erm_leaves_the_generator_where_it_is() -> None:
    images, labels = make_batch()
    generator = seeded()
    result, targets = Erm()(images, labels, num_classes=NUM_CLASSES, generator=generator)
    assert torch.equal(generator.get_state(), seeded().get_state())
    assert torch.equal(result, images)
    assert torch.equal(targets.argmax(1), labels)


@every_augmentation
def test_global_generators_are_neither_read_nor_moved(augmentation: Augmentation) -> None:
    images, labels = make_batch()
    torch.manual_seed(1)
    first, _ = mixed(augmentation, images, labels)
    torch.manual_seed(2)
    torch_state, numpy_state, python_state = torch.get_rng_state(), np.random.get_state(), random.getstate()
    second, _ = mixed(augmentation, images, labels)
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), torch_state)
    np.testing.assert_equal(np.random.get_state(), numpy_state)
    assert random.getstate() == python_state


@every_augmentation
def test_inputs_stay_as_they_are(augmentation: Augmentation) -> None:
    images, labels = make_batch()
    before = images.clone(), labels.clone()
    mixed(augmentation, images, labels)
    assert torch.equal(images, before[0])
    assert torch.equal(labels, before[1])


def tensors_of(draw: Any) -> list[Tensor]:
    """The tensors of a draw, those of the draws inside it included."""
    if isinstance(draw, Tensor):
        return [draw]
    return [tensor for field in fields(draw) for tensor in tensors_of(getattr(draw, field.name))]


def copied_to(draw: Any, device: str) -> Any:
    if isinstance(draw, Tensor):
        return draw.to(device)
    return type(draw)(**{field.name: copied_to(getattr(draw, field.name), device) for field in fields(draw)})


@every_augmentation
def test_draw_and_apply_are_the_call(augmentation: Augmentation) -> None:
    images, labels = make_batch()
    draw = augmentation.draw(images.shape, generator=seeded(3))
    untouched = copy.deepcopy(draw)
    hot = torch.nn.functional.one_hot(labels, NUM_CLASSES).float()
    for _ in range(2):
        applied = augmentation.apply(images, hot, draw)
        for result, expected in zip(applied, mixed(augmentation, images, labels, seed=3), strict=True):
            assert torch.equal(result, expected)
    for drawn, before in zip(tensors_of(draw), tensors_of(untouched), strict=True):
        assert torch.equal(drawn, before)


@every_mixing_augmentation
def test_a_draw_is_frozen(augmentation: Augmentation) -> None:
    draw = augmentation.draw((BATCH_SIZE, 3, 8, 8), generator=seeded())
    name = fields(draw)[0].name
    with pytest.raises(FrozenInstanceError):
        setattr(draw, name, None)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32], ids=str)
@every_augmentation
def test_arithmetic_loses_no_more_than_one_rounding(augmentation: Augmentation, dtype: torch.dtype) -> None:
    images, labels = make_batch()
    images = images.to(dtype)
    exact, _ = mixed(augmentation, images.double(), labels)
    result, _ = mixed(augmentation, images, labels)
    # The result's own rounding, and below it one float32 rounding per weight, product and sum of at most B terms.
    rounding = exact.abs() * torch.finfo(dtype).eps / 2
    assert ((result.double() - exact).abs() <= rounding + 3 * BATCH_SIZE * torch.finfo(torch.float32).eps).all()


@every_augmentation
def test_autocast_changes_nothing(augmentation: Augmentation) -> None:
    images, labels = make_batch()
    expected = mixed(augmentation, images, labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = mixed(augmentation, images, labels)
    assert torch.equal(result[0], expected[0])
    assert torch.equal(result[1], expected[1])


class NoReadBack(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Fails on each operator whose result or shape the host has to wait for."""

    WAITING = frozenset(
        {"_local_scalar_dense", "nonzero", "masked_select", "equal", "unique", "_unique2", "is_nonzero"}
    )

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        assert name not in self.WAITING, f"{name} waits for the device"
        return func(*args, **(kwargs or {}))


def no_read_back() -> NoReadBack:
    return NoReadBack()  # type: ignore[no-untyped-call]


def test_the_read_back_guard_sees_a_read_back() -> None:
    with no_read_back(), pytest.raises(AssertionError, match="waits for the device"):
        torch.ones(3).sum().item()


@every_augmentation
def test_the_host_reads_nothing_back(augmentation: Augmentation) -> None:
    images, labels = make_batch()
    with no_read_back():
        mixed(augmentation, images, labels)


@pytest.mark.gpu
@every_augmentation
def test_the_host_never_waits_for_the_gpu_and_gets_the_same_arithmetic(augmentation: Augmentation) -> None:
    images, labels = make_batch(device="cuda")
    images = images.to(memory_format=torch.channels_last)
    generator = seeded(device="cuda")
    mixed(augmentation, images, labels)  # the first call initialises libraries
    torch.cuda.set_sync_debug_mode("error")
    try:
        draw = augmentation.draw(images.shape, generator=generator)
        result, targets = augmentation(images, labels, num_classes=NUM_CLASSES, generator=generator.manual_seed(0))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert result.stride() == images.stride()
    hot = one_hot(labels.cpu(), NUM_CLASSES)
    expected = augmentation.apply(images.cpu(), hot, copied_to(draw, "cpu"))
    torch.testing.assert_close(result.cpu(), expected[0])
    torch.testing.assert_close(targets.cpu(), expected[1])


def from_pixels(augmentation: Augmentation, device: str, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """A step of a training: crop, flip, normalise and mix."""
    pixels = torch.randint(0, 256, (BATCH_SIZE, 3, 9, 6), dtype=torch.uint8, generator=seeded(5)).to(device)
    labels = make_batch(device=device)[1]
    generator = seeded(device=device)
    return augmentation.apply_to_pixels(
        pixels,
        one_hot(labels, NUM_CLASSES),
        augmentation.draw(pixels.shape, generator=generator),
        window=draw_window(BATCH_SIZE, crop_padding=2, hflip=True, generator=generator),
        normalization=Normalization((0.4, 0.5, 0.6), (0.2, 0.3, 0.4), device=torch.device(device)),
        dtype=dtype,
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@every_augmentation
def test_pixels_are_cropped_mirrored_normalised_and_mixed(augmentation: Augmentation, dtype: torch.dtype) -> None:
    result, targets = from_pixels(augmentation, "cpu", dtype)
    pixels = torch.randint(0, 256, (BATCH_SIZE, 3, 9, 6), dtype=torch.uint8, generator=seeded(5))
    generator = seeded()
    draw = augmentation.draw(pixels.shape, generator=generator)
    window = draw_window(BATCH_SIZE, crop_padding=2, hflip=True, generator=generator)
    normalization = Normalization((0.4, 0.5, 0.6), (0.2, 0.3, 0.4), device=torch.device("cpu"))
    hot = one_hot(make_batch()[1], NUM_CLASSES)
    expected = augmentation.apply(normalization(cut(pixels, window)), hot, draw)
    assert result.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(result, expected[0].to(dtype))
    assert torch.equal(targets, expected[1])


@pytest.mark.gpu
@every_augmentation
def test_from_pixels_the_host_never_waits_for_the_gpu(augmentation: Augmentation) -> None:
    from_pixels(augmentation, "cuda", torch.bfloat16)  # the first call compiles
    pixels = torch.randint(0, 256, (BATCH_SIZE, 3, 9, 6), dtype=torch.uint8, generator=seeded(5)).cuda()
    hot = one_hot(make_batch(device="cuda")[1], NUM_CLASSES)
    generator = seeded(device="cuda")
    normalization = Normalization((0.4, 0.5, 0.6), (0.2, 0.3, 0.4), device=torch.device("cuda"))
    torch.cuda.set_sync_debug_mode("error")
    try:
        window = draw_window(BATCH_SIZE, crop_padding=2, hflip=True, generator=generator)
        draw = augmentation.draw(pixels.shape, generator=generator)
        result, _ = augmentation.apply_to_pixels(
            pixels, hot, draw, window=window, normalization=normalization, dtype=torch.bfloat16
        )
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert result.is_contiguous(memory_format=torch.channels_last)


@every_augmentation
def test_a_batch_that_is_too_small_is_refused(augmentation: Augmentation) -> None:
    images, labels = make_batch()
    fits, too_few = augmentation.min_batch_size, augmentation.min_batch_size - 1
    mixed(augmentation, images[:fits], labels[:fits])
    with pytest.raises(ValueError, match=rf"(batch of|batch has) {too_few}.*mixing stays inside one worker's batch"):
        mixed(augmentation, images[:too_few], labels[:too_few])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool, torch.complex64], ids=str)
@every_augmentation
def test_images_that_are_not_floating_are_refused(augmentation: Augmentation, dtype: torch.dtype) -> None:
    images, labels = make_batch()
    with pytest.raises(ValueError, match=f"{dtype} cannot be mixed"):
        mixed(augmentation, images.to(dtype), labels)


@every_augmentation
def test_images_of_other_dimensions_are_refused(augmentation: Augmentation) -> None:
    images, labels = make_batch()
    for wrong in (images.flatten(1), images.unsqueeze(2), images[:, 0]):
        with pytest.raises(ValueError, match=r"\[B, C, H, W\] is allowed"):
            mixed(augmentation, wrong, labels)


@pytest.mark.parametrize("backend", ["cuda", "", None])
@every_augmentation
def test_an_unknown_backend_is_refused(augmentation: Augmentation, backend: Any) -> None:
    settings = {name: getattr(augmentation, name) for name in parameters(type(augmentation))}
    with pytest.raises(ValueError, match="auto, torch or triton is"):
        type(augmentation)(**settings, backend=backend)


@every_augmentation
def test_a_backend_that_cannot_run_is_refused(augmentation: Augmentation, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton", reason="Triton has no wheel for this platform")
    monkeypatch.setattr("augment.kernel.IS_INTERPRETED", False)
    images, labels = make_batch()
    settings = {name: getattr(augmentation, name) for name in parameters(type(augmentation))}
    with pytest.raises(ValueError, match="backend=triton cannot run on cpu"):
        mixed(type(augmentation)(**settings, backend="triton"), images, labels)  # type: ignore[arg-type]


@every_augmentation
def test_labels_that_do_not_fit_are_refused(augmentation: Augmentation) -> None:
    images, labels = make_batch()
    for wrong in (labels[1:], labels.int(), labels.float(), labels.unsqueeze(1)):
        with pytest.raises(ValueError, match=r"torch\.int64 \[12\] is allowed"):
            mixed(augmentation, images, wrong)


@every_augmentation
def test_a_label_out_of_range_fails(augmentation: Augmentation) -> None:
    images, labels = make_batch()
    with pytest.raises(RuntimeError, match="out of bounds"):
        mixed(augmentation, images, torch.full_like(labels, NUM_CLASSES))


@every_augmentation
def test_a_generator_on_another_device_is_refused(augmentation: Augmentation) -> None:
    images, labels = make_batch()
    with pytest.raises(ValueError, match="generator is on cpu, images are on meta"):
        augmentation(images.to("meta"), labels.to("meta"), num_classes=NUM_CLASSES, generator=seeded())


@every_augmentation
def test_settings_are_a_frozen_value(augmentation: Augmentation) -> None:
    twin = copy.deepcopy(augmentation)
    assert twin == augmentation
    assert hash(twin) == hash(augmentation)
    with pytest.raises(FrozenInstanceError):
        augmentation.alpha = 2.0  # type: ignore[attr-defined]


def test_the_backend_follows_the_device_unless_it_is_forced() -> None:
    for kind, case in zip(map(type, CASES), CASES, strict=True):
        settings = {name: getattr(case, name) for name in parameters(kind)}
        assert case.backend == "auto"
        assert case.backend_on(torch.device("cpu")) == "torch"
        forced: Augmentation = kind(**settings, backend="torch")  # type: ignore[arg-type]
        assert forced.backend_on(torch.device("cuda")) == "torch"
        assert repr(forced) == repr(case)


BAD_NUMBERS = [0, -1.0, float("nan"), float("inf"), True, "2.0", None]


# What each kind of parameter refuses, and what it says is allowed: a new kind of check joins by a line.
REFUSED: dict[Any, tuple[list[Any], str]] = {
    check_positive: (BAD_NUMBERS, "a finite number above 0"),
    check_fraction: ([*BAD_NUMBERS, 1, 1.5], "a number above 0 and below 1"),
    check_num_mixed: ([1, 0, -3, 2.0, True, "batch", None, float("nan")], "an integer of at least 2"),
}


@every_augmentation
def test_what_is_out_of_range_is_refused(augmentation: Augmentation) -> None:
    for name, field in parameters(type(augmentation)).items():
        values, allowed = REFUSED[field.metadata["check"]]
        for value in values:
            refused_with(augmentation, name, value, allowed)


def refused_with(augmentation: Augmentation, name: str, value: Any, allowed: str) -> None:
    kind = type(augmentation)
    settings = {other: getattr(augmentation, other) for other in parameters(kind)}
    with pytest.raises(ParameterError, match=re.escape(f"{name}={value!r} is not allowed: {allowed} is.")):
        kind(**{**settings, name: value})
    with pytest.raises(ParameterError) as caught:
        check_parameter(kind, name, value)
    assert (caught.value.name, caught.value.value, caught.value.allowed) == (name, value, allowed)


@pytest.mark.parametrize(("whole", "same"), [(ZetaMixup(2, 4), ZetaMixup(2.0, 4)), (MixUp(1), MixUp(1.0))], ids=str)
def test_a_whole_number_and_its_float_are_one_setting(whole: Augmentation, same: Augmentation) -> None:
    assert repr(whole) == repr(same)
