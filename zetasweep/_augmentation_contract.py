"""What holds for every augmentation that mixes the samples of a batch."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from augment import (
    Augmentation,
    Normalization,
    ParameterError,
    check_parameter,
    cut,
    draw_window,
    one_hot,
    parameters,
)
from zetasweep._clauses import refused
from zetasweep._fake_cuda import some_cuda

BATCH_SIZE, NUM_CLASSES = 12, 5
HALF_TO_DOUBLE = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
FORMATS = (torch.contiguous_format, torch.channels_last)


def seeded(seed: int = 0, device: str = "cpu") -> torch.Generator:
    """Return a generator of its own."""
    return torch.Generator(device).manual_seed(seed)


def make_batch(channels: int = 3, device: str = "cpu") -> tuple[Tensor, Tensor]:
    """Return images float32 [12, channels, 9, 6] in [0, 1), and labels int64 [12]; always the same."""
    generator = seeded(99)
    images = torch.rand((BATCH_SIZE, channels, 9, 6), generator=generator)
    return images.to(device), torch.randint(NUM_CLASSES, (BATCH_SIZE,), generator=generator).to(device)


def mixed(augmentation: Augmentation, images: Tensor, labels: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return what an augmentation makes of a batch with a generator of this seed."""
    generator = seeded(seed, images.device.type)
    return augmentation(images, labels, num_classes=NUM_CLASSES, generator=generator)


def settings_of(augmentation: Augmentation) -> dict[str, Any]:
    """Return the value of each of its parameters."""
    return {name: getattr(augmentation, name) for name in parameters(type(augmentation))}


def tensors_of(draw: Any) -> list[Tensor]:
    """Return the tensors of a draw, those of the draws inside it included."""
    if isinstance(draw, Tensor):
        return [draw]
    return [tensor for entry in fields(draw) for tensor in tensors_of(getattr(draw, entry.name))]


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
    """Return a context in which nothing may be read back."""
    return NoReadBack()  # type: ignore[no-untyped-call]


def images_keep_shape_dtype_and_memory_format(augmentation: Augmentation) -> None:
    """Whatever they are."""
    for channels in (1, 3):
        given, labels = make_batch(channels)
        for dtype in HALF_TO_DOUBLE:
            for memory_format in FORMATS:
                # Not `contiguous`: it leaves an image of one channel as it is, whose strides tell the formats apart.
                images = torch.empty_like(given, dtype=dtype, memory_format=memory_format).copy_(given)
                result, _ = mixed(augmentation, images, labels)
                before = (images.shape, dtype, images.stride())
                assert (result.shape, result.dtype, result.stride()) == before, f"{before} of {memory_format}"


def targets_are_distributions_in_float32(augmentation: Augmentation) -> None:
    """Of no class less than nothing, and 1 in all."""
    images, labels = make_batch()
    for dtype in HALF_TO_DOUBLE:
        _, targets = mixed(augmentation, images.to(dtype), labels)
        assert (targets.shape, targets.dtype) == ((BATCH_SIZE, NUM_CLASSES), torch.float32)
        assert targets.min() >= 0
        # Each of the K entries is rounded once to float32.
        assert (targets.double().sum(1) - 1).abs().max() <= NUM_CLASSES * torch.finfo(torch.float32).eps


def targets_follow_the_images(augmentation: Augmentation) -> None:
    """The share of a class in a target is its share of the image."""
    _, labels = make_batch()
    # One channel per class, bright where the label is: a channel's mean brightness is the share of its class.
    images = torch.eye(NUM_CLASSES, dtype=torch.float64)[labels][:, :, None, None].expand(-1, -1, 7, 11).contiguous()
    for seed in range(5):
        result, targets = mixed(augmentation, images, labels, seed)
        torch.testing.assert_close(targets.double(), result.mean(dim=(2, 3)), atol=2e-7, rtol=0)


def one_seed_gives_one_result(augmentation: Augmentation) -> None:
    """So that a training can be repeated, and gone on with."""
    images, labels = make_batch()
    first, again = mixed(augmentation, images, labels, seed=7), mixed(augmentation, images, labels, seed=7)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])


def consecutive_calls_differ(augmentation: Augmentation) -> None:
    """Unless nothing is drawn."""
    images, labels = make_batch()
    if not tensors_of(augmentation.draw(images.shape, generator=seeded())):
        return
    generator = seeded()
    results = [augmentation(images, labels, num_classes=NUM_CLASSES, generator=generator)[0] for _ in range(6)]
    assert any(not torch.equal(results[0], other) for other in results[1:])


