"""A network as an experiment names it: its name, and what is said of it beside that."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from orchestrator.experiment.field_types import Frozen, Real, Text, call_of, refuse
from orchestrator.models import BY_HASH

# One value of an option, as it stands in a file.
OptionValue = bool | int | float | str | None
# Where a file of weights lies: no part of what a training is, and so of no key.
WEIGHTS_FILE = "weights_file"
_SHOWN_DIGITS = 8


class ModelSpec(Frozen):
    """A network with the value of each of its options.

    One with its name alone is written and read as that name: keys and files are as they were before there were options.

    Attributes:
        name: As `orchestrator.models` knows it.
        options: Keyword arguments of its builder, with those that the file leaves to their default.
        weights: What it begins with: the name that torchvision or timm give weights, or ``sha256:`` and the hash of a
            file; None from scratch.
        weights_file: Where that file lies, absolute; None where it is not known.
        freeze: What is not trained.
        head_lr: By how much the learning rate of the head is larger than that of the rest.
        normalization: What images are normalised with, if not as usual with these weights.
    """

    name: str
    options: dict[str, OptionValue] = Field(default_factory=dict)
    weights: Text | None = Field(
        title="what it begins with: weights that torchvision or timm publish, or a file; null is from scratch",
        default=None,
        description="a name of torchvision's or timm's for weights of this network, the path of a file .pt, .pth or "
        ".safetensors, or null",
    )
    weights_file: str | None = None
    freeze: Literal["backbone"] | None = Field(
        title="what is not trained: all before the head, where batch normalisation keeps its statistics",
        default=None,
        validate_default=True,
        description="backbone, or null to train all of it",
    )
    head_lr: Real | None = Field(
        title="by how much the learning rate of the head is larger than train.lr",
        default=None,
        gt=0,
        description="a finite number above 0: times train.lr, or null for 1",
    )
    normalization: Literal["dataset", "imagenet"] | None = Field(
        title="what images are normalised with: the mean and deviation of the data set, or ImageNet's",
        default=None,
        validate_default=True,
        description="dataset or imagenet; null is that of published weights, and dataset with a file",
    )

    @field_validator("head_lr")
    @classmethod
    def _once_is_usual(cls, head_lr: float | None) -> float | None:
        return None if head_lr == 1 else head_lr

    @field_validator("freeze", "normalization")
    @classmethod
    def _goes_with_weights(cls, value: str | None, info: ValidationInfo) -> str | None:
        weights = info.data.get("weights", "unknown")
        if value is not None and weights is None:
            raise refuse(
                "null without weights",
                "Name weights; to compare with a training from scratch, make that an entry of its own in the list.",
            )
        by_hash = isinstance(weights, str) and weights.startswith(BY_HASH)
        return None if info.field_name == "normalization" and value == "dataset" and by_hash else value

    @model_validator(mode="before")
    @classmethod
    def _of_name(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value

    @model_serializer(mode="wrap")
    def _name_if_alone(self, handler: SerializerFunctionWrapHandler) -> Any:
        fields = {field: value for field, value in handler(self).items() if value is not None and value != {}}
        return fields if len(fields) > 1 else self.name

    def __eq__(self, other: object) -> bool:
        # Wherever a file of weights lies: equal ones have equal keys.
        return isinstance(other, ModelSpec) and (self.name, self.beside) == (other.name, other.beside)

    def __hash__(self) -> int:
        return hash((self.name, frozenset(self.beside.items())))

    @property
    def beside(self) -> dict[str, OptionValue]:
        """What is said of it beside its name, in one mapping; what is None is left out."""
        own = {field: getattr(self, field) for field in OWN_FIELDS}
        return {name: value for name, value in {**own, **self.options}.items() if value is not None}

    @property
    def label(self) -> str:
        """E.g. ``convnet``, ``tinynet(width=8)`` or, with a file, ``resnet18(weights=best.pt@3fa2c19d)``."""
        return call_of(self.name, self.beside | self._shown_weights)

    @property
    def without_place(self) -> ModelSpec:
        """The same wherever the file of its weights lies: equal for equal keys."""
        return self if self.weights_file is None else self.model_copy(update={WEIGHTS_FILE: None})

    @property
    def _shown_weights(self) -> dict[str, OptionValue]:
        if self.weights is None or not self.weights.startswith(BY_HASH):
            return {}
        digits = self.weights.removeprefix(BY_HASH)[:_SHOWN_DIGITS]
        return {"weights": f"{Path(self.weights_file or '').name}@{digits}"}


# What any network may have beside the options of its own, as an experiment file says it.
OWN_FIELDS = tuple(field for field in ModelSpec.model_fields if field not in ("name", "options", WEIGHTS_FILE))
