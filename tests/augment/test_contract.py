"""What holds for every augmentation. A new one joins by one line in CASES."""

import re
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor

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
from augment.contract import check_fraction, check_num_mixed, check_per, check_positive
from zetasweep._augmentation_contract import (
    BATCH_SIZE,
    NUM_CLASSES,
    make_batch,
    mixed,
    no_read_back,
    seeded,
    tensors_of,
)
from zetasweep.testing import AUGMENTATION_CLAUSES

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
    MixUp(alpha=0.4, per="sample"),
    CutMix(alpha=1.0, per="sample"),
]
MIXING = [case for case in CASES if not isinstance(case, Erm)]

every_augmentation = pytest.mark.parametrize("augmentation", CASES, ids=str)
every_mixing_augmentation = pytest.mark.parametrize("augmentation", MIXING, ids=str)


def test_every_registered_augmentation_is_tested_here() -> None:
    assert {type(case) for case in CASES} == set(AUGMENTATIONS.values())


@pytest.mark.parametrize("clause", AUGMENTATION_CLAUSES, ids=lambda clause: clause.__name__)
@every_augmentation
def test_every_augmentation_keeps_the_contract(
    augmentation: Augmentation, clause: Callable[[Augmentation], None]
) -> None:
    clause(augmentation)


@every_mixing_augmentation
def test_who_mixes_draws(augmentation: Augmentation) -> None:
    assert tensors_of(augmentation.draw((BATCH_SIZE, 3, 8, 8), generator=seeded()))


def test_erm_leaves_the_generator_where_it_is() -> None:
    images, labels = make_batch()
    generator = seeded()
    result, targets = Erm()(images, labels, num_classes=NUM_CLASSES, generator=generator)
    assert torch.equal(generator.get_state(), seeded().get_state())
    assert torch.equal(result, images)
    assert torch.equal(targets.argmax(1), labels)


def copied_to(draw: Any, device: str) -> Any:
    if isinstance(draw, Tensor):
        return draw.to(device)
    return type(draw)(**{field.name: copied_to(getattr(draw, field.name), device) for field in fields(draw)})


def test_the_read_back_guard_sees_a_read_back() -> None:
    with no_read_back(), pytest.raises(AssertionError, match="waits for the device"):
        torch.ones(3).sum().item()


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


@every_augmentation
def test_pixels_become_bfloat16_in_the_same_step(augmentation: Augmentation) -> None:
    result, targets = from_pixels(augmentation, "cpu", torch.bfloat16)
    pixels = torch.randint(0, 256, (BATCH_SIZE, 3, 9, 6), dtype=torch.uint8, generator=seeded(5))
    generator = seeded()
    draw = augmentation.draw(pixels.shape, generator=generator)
    window = draw_window(BATCH_SIZE, crop_padding=2, hflip=True, generator=generator)
    normalization = Normalization((0.4, 0.5, 0.6), (0.2, 0.3, 0.4), device=torch.device("cpu"))
    hot = one_hot(make_batch()[1], NUM_CLASSES)
    expected = augmentation.apply(normalization(cut(pixels, window)), hot, draw)
    assert result.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(result, expected[0].to(torch.bfloat16))
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
def test_a_backend_that_cannot_run_is_refused(augmentation: Augmentation, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton", reason="Triton has no wheel for this platform")
    monkeypatch.setattr("augment.kernel.IS_INTERPRETED", False)
    images, labels = make_batch()
    settings = {name: getattr(augmentation, name) for name in parameters(type(augmentation))}
    with pytest.raises(ValueError, match="backend=triton cannot run on cpu"):
        mixed(type(augmentation)(**settings, backend="triton"), images, labels)  # type: ignore[arg-type]


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
    check_per: (["", "samples", None, 1], "batch or sample"),
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
