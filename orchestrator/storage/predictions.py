"""What a model says of each test image, as a finished cell keeps it: one compressed file of arrays, written whole and
read without executing what is in it.
"""

from __future__ import annotations

import io
from collections.abc import Collection
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import UserError
from orchestrator.storage.atomic import written_whole
from orchestrator.storage.checkpoints import DamagedError, opened_archive, opened_sound

FORMAT = 1
# Of more classes the logits would take more room than the weights of many a model.
LOGITS_UP_TO = 100


@dataclass(frozen=True, eq=False)
class Predictions:
    """The predictions for a test split, in its own order, however many ranks made them.

    Attributes:
        labels: Unsigned [n], of the smallest type that has room for all classes.
        predicted: Likewise: the most likely class, of equal ones the first.
        loss: float32 [n]: the cross-entropy, -log of the probability of the true class. It tells apart what that
            probability in float32 does not: all that is near 1, and below 1e-45.
        confidence: float32 [n]: the probability of `predicted`.
        order: SHA-256 (hex) over which images, with which labels, are tested, in their order: images of equal places
            are the same only where it is the same.
        logits: float16 [n, num_classes], less the largest of each image, so that half precision is finest where the
            probability is: ``softmax`` gives the probabilities. None of more than ``LOGITS_UP_TO`` classes.
        groups: int32 [n], numbered from 0: what each image shows, e.g. which lesion; None if it is not known.

    Raises:
        ValueError: An array has not its type or shape, or a value is impossible.
    """

    labels: NDArray[np.unsignedinteger[Any]]
    predicted: NDArray[np.unsignedinteger[Any]]
    loss: NDArray[np.float32]
    confidence: NDArray[np.float32]
    order: str
    logits: NDArray[np.float16] | None = None
    groups: NDArray[np.int32] | None = None

    def __post_init__(self) -> None:
        _check("labels", self.labels, "u", self.labels.shape[:1])
        shape = self.labels.shape
        _check("predicted", self.predicted, "u", shape)
        _check("loss", self.loss, "f4", shape, at_least=0)
        _check("confidence", self.confidence, "f4", shape, at_least=0, at_most=1)
        if self.logits is not None:
            _check("logits", self.logits, "f2", (*shape, *self.logits.shape[1:2]), at_most=0)
            of_classes = np.concatenate([self.labels, self.predicted])
            if of_classes.max(initial=0) >= self.logits.shape[1]:
                raise ValueError(f"a label of {of_classes.max()} with logits of {self.logits.shape[1]} classes")
        if self.groups is not None:
            _check("groups", self.groups, "i4", shape, at_least=0)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def true_probability(self) -> NDArray[np.float32]:
        """The probability of the true class, float32 [n]."""
        return np.exp(-self.loss)

    def save(self, path: Path) -> None:
        """Write them to `path`, whole or not at all: the same bytes for the same predictions.

        Raises:
            OSError: The disk is full or not writable; the file that was there stays.
        """
        found = {field.name: getattr(self, field.name) for field in fields(self)} | {"format": FORMAT}
        arrays: dict[str, Any] = {name: np.asarray(value) for name, value in found.items() if value is not None}
        # In memory: zipfile hides an error of the disk behind its own.
        content = io.BytesIO()
        np.savez_compressed(content, **arrays)
        with written_whole(path) as file:
            file.write(content.getbuffer())

    @classmethod
    def load(cls, path: Path) -> Predictions | None:
        """Return what `save` wrote to `path`; None if there is no such file.

        Raises:
            DamagedError: Its bytes are others than those that were written, or no predictions.
            UserError: It is of a later version's format.
        """
        if not path.exists():
            return None
        with opened_sound(path) as file, np.load(file, allow_pickle=False) as archive:
            arrays = dict(archive)
            try:
                _check_format(path, arrays.pop("format"))
                return cls(**arrays | {"order": str(arrays["order"])})
            except (KeyError, TypeError, AttributeError) as error:
                raise DamagedError(f"{path}: damaged (it holds {', '.join(arrays) or 'nothing'})") from error


@dataclass(frozen=True, eq=False)
class SomePredictions:
    """Those arrays of `Predictions` that were asked for; None what was not, or is not kept. Their values are as read.

    To read all of a thousand cells, logits above all, takes as long as to ask MLflow for their metrics.
    """

    order: str
    labels: NDArray[np.unsignedinteger[Any]]
    predicted: NDArray[np.unsignedinteger[Any]] | None = None
    loss: NDArray[np.float32] | None = None
    confidence: NDArray[np.float32] | None = None
    logits: NDArray[np.float16] | None = None
    groups: NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def load(cls, path: Path, names: Collection[str]) -> SomePredictions | None:
        """Return order, labels and the arrays of these names, as `Predictions.save` wrote them; None without a file.

        Raises:
            DamagedError: The bytes that were read are others than those that were written, or no predictions.
            UserError: It is of a later version's format.
        """
        if not path.exists():
            return None
        with opened_archive(path) as file, np.load(file, allow_pickle=False) as archive:
            try:
                _check_format(path, archive["format"])
                order, labels = str(archive["order"]), archive["labels"]
                found = {name: archive[name] for name in names if name in archive.files and name != "labels"}
                if any(len(array) != len(labels) for array in found.values()):
                    raise DamagedError(f"{path}: damaged (its arrays are not of the same images)")
                return cls(order, labels, **found)
            except (KeyError, TypeError, AttributeError) as error:
                raise DamagedError(f"{path}: damaged (it holds {', '.join(archive.files) or 'nothing'})") from error


def _check_format(path: Path, found: NDArray[Any]) -> None:
    if int(found) > FORMAT:
        raise UserError(
            f"{path}: its format is {int(found)}, and this version of zetasweep reads {FORMAT}",
            remedy="read it with the version that wrote it",
        )


def _check(
    name: str,
    array: NDArray[Any],
    kind: str,
    shape: tuple[int, ...],
    *,
    at_least: float = -np.inf,
    at_most: float = np.inf,
) -> None:
    """Raise ValueError if an array has not its shape, its type (or kind of type), or values that are possible."""
    if array.shape != shape or kind not in (array.dtype.kind, array.dtype.str[1:]):
        raise ValueError(f"{name} is {array.dtype} {array.shape}, not {kind} {shape}")
    # NaN fails either comparison.
    if array.size and not (np.isfinite(array).all() and at_least <= array.min() and array.max() <= at_most):
        raise ValueError(f"{name} has a value that is not finite, or not in [{at_least:g}, {at_most:g}]")
