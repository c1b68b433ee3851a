"""An augmentation as an experiment names it: its name and the value of each of its parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import Field

from augment import AUGMENTATIONS, Augmentation, Backend, Combined, Sometimes, gamma_min
from orchestrator.experiment.combine_spec import CombineSpec, in_epoch
from orchestrator.experiment.field_types import Frozen, call_of
from orchestrator.experiment.schedule_spec import AnySchedule, Schedule

# Where lists cut names: γ, N and α come first. An augmentation without a line here has its label.
_SHORT = {
    "mixup": "mixup α{alpha}",
    "cutmix": "cutmix α{alpha}",
    "zeta_mixup": "ζ{gamma} N{num_mixed}",
    "zeta_mixup_range": "ζ{gamma_low}-{gamma_high} N{num_mixed}",
    "cutmix_zeta_mixup": "ζ{gamma} N{num_mixed} cutmix α{alpha} p{cutmix_prob}",
    "mixup_pseries": "pseries γ{gamma}",
    "dirichlet": "dirichlet α{alpha} N{num_mixed}",
}
# Before the parameters of what is done to each image, where all are flat.
OF_IMAGES = "combine."


Held = bool | int | float | str | tuple[bool | int | float | str, ...] | None
"""A value of a parameter: `augment.can_be_held` says of it that it is one."""


class AugmentSpec(Frozen):
    """An augmentation with the value of each of its parameters.

    Attributes:
        params: Its own; those that came later are not there at their defaults.
        probability: That a batch is mixed; None for every batch.
        combine: What is done to each image before; None for nothing.
    """

    name: str
    params: dict[str, Held | AnySchedule] = Field(default_factory=dict)
    probability: float | AnySchedule | None = None
    combine: CombineSpec | None = None

    def __hash__(self) -> int:
        return hash((self.name, frozenset(self.params.items()), self.probability, self.combine))

    def build(self, *, backend: Backend = "auto") -> Augmentation:
        """Return the augmentation; where something changes from epoch to epoch, that of the first.

        Args:
            backend: What is to do its arithmetic.

        Raises:
            KeyError: There is none of this name.
            ValueError: A parameter is out of range.
        """
        make: Callable[..., Augmentation] = AUGMENTATIONS[self.name]
        now = self.at(1, of=1)
        augmentation = make(**now.params, backend=backend)
        if isinstance(now.probability, float):
            augmentation = Sometimes(augmentation, now.probability, backend=backend)
        if self.combine is not None:
            augmentation = Combined(self.combine.build(), augmentation, backend=backend)
        return augmentation

    @property
    def mixes(self) -> bool:
        """Whether it mixes samples at all."""
        return AUGMENTATIONS[self.name].mixes

    @property
    def values(self) -> dict[str, Held]:
        """All of it but the name, flat: e.g. ``gamma``, ``probability``, ``combine`` and ``combine.num_ops``.

        What changes from epoch to epoch is there as labels have it.
        """
        return {name: str(each) if isinstance(each, Schedule) else each for name, each in self._flat.items()}

    @property
    def schedules(self) -> dict[str, Schedule]:
        """What changes from epoch to epoch, by its name in `values`."""
        return {name: each for name, each in self._flat.items() if isinstance(each, Schedule)}

    def at(self, epoch: int, *, of: int) -> AugmentSpec:
        """Return what it is in an epoch, counted from 1, of a training of so many; itself if nothing changes."""
        if not self.schedules:
            return self
        update: dict[str, Any] = {"params": in_epoch(self.params, epoch, of=of)}
        if isinstance(self.probability, Schedule):
            update["probability"] = self.probability.at(epoch, of=of)
        if self.combine is not None:
            update["combine"] = self.combine.model_copy(update={"params": in_epoch(self.combine.params, epoch, of=of)})
        return self.model_copy(update=update)

    @property
    def is_below_gamma_min(self) -> bool | None:
        """Whether a γ is so small that the first sample does not outweigh the others; None where there is no γ.

        Of one that changes from epoch to epoch, that in the first.
        """
        params = in_epoch(self.params, 1, of=1)
        gamma, num_mixed = params.get("gamma", params.get("gamma_low")), params.get("num_mixed", 2)
        # Of a plug-in, they may be anything.
        if not isinstance(gamma, int | float) or not isinstance(num_mixed, int):
            return None
        return gamma < gamma_min(num_mixed)

    @property
    def label(self) -> str:
        """E.g. ``zeta_mixup(gamma=2.8, num_mixed=4)``, ``mixup(alpha=1.0, combine=rand_augment(num_ops=2))`` or
        ``zeta_mixup(gamma=linear(6.0 to 2.0), num_mixed=4)``.
        """
        beside: dict[str, Held | AnySchedule] = {} if self.probability is None else {"probability": self.probability}
        if self.combine is not None:
            beside["combine"] = self.combine.label
        return call_of(self.name, {**self.params, **beside})

    @property
    def short(self) -> str:
        """The same in few letters, e.g. ``ζ2.8 N4``, ``ζ6.0→2.0 N4`` or ``erm + trivial_augment``."""
        if self.name not in _SHORT and self.name != "erm":
            return self.label
        short = _SHORT.get(self.name, self.name).format(**{name: _in_short(each) for name, each in self.params.items()})
        short += f" per {self.params['per']}" if "per" in self.params else ""
        short += "" if self.probability is None else f" p{_in_short(self.probability)}"
        return short if self.combine is None else f"{short} + {self.combine.label}"

    @property
    def _flat(self) -> dict[str, Held | AnySchedule]:
        values: dict[str, Held | AnySchedule] = {**self.params}
        if self.probability is not None:
            values["probability"] = self.probability
        if self.combine is not None:
            values["combine"] = self.combine.name
            values |= {f"{OF_IMAGES}{name}": value for name, value in self.combine.params.items()}
        return values


def _in_short(value: object) -> object:
    return value.short if isinstance(value, Schedule) else value
