"""What is done to each image before mixing, as an experiment names it: its name and the value of each parameter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import Field

from augment import SINGLE_IMAGES, SingleImages
from orchestrator.experiment.field_types import Frozen, call_of
from orchestrator.experiment.schedule_spec import AnySchedule, Schedule

Value = int | float | str | tuple[float, float] | AnySchedule


class CombineSpec(Frozen):
    """An augmentation of single images with the value of each of its parameters."""

    name: str
    params: dict[str, Value] = Field(default_factory=dict)

    def __hash__(self) -> int:
        return hash((self.name, frozenset(self.params.items())))

    def build(self) -> SingleImages:
        """Return the augmentation; where something changes, that of the first epoch.

        Raises:
            KeyError: There is none of this name.
            ValueError: A parameter is out of range.
        """
        make: Callable[..., SingleImages] = SINGLE_IMAGES[self.name]
        return make(**in_epoch(self.params, 1, of=1))

    @property
    def label(self) -> str:
        """E.g. ``rand_augment(magnitude=9, num_ops=2)``."""
        return call_of(self.name, self.params)


def in_epoch(params: Mapping[str, Any], epoch: int, *, of: int) -> dict[str, Any]:
    """Return parameters as they are in an epoch, counted from 1, of a training of so many."""
    return {name: each.at(epoch, of=of) if isinstance(each, Schedule) else each for name, each in params.items()}
