"""What every augmentation is: a draw, and arithmetic that follows from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor


class Augmentation(Protocol):
    """Mixes the samples of one worker's batch; inherit it to get the call.

    Randomness is apart from arithmetic: `draw` needs no images, `apply` leaves nothing to chance. Neither
    waits for the device.

    Attributes:
        backend: What does the arithmetic: ``"torch"``, or ``"none"`` where there is none.
    """

    backend: ClassVar[str]

    @property
    def min_batch_size(self) -> int:
        """The smallest batch, in samples of one worker, that can be mixed."""
        ...

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
        ...

    def apply(self, images: Tensor, targets: Tensor, draw: Any) -> tuple[Tensor, Tensor]:
        """Mix as drawn; the inputs stay as they are.

        Args:
            images: Floating ``[B, C, H, W]``.
            targets: float32 ``[B, num_classes]``, rows sum to 1.
            draw: From `draw`, for the same shape and on the same device.

        Returns:
            Images and targets; shape, dtype and memory format of the inputs.
        """
        ...

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
            ValueError: The batch is too small, `images` are not floating, or devices or shapes do not agree.
        """
        check_batch(images, labels, generator)
        draw = self.draw(images.shape, generator=generator)
        return self.apply(images, one_hot(labels, num_classes), draw)


def one_hot(labels: Tensor, num_classes: int) -> Tensor:
    """Return float32 ``[B, num_classes]``, 1 where `labels` (int64 ``[B]``) point.

    `torch.nn.functional.one_hot` reads the largest label back to the host on some devices. A scatter does not, and
    still fails on a label out of range: RuntimeError, on CUDA a device-side assertion.
    """
    hot = torch.zeros((labels.shape[0], num_classes), dtype=torch.float32, device=labels.device)
    return hot.scatter_(1, labels.unsqueeze(1), 1.0)


def compute_dtype(images: Tensor) -> torch.dtype:
    """Return the dtype to mix `images` in: at least float32, as bfloat16 weights would no longer sum to 1.

    Raises:
        ValueError: `images` are not floating: a mixed integer would be cut off.
    """
    if not images.is_floating_point():
        raise ValueError(
            f"images of dtype {images.dtype} cannot be mixed: floating dtypes are allowed. "
            "Convert them, e.g. with images.float()."
        )
    return torch.promote_types(images.dtype, torch.float32)


def check_batch(images: Tensor, labels: Tensor, generator: torch.Generator) -> None:
    """Raise ValueError unless images, labels and generator fit together."""
    compute_dtype(images)
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


def check_positive(name: str, value: float) -> float:
    """Return `value` as a float; raise ValueError unless it is a finite number above 0.

    A float also for 2: ``gamma: 2`` and ``gamma: 2.0`` are one setting with one name.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name}={value!r} is not allowed: a finite number above 0 is.")
    return float(value)
