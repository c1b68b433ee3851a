"""An augmentation as an experiment names it: its name and the value of each of its parameters."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import Field

from augment import AUGMENTATIONS, Augmentation, Backend, gamma_min
from orchestrator.experiment.field_types import Frozen, call_of


class AugmentSpec(Frozen):
    """An augmentation with the value of each of its parameters."""

    name: str
    params: dict[str, int | float] = Field(default_factory=dict)

    def __hash__(self) -> int:
        return hash((self.name, frozenset(self.params.items())))

    def build(self, *, backend: Backend = "auto") -> Augmentation:
        """Return the augmentation.

        Args:
            backend: What is to do its arithmetic.

        Raises:
            KeyError: There is none of this name.
            ValueError: A parameter is out of range.
        """
        make: Callable[..., Augmentation] = AUGMENTATIONS[self.name]
        return make(**self.params, backend=backend)

    @property
    def is_below_gamma_min(self) -> bool | None:
        """Whether a γ is so small that the first sample does not outweigh the others; None where there is no γ."""
        gamma = self.params.get("gamma", self.params.get("gamma_low"))
        return None if gamma is None else gamma < gamma_min(int(self.params.get("num_mixed", 2)))

    @property
    def label(self) -> str:
        """E.g. ``zeta_mixup(gamma=2.8, num_mixed=4)``."""
        return call_of(self.name, self.params)
