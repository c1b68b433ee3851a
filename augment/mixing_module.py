"""A module that mixes batches in anybody's training loop; those with names are in `augment.modules`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, TypeVar, overload

import torch
from torch import Tensor, nn

from augment.contract import Augmentation, check_probability, one_hot, parameters
from augment.errors import ParameterError
from augment.samples import LabelsGetter, labels_of, plain, take_apart
from augment.single import Combined
from augment.sometimes import Sometimes

Sample = TypeVar("Sample")
Getter = LabelsGetter | Literal["default"]
NumMixed = int | Literal["batch"]


class Mixing(nn.Module):
    """Mixes batches as an augmentation says, whether the module is in training mode or not.

    Called with images and labels, or with one sample that has both somewhere in it (tuples, lists, dictionaries);
    returns the same with both mixed. Images are ``[B, C, H, W]``, floating or uint8, and keep their dtype; videos are
    ``[B, T, C, H, W]``. Labels are integers ``[B]``, or soft ``[B, K]``; they come back as float32 ``[B, K]``, soft
    ones in their own dtype.

    A batch of fewer samples than are to be mixed, as the last one may be, is mixed with as many as it has; one of a
    single sample stays as it is.

    Args:
        augmentation: What is done, e.g. ``augment.ZetaMixup(gamma=2.8, num_mixed=4)``; it mixes batches alone, so none
            that is combined with what changes single images.
        num_classes: K; needed for labels that are integers.
        probability: That a batch is mixed, above 0 and at most 1.
        labels_getter: Returns the labels of a sample; ``default`` takes the second of two, or what a dictionary has
            under ``labels``.

    Attributes:
        mixup_enabled: Set it to False to mix no more, as timm's training does for its last epochs; labels become
            one-hot all the same.

    Raises:
        ValueError: Images, labels or the number of classes do not fit. Labels out of range are found on a CPU; on a GPU
            a device-side assertion finds them, since the host does not wait.
    """

    def __init__(
        self,
        augmentation: Augmentation,
        *,
        num_classes: int | None = None,
        probability: float = 1.0,
        labels_getter: Getter = "default",
    ) -> None:
        super().__init__()
        if num_classes is not None and (isinstance(num_classes, bool) or not isinstance(num_classes, int)):
            raise ParameterError("num_classes", num_classes, "an integer, or None for soft labels")
        if labels_getter != "default" and not callable(labels_getter):
            raise ParameterError("labels_getter", labels_getter, "a function, or default")
        _check_mixes_alone(augmentation)
        self.augmentation = augmentation
        self.num_classes = num_classes
        self.probability = check_probability("probability", probability)
        self.mixup_enabled = True
        self._labels_getter = labels_of if labels_getter == "default" else labels_getter

    @overload
    def __call__(self, images: Tensor, labels: Tensor, /) -> tuple[Tensor, Tensor]: ...

    @overload
    def __call__(self, sample: Sample, /) -> Sample: ...

    @overload
    def __call__(self, images: Tensor, labels: Tensor, third: object, /, *more: object) -> tuple[Any, ...]: ...

    def __call__(self, *inputs: Any) -> Any:
        """Mix; see the class."""
        return super().__call__(*inputs)

    def forward(self, *inputs: Any) -> Any:
        """Mix; see the class."""
        parts = take_apart(inputs if len(inputs) > 1 else inputs[0], self._labels_getter)
        images = [plain(parts.leaves[place]) for place in parts.images]
        targets = _targets(plain(parts.leaves[parts.labels]), self.num_classes)
        for image in images:
            _check_images(image, images[0], len(targets))
        if not self.mixup_enabled or len(targets) < 2:
            return parts.put_together(images, targets)
        augmentation = self._for_batch_of(len(targets))
        draw = augmentation.draw((len(targets), *images[0].shape[-3:]), generator=_generator_on(images[0].device))
        mixed = [_apply(augmentation, image, targets, draw) for image in images]
        return parts.put_together([image for image, _ in mixed], mixed[0][1])

    def extra_repr(self) -> str:
        """Return what is set, for ``print``."""
        return f"{self.augmentation}, num_classes={self.num_classes}, probability={self.probability}"

    def _for_batch_of(self, batch_size: int) -> Augmentation:
        """Return the augmentation for so many samples."""
        augmentation = _lowered(self.augmentation, batch_size)
        if self.probability < 1:
            augmentation = Sometimes(augmentation, self.probability, backend=augmentation.backend)
        return augmentation


class MixingOfMany(Mixing):
    """Mixes `num_mixed` samples, or with ``batch`` all there are; see `Mixing`."""

    def __init__(self, augmentation: Augmentation, num_mixed: NumMixed, **given: Any) -> None:
        super().__init__(augmentation, **given)
        self.num_mixed = num_mixed

    def extra_repr(self) -> str:
        """Return what is set, for ``print``."""
        told = super().extra_repr()
        return told.replace(f"num_mixed={ANY}", "num_mixed=batch") if self.num_mixed == "batch" else told


# Lowered to the size of each batch.
ANY = 2**31 - 1


def at_most(num_mixed: NumMixed) -> int:
    """Return the N of an augmentation that is to mix so many."""
    return ANY if num_mixed == "batch" else num_mixed


def _generator_on(device: torch.device) -> torch.Generator:
    """Return a generator whose seed torch's own draws.

    A generator kept by the module would be copied into each worker of a `DataLoader`: all of them would mix alike.
    """
    return torch.Generator(device).manual_seed(int(torch.randint(2**62, ())))


def _check_mixes_alone(augmentation: Augmentation) -> None:
    """Raise ParameterError for what changes single images, too: it tells bytes from normalised images by the place
    that it has in the training of an experiment, and a batch in somebody's own loop may be either.
    """
    inner = augmentation
    while isinstance(inner, Sometimes):
        inner = inner.mixing
    if isinstance(inner, Combined):
        remedy = f"Give {inner.mixing}, and change single images in the data set's transform, e.g. by torchvision's v2."
        raise ParameterError("augmentation", augmentation, "one that mixes batches alone", remedy)


def _lowered(augmentation: Augmentation, batch_size: int) -> Augmentation:
    """Return an augmentation that mixes no more samples than there are."""
    settings: Any = augmentation
    if isinstance(augmentation, Sometimes):
        return replace(augmentation, mixing=_lowered(augmentation.mixing, batch_size))
    if "num_mixed" in parameters(type(augmentation)):
        lowered: Augmentation = replace(settings, num_mixed=min(batch_size, settings.num_mixed))
        return lowered
    return augmentation


def _apply(augmentation: Augmentation, images: Tensor, targets: Tensor, draw: Any) -> tuple[Tensor, Tensor]:
    if images.dtype != torch.uint8:
        return augmentation.apply(images, targets, draw)
    mixed, soft = augmentation.apply(images.float(), targets, draw)
    return mixed.round_().to(torch.uint8), soft


def _targets(labels: Tensor, num_classes: int | None) -> Tensor:
    """Return labels as shares of classes, floating ``[B, K]``."""
    is_whole = not labels.is_floating_point() and labels.dtype != torch.bool
    if labels.dim() == 2 and num_classes in (None, labels.shape[1]):
        return labels if labels.is_floating_point() else labels.float()
    if labels.dim() == 1 and is_whole and num_classes is not None:
        _check_range(labels, num_classes)
        return one_hot(labels.long(), num_classes)
    remedy = "Pass num_classes." if labels.dim() == 1 and is_whole else "Correct them, or num_classes."
    wanted = "num_classes" if num_classes is None else num_classes
    raise ValueError(
        f"labels are {labels.dtype} {list(labels.shape)} and num_classes is {num_classes}: integers [B] with "
        f"num_classes, or [B, {wanted}] are allowed. {remedy}"
    )


def _check_range(labels: Tensor, num_classes: int) -> None:
    """Raise ValueError for a label that is no class; on a GPU the host would have to wait to know."""
    if labels.device.type != "cpu" or labels.numel() == 0:
        return
    for wrong in (int(labels.min()), int(labels.max())):
        if not 0 <= wrong < num_classes:
            raise ValueError(
                f"a label is {wrong}: 0 to {num_classes - 1} are allowed with num_classes={num_classes}. "
                "Correct num_classes, or the labels."
            )


def _check_images(images: Tensor, first: Tensor, batch_size: int) -> None:
    if not images.is_floating_point() and images.dtype != torch.uint8:
        raise ValueError(f"images are {images.dtype}: floating dtypes and uint8 are allowed.")
    if images.dim() not in (4, 5):
        raise ValueError(f"images are {list(images.shape)}: [B, C, H, W], or [B, T, C, H, W] for videos, is allowed.")
    if len(images) != batch_size:
        raise ValueError(f"there are {len(images)} images and {batch_size} labels: one label per image is allowed.")
    if images.shape[-2:] != first.shape[-2:]:
        sizes = " and ".join(str(list(each.shape[-2:])) for each in (first, images))
        raise ValueError(f"images of {sizes} are in one sample: one size is allowed.")
