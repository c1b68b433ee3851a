"""What every augmentation is: a draw, and arithmetic that follows from it."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from augment.errors import ParameterError
from augment.mixing import Backend, backend_on, check_backend_name, compute_dtype, prepare_pixels
from augment.pixels import Normalization, Window

Per = Literal["batch", "sample"]
PER: tuple[Per, ...] = ("batch", "sample")

_CHECK, _LATER = "check", "later"


def parameter(check: Callable[[str, Any], Any], *, default: Any = MISSING, later: bool = False) -> Any:
    """Declare a field of an augmentation that an experiment sets, and sweeps.

    Args:
        check: Takes name and value; returns the value as it is kept, or raises ParameterError.
        default: The value of an experiment that says nothing; without one it must say. Like any value it is a number, a
            word, a truth value, None, or a tuple of these.
        later: Whether there were trainings before there was the parameter: at its default nothing is said of it, so
            that these keep their names.
    """
    return field(default=default, metadata={_CHECK: check, _LATER: later})


@dataclass(frozen=True, kw_only=True)
class Augmentation(ABC):
    """Mixes the samples of one worker's batch.

    A new one is a frozen dataclass that inherits this class, or `augment.blend.Blend` if it blends whole images, and
    declares its parameters with `parameter`.

    Randomness is apart from arithmetic: `draw` needs no images, `apply` leaves nothing to chance. Neither
    waits for the device.

    Attributes:
        backend: What is to do the arithmetic: ``torch``, ``triton`` (on a GPU), or ``auto``. It changes no more than
            the last bit and is no parameter of an experiment.
        mixes: Whether it mixes samples at all: of a class whether its kind does, of an augmentation that is made of
            others whether they do.

    Raises:
        ParameterError: A parameter is out of range, or there is no such backend.
    """

    mixes: ClassVar[bool] = True

    backend: Backend = field(default="auto", repr=False)

    def __post_init__(self) -> None:
        check_backend_name(self.backend)
        keep_checked(self)

    def backend_on(self, device: torch.device) -> Literal["torch", "triton"]:
        """Return what does the arithmetic on `device`.

        Raises:
            ValueError: A backend is forced that cannot run there.
        """
        return backend_on(device, self.backend)

    @property
    @abstractmethod
    def min_batch_size(self) -> int:
        """The smallest batch, in samples of one worker, that can be mixed."""

    @abstractmethod
    def draw(self, shape: Sequence[int], *, generator: torch.Generator) -> Any:
        """Draw all that is random for a batch.

        Args:
            shape: Of the images, ``(B, C, H, W)``.
            generator: The only source of randomness; the draw's tensors are on its device.

        Returns:
            A frozen dataclass of tensors, made for `apply`.

        Raises:
            ValueError: B is smaller than `min_batch_size`.
        """

    @abstractmethod
    def apply(self, images: Tensor, targets: Tensor, draw: Any) -> tuple[Tensor, Tensor]:
        """Mix as drawn; the inputs stay as they are.

        Args:
            images: Floating ``[B, C, H, W]``.
            targets: float32 ``[B, num_classes]``, rows sum to 1.
            draw: From `draw`, for the same shape and on the same device.

        Returns:
            Images and targets; shape, dtype and memory format of the inputs.
        """

    def apply_to_pixels(
        self,
        pixels: Tensor,
        targets: Tensor,
        draw: Any,
        *,
        window: Window | None,
        normalization: Normalization,
        dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor]:
        """Crop, mirror, normalise and mix raw images.

        Args:
            pixels: uint8 ``[B, C, H, W]``.
            targets: float32 ``[B, num_classes]``, rows sum to 1.
            draw: From `draw`, for the same shape and on the same device.
            window: Cut out of each sample before it is mixed.
            normalization: On the same device.
            dtype: Of the images returned.

        Returns:
            Images ``[B, C, H, W]``, channels_last, and targets like those given.
        """
        images = prepare_pixels(pixels, window=window, normalization=normalization, dtype=dtype, backend=self.backend)
        return self.apply(images, targets, draw)

    def __call__(
        self, images: Tensor, labels: Tensor, *, num_classes: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw for this batch and mix it.

        Args:
            images: Floating ``[B, C, H, W]``, in any memory format.
            labels: int64 ``[B]`` in 0..`num_classes`-1, on the device of `images`.
            num_classes: K.
            generator: The only source of randomness, on the device of `images`.

        Returns:
            Images of the same shape, dtype and memory format (`images` itself if nothing is mixed), and float32
            ``[B, K]`` targets whose rows sum to 1, for ``torch.nn.functional.cross_entropy``.

        Raises:
            ValueError: The batch is too small, `images` are not floating, devices or shapes do not agree, or the
                backend cannot run there.
            RuntimeError: A label is out of range.
        """
        compute_dtype(images)
        self.backend_on(images.device)
        check_batch(images, labels, generator)
        draw = self.draw(images.shape, generator=generator)
        return self.apply(images, one_hot(labels, num_classes), draw)


