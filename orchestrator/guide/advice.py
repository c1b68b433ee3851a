"""What a first experiment with some images is well begun with, and why: each choice with its reason."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from orchestrator.amounts import counted
from orchestrator.data import Source, some_sizes
from orchestrator.experiment import VAL_FRACTION

# A network sees so many images in a training that has begun to tell augmentations apart, in an hour or less.
_SHOWN_ON_GPU, _SHOWN_ON_CPU = 1_000_000, 100_000
# With fewer steps in an epoch the learning rate falls in a few jumps.
_STEPS_OF_AN_EPOCH = 20
# A class that has so many times the images of another decides what the error says.
UNEVEN = 2.0


@dataclass(frozen=True)
class Images:
    """What was counted.

    Attributes:
        num_train: Images for training, validation taken out.
        per_class: Images of each class in the training split, by name.
        sides: The shorter side of some images, in pixels.
        all_alike: Those are squares of one size.
    """

    num_train: int
    per_class: dict[str, int]
    sides: Sequence[int]
    all_alike: bool

    @classmethod
    def of(cls, source: Source) -> Images:
        """Count, and look at the sizes of some images."""
        counts = np.bincount(source.train.labels, minlength=len(source.class_names)).tolist()
        sizes = some_sizes(source.train)
        total = len(source.train.labels)
        return cls(
            num_train=total if source.val is not None else max(round(total * (1 - VAL_FRACTION)), 1),
            per_class=dict(zip(source.class_names, counts, strict=True)),
            sides=[min(size) for size in sizes],
            all_alike=len(set(sizes)) == 1 and sizes[0][0] == sizes[0][1],
        )

    @property
    def side(self) -> int:
        """The shorter side of the median image; 0 if no image could be read."""
        return round(statistics.median(self.sides)) if self.sides else 0

    @property
    def unevenness(self) -> float:
        """How many times the images of the rarest class the most frequent has."""
        return max(self.per_class.values()) / max(min(self.per_class.values()), 1)


@dataclass(frozen=True)
class Advice:
    """Values of an experiment file, and for each why.

    Attributes:
        image_size: None: as stored.
        cache_size: None: as `image_size`.
        why_size: Of both.
        model: The network.
        why_model: Of it.
        batch_size: Of a worker.
        why_batch: Of it.
        epochs: Of a training.
        why_epochs: Of them.
        train: The other settings that the network is trained with.
        is_uneven: The classes are of so unequal size that their mean recall says more than the error.
        on_gpu: A GPU is used.
    """

    image_size: int | None
    cache_size: int | None
    why_size: str
    model: str
    why_model: str
    batch_size: int
    why_batch: str
    epochs: int
    why_epochs: str
    train: tuple[str, ...]
    is_uneven: bool
    on_gpu: bool


def advise(images: Images, *, on_gpu: bool) -> Advice:
    """Return what a first experiment is well begun with.

    Args:
        images: That it is about.
        on_gpu: Whether this machine has a GPU.
    """
    image_size, cache_size, why_size = _size(images, on_gpu=on_gpu)
    seen = image_size or images.side
    model, why_model, train = _model(seen, on_gpu=on_gpu)
    largest = 128 if on_gpu else 64 if seen <= 64 else 16
    batch_size = _power_of_two(images.num_train // _STEPS_OF_AN_EPOCH, at_least=8, at_most=largest)
    steps = max(images.num_train // batch_size, 1)
    shown, most = (_SHOWN_ON_GPU, 200) if on_gpu else (_SHOWN_ON_CPU, 100)
    epochs = min(max(round(shown / images.num_train), 5), most)
    return Advice(
        image_size=image_size,
        cache_size=cache_size,
        why_size=why_size,
        model=model,
        why_model=why_model,
        batch_size=batch_size,
        why_batch=f"{counted(steps, 'step')} in an epoch; ζ-mixup mixes inside the batch",
        epochs=epochs,
        why_epochs=f"the network sees {epochs * images.num_train:,} images; more is better, and costs as much more",
        train=train,
        is_uneven=images.unevenness >= UNEVEN,
        on_gpu=on_gpu,
    )


def _size(images: Images, *, on_gpu: bool) -> tuple[int | None, int | None, str]:
    side = images.side
    if images.all_alike and side <= 64:
        return None, None, f"all are {side} x {side} px, and stay so"
    here = f"of {len(images.sides)} images the median one has {side} px on its shorter side"
    if side >= 112:
        size = 224 if on_gpu and side >= 192 else 128
        why = here if on_gpu or side < 192 else f"{here}; no GPU here: 224 takes three times as long"
        cache = size * 8 // 7
        return size, cache if side >= cache else None, why
    return (64 if side >= 56 else 32), None, here


def _model(side: int, *, on_gpu: bool) -> tuple[str, str, tuple[str, ...]]:
    sgd = ("optimizer: sgd", "lr: 0.1", "momentum: 0.9", "weight_decay: 5.0e-4")
    if on_gpu:
        return "resnet18", "the usual first network; any of zetasweep list models", sgd
    if side <= 64:
        return "convnet", "small: no GPU here; resnet18 with one", sgd
    adamw = ("optimizer: adamw", "lr: 0.002", "weight_decay: 0.05")
    return "shufflenet_v2_x0_5", "small: no GPU here; resnet18 with one", adamw


def _power_of_two(number: int, *, at_least: int, at_most: int) -> int:
    found = at_least
    while found * 2 <= min(number, at_most):
        found *= 2
    return found
