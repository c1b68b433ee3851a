"""How a cell's numbers are computed, as far as it changes their last bits: what its key holds of `resources`."""

from __future__ import annotations

from typing import Literal

from orchestrator.experiment.field_types import Frozen

Compile = Literal["off", "default", "max-autotune"]
Tf32 = Literal["convolutions", "all", "none"]
USUAL_TF32: Tf32 = "convolutions"


class ArithmeticSpec(Frozen):
    """What is not as usual of the arithmetic; None is as usual.

    Attributes:
        compile: ``default`` or ``max-autotune`` where the step is compiled.
        deterministic: False where cuDNN takes whichever algorithm is fastest at the moment.
        tf32: ``all`` or ``none``; as usual cuDNN's convolutions of float32 round to TensorFloat-32, and products of
            matrices do not.
    """

    compile: Compile | None = None
    deterministic: bool | None = None
    tf32: Tf32 | None = None

    @property
    def values(self) -> dict[str, str | bool]:
        """All that is not as usual, under the names of the experiment file."""
        return {f"resources.{name}": value for name, value in self.model_dump(exclude_none=True).items()}


def arithmetic_of(*, on_gpu: bool, compile: Compile, deterministic: bool, tf32: Tf32) -> ArithmeticSpec | None:
    """Return what is not as usual; None if all is. On a CPU neither cuDNN nor TensorFloat-32 is there."""
    found = ArithmeticSpec(
        compile=None if compile == "off" else compile,
        deterministic=False if on_gpu and not deterministic else None,
        tf32=tf32 if on_gpu and tf32 != USUAL_TF32 else None,
    )
    return found if found.values else None
