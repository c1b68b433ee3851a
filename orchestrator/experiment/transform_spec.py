"""What is done to images in training: the options that have options of their own."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from augment import RandomResizedCrop
from orchestrator.experiment.field_types import Frozen, Real

_Range = tuple[Real, Real]
_Strength = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False, description="a finite number, at least 0")]


class ResizedCropSpec(Frozen):
    """What `augment.RandomResizedCrop` takes."""

    scale: _Range = Field(
        title="share of the area that a crop has",
        default=(0.08, 1.0),
        description="two shares of the area, above 0, at most 1, the smaller first",
    )
    ratio: _Range = Field(
        title="width to height of a crop",
        default=(3 / 4, 4 / 3),
        description="two ratios of width to height, above 0, the smaller first",
    )

    @field_validator("scale", "ratio")
    @classmethod
    def _possible(cls, value: tuple[float, float], info: ValidationInfo) -> tuple[float, float]:
        RandomResizedCrop(**{str(info.field_name): value})
        return value


class ColorJitterSpec(Frozen):
    """What `augment.ColorJitter` takes."""

    brightness: _Strength = Field(default=0.0, title="strength of the change of brightness")
    contrast: _Strength = Field(default=0.0, title="strength of the change of contrast")
    saturation: _Strength = Field(default=0.0, title="strength of the change of saturation")
    hue: Real = Field(
        title="largest shift of the hue, in turns of the colour circle",
        default=0.0,
        ge=0,
        le=0.5,
        description="a number from 0 to 0.5",
    )