def global_generators_are_neither_read_nor_moved(augmentation: Augmentation) -> None:
    """Those of torch, NumPy and Python: the generator that is given is the only source."""
    images, labels = make_batch()
    with torch.random.fork_rng():
        torch.manual_seed(1)
        first, _ = mixed(augmentation, images, labels)
        torch.manual_seed(2)
        torch_state, numpy_state, python_state = torch.get_rng_state(), np.random.get_state(), random.getstate()
        second, _ = mixed(augmentation, images, labels)
        assert torch.equal(first, second), "torch's is read"
        assert torch.equal(torch.get_rng_state(), torch_state), "torch's is moved"
        np.testing.assert_equal(np.random.get_state(), numpy_state)
        assert random.getstate() == python_state, "Python's is moved"


def inputs_stay_as_they_are(augmentation: Augmentation) -> None:
    """Nothing is changed in place."""
    images, labels = make_batch()
    before = images.clone(), labels.clone()
    mixed(augmentation, images, labels)
    assert torch.equal(images, before[0])
    assert torch.equal(labels, before[1])


def draw_and_apply_are_the_call(augmentation: Augmentation) -> None:
    """All that is random is in the draw, which may be applied again."""
    images, labels = make_batch()
    draw = augmentation.draw(images.shape, generator=seeded(3))
    untouched = copy.deepcopy(draw)
    for _ in range(2):
        applied = augmentation.apply(images, one_hot(labels, NUM_CLASSES), draw)
        for result, expected in zip(applied, mixed(augmentation, images, labels, seed=3), strict=True):
            assert torch.equal(result, expected)
    for drawn, before in zip(tensors_of(draw), tensors_of(untouched), strict=True):
        assert torch.equal(drawn, before)


def a_draw_is_frozen(augmentation: Augmentation) -> None:
    """It is a dataclass, and no part of it can be replaced."""
    draw = augmentation.draw((BATCH_SIZE, 3, 8, 8), generator=seeded())
    for entry in fields(draw):
        with refused(FrozenInstanceError):
            setattr(draw, entry.name, None)


def arithmetic_loses_no_more_than_one_rounding(augmentation: Augmentation) -> None:
    """However few bits the images have."""
    images, labels = make_batch()
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        given = images.to(dtype)
        exact, _ = mixed(augmentation, given.double(), labels)
        result, _ = mixed(augmentation, given, labels)
        # The result's own rounding, and below it one float32 rounding per weight, product and sum of at most B terms.
        rounding = exact.abs() * torch.finfo(dtype).eps / 2
        allowed = rounding + 3 * BATCH_SIZE * torch.finfo(torch.float32).eps
        assert ((result.double() - exact).abs() <= allowed).all(), f"it does in {dtype}"