def parameters(augmentation: type[Any]) -> dict[str, Field[Any]]:
    """Return the fields of an augmentation, of batches or of single images, that an experiment sets, by name."""
    return {entry.name: entry for entry in fields(augmentation) if _CHECK in entry.metadata}


def check_parameter(augmentation: type[Any], name: str, value: object) -> Any:
    """Return `value` as the augmentation keeps it; raise ParameterError if parameter `name` cannot be that."""
    return parameters(augmentation)[name].metadata[_CHECK](name, value)


def can_be_held(value: object) -> bool:
    """Return whether a parameter can be `value`: what names a training holds numbers, words and tuples of these."""
    if isinstance(value, tuple):
        return all(isinstance(each, bool | int | float | str) for each in value)
    return value is None or isinstance(value, bool | int | float | str)


def is_unsaid(entry: Field[Any], value: object) -> bool:
    """Return whether nothing is said of a parameter that is `value`: it came later, and is what was before it."""
    return bool(entry.metadata[_LATER]) and value == entry.default


def keep_checked(settings: Any) -> None:
    """Bring the parameters of a frozen dataclass into the form in which they are kept; raise ParameterError."""
    for name, entry in parameters(type(settings)).items():
        object.__setattr__(settings, name, entry.metadata[_CHECK](name, getattr(settings, name)))


def one_hot(labels: Tensor, num_classes: int) -> Tensor:
    """Return float32 ``[B, num_classes]``, 1 where `labels` (int64 ``[B]``) point.

    `torch.nn.functional.one_hot` reads the largest label back to the host on some devices. A scatter does not, and
    still fails on a label out of range: RuntimeError, on CUDA a device-side assertion.
    """
    hot = torch.zeros((labels.shape[0], num_classes), dtype=torch.float32, device=labels.device)
    return hot.scatter_(1, labels.unsqueeze(1), 1.0)


def check_batch(images: Tensor, labels: Tensor, generator: torch.Generator) -> None:
    """Raise ValueError unless images, labels and generator fit together."""
    if images.dim() != 4:
        raise ValueError(
            f"images are {list(images.shape)}: [B, C, H, W] is allowed. Use augment.mix for anything else."
        )
    if labels.dtype != torch.int64 or labels.shape != images.shape[:1]:
        raise ValueError(
            f"labels are {labels.dtype} {list(labels.shape)}: torch.int64 [{images.shape[0]}] is allowed, "
            "one label per image."
        )
    here, there = images.device, generator.device
    # A generator made for "cuda" has no index: it means the current device.
    if here.type != there.type or (None not in (here.index, there.index) and here.index != there.index):
        raise ValueError(
            f"generator is on {there}, images are on {here}: the draw would have to be copied at every step. "
            f"Make it with torch.Generator({str(here)!r})."
        )


def check_batch_size(augmentation: Augmentation, batch_size: int) -> None:
    """Raise ValueError if `batch_size` samples are too few for `augmentation`."""
    if batch_size < augmentation.min_batch_size:
        raise ValueError(
            f"{augmentation} needs at least {augmentation.min_batch_size} samples, the batch has {batch_size}: "
            "mixing stays inside one worker's batch. Raise batch_size_per_worker."
        )


def check_positive(name: str, value: Any) -> float:
    """Return `value` as a float; raise ParameterError unless it is a finite number above 0.

    A float also for 2: ``gamma: 2`` and ``gamma: 2.0`` are one setting with one name.
    """
    # An integer above the largest float is none, and `math.isfinite` cannot be asked about it.
    if not _is_number(value) or not 0 < value <= sys.float_info.max:
        raise ParameterError(name, value, "a finite number above 0")
    return float(value)


def check_fraction(name: str, value: Any) -> float:
    """Return `value` as a float; raise ParameterError unless it is a number above 0 and below 1."""
    if not _is_number(value) or not 0 < value < 1:
        raise ParameterError(name, value, "a number above 0 and below 1")
    return float(value)


def check_probability(name: str, value: Any) -> float:
    """Return `value` as a float; raise ParameterError unless it is a number above 0 and at most 1."""
    if not _is_number(value) or not 0 < value <= 1:
        raise ParameterError(name, value, "a number above 0 and at most 1")
    return float(value)


def check_per(name: str, value: Any) -> Per:
    """Return `value`; raise ParameterError unless it is ``batch`` or ``sample``."""
    if value not in PER:
        raise ParameterError(name, value, "batch or sample")
    found: Per = value
    return found


def check_num_mixed(name: str, value: Any) -> int:
    """Return `value`; raise ParameterError unless it is an integer of at least 2."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 2:
        raise ParameterError(name, value, "an integer of at least 2")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