def autocast_changes_nothing(augmentation: Augmentation) -> None:
    """A training in bf16 calls it inside."""
    images, labels = make_batch()
    expected = mixed(augmentation, images, labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = mixed(augmentation, images, labels)
    assert torch.equal(result[0], expected[0])
    assert torch.equal(result[1], expected[1])


def the_host_reads_nothing_back(augmentation: Augmentation) -> None:
    """On a GPU the host would wait for it, at each step."""
    images, labels = make_batch()
    with no_read_back():
        mixed(augmentation, images, labels)


def on_a_gpu_nothing_waits_and_nothing_is_elsewhere(augmentation: Augmentation) -> None:
    """Draw and arithmetic are on the device of the images, and the host asks it for nothing."""
    with some_cuda() as cuda:
        pixels = torch.zeros((BATCH_SIZE, 3, 9, 6), dtype=torch.uint8, device=cuda.device)
        labels = make_batch()[1].to(cuda.device)
        normalization = Normalization((0.4, 0.5, 0.6), (0.2, 0.3, 0.4), device=cuda.device)
        generator = torch.Generator(cuda.device).manual_seed(0)

        def step() -> tuple[Tensor, ...]:
            draw = augmentation.draw(pixels.shape, generator=generator)
            window = draw_window(BATCH_SIZE, crop_padding=2, hflip=True, generator=generator)
            images, targets = augmentation.apply_to_pixels(
                pixels,
                one_hot(labels, NUM_CLASSES),
                draw,
                window=window,
                normalization=normalization,
                dtype=torch.bfloat16,
            )
            again, _ = augmentation(images, labels, num_classes=NUM_CLASSES, generator=generator)
            return images, targets, again, *tensors_of(draw)

        step()  # brings what is kept, such as tables, to the GPU
        with cuda.no_waits():
            results = step()
    assert all(result.device == cuda.device for result in results)


def pixels_are_cropped_mirrored_normalised_and_mixed(augmentation: Augmentation) -> None:
    """What a training does with a batch of raw images is what it does with normalised ones."""
    pixels = torch.randint(0, 256, (BATCH_SIZE, 3, 9, 6), dtype=torch.uint8, generator=seeded(5))
    hot = one_hot(make_batch()[1], NUM_CLASSES)
    generator = seeded()
    draw = augmentation.draw(pixels.shape, generator=generator)
    window = draw_window(BATCH_SIZE, crop_padding=2, hflip=True, generator=generator)
    normalization = Normalization((0.4, 0.5, 0.6), (0.2, 0.3, 0.4), device=torch.device("cpu"))
    result, targets = augmentation.apply_to_pixels(
        pixels, hot, draw, window=window, normalization=normalization, dtype=torch.float32
    )
    expected = augmentation.apply(normalization(cut(pixels, window)), hot, draw)
    assert result.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(result, expected[0])
    assert torch.equal(targets, expected[1])


def a_batch_that_is_too_small_is_refused(augmentation: Augmentation) -> None:
    """And one that is just large enough is mixed."""
    images, labels = make_batch()
    fits = augmentation.min_batch_size
    mixed(augmentation, images[:fits], labels[:fits])
    with refused(ValueError, saying="mixing stays inside one worker's batch"):
        mixed(augmentation, images[: fits - 1], labels[: fits - 1])


def images_that_are_not_floating_are_refused(augmentation: Augmentation) -> None:
    """Raw pixels go another way."""
    images, labels = make_batch()
    for dtype in (torch.uint8, torch.int64, torch.bool, torch.complex64):
        with refused(ValueError, saying=f"{dtype} cannot be mixed"):
            mixed(augmentation, images.to(dtype), labels)


def images_of_other_dimensions_are_refused(augmentation: Augmentation) -> None:
    """[B, C, H, W] is what there is."""
    images, labels = make_batch()
    for wrong in (images.flatten(1), images.unsqueeze(2), images[:, 0]):
        with refused(ValueError, saying="[B, C, H, W] is allowed"):
            mixed(augmentation, wrong, labels)


def an_unknown_backend_is_refused(augmentation: Augmentation) -> None:
    """When it is made."""
    unknown: tuple[Any, ...] = ("cuda", "", None)
    for backend in unknown:
        with refused(ValueError, saying="auto, torch or triton is"):
            type(augmentation)(**settings_of(augmentation), backend=backend)


def labels_that_do_not_fit_are_refused(augmentation: Augmentation) -> None:
    """One of type int64 for each image."""
    images, labels = make_batch()
    for wrong in (labels[1:], labels.int(), labels.float(), labels.unsqueeze(1)):
        with refused(ValueError, saying="torch.int64 [12] is allowed"):
            mixed(augmentation, images, wrong)


def a_label_out_of_range_fails(augmentation: Augmentation) -> None:
    """Rather than being counted for another class."""
    images, labels = make_batch()
    with refused(RuntimeError, saying="out of bounds"):
        mixed(augmentation, images, torch.full_like(labels, NUM_CLASSES))


def a_generator_on_another_device_is_refused(augmentation: Augmentation) -> None:
    """The draw would have to be copied at every step."""
    images, labels = make_batch()
    with refused(ValueError, saying="generator is on cpu, images are on meta"):
        augmentation(images.to("meta"), labels.to("meta"), num_classes=NUM_CLASSES, generator=seeded())


def settings_are_a_frozen_value(augmentation: Augmentation) -> None:
    """Equal settings are equal, and none changes."""
    twin = copy.deepcopy(augmentation)
    assert twin == augmentation
    assert hash(twin) == hash(augmentation)
    with refused(FrozenInstanceError):
        augmentation.backend = "torch"  # type: ignore[misc]


def no_parameter_is_nan(augmentation: Augmentation) -> None:
    """A ParameterError names the parameter, when it is made and when a value is checked by itself."""
    kind, settings = type(augmentation), settings_of(augmentation)
    for name in settings:
        with refused(ParameterError, saying=f"{name}=nan is not allowed"):
            kind(**{**settings, name: float("nan")})
        with refused(ParameterError, saying=f"{name}=nan is not allowed"):
            check_parameter(kind, name, float("nan"))


AUGMENTATION_CLAUSES: tuple[Callable[[Augmentation], None], ...] = (
    images_keep_shape_dtype_and_memory_format,
    targets_are_distributions_in_float32,
    targets_follow_the_images,
    one_seed_gives_one_result,
    consecutive_calls_differ,
    global_generators_are_neither_read_nor_moved,
    inputs_stay_as_they_are,
    draw_and_apply_are_the_call,
    a_draw_is_frozen,
    arithmetic_loses_no_more_than_one_rounding,
    autocast_changes_nothing,
    the_host_reads_nothing_back,
    on_a_gpu_nothing_waits_and_nothing_is_elsewhere,
    pixels_are_cropped_mirrored_normalised_and_mixed,
    a_batch_that_is_too_small_is_refused,
    images_that_are_not_floating_are_refused,
    images_of_other_dimensions_are_refused,
    an_unknown_backend_is_refused,
    labels_that_do_not_fit_are_refused,
    a_label_out_of_range_fails,
    a_generator_on_another_device_is_refused,
    settings_are_a_frozen_value,
    no_parameter_is_nan,
)
