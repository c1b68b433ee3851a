"""What torch's libraries may do to the last bits of numbers on a GPU."""

from __future__ import annotations

import torch

from orchestrator.experiment import USUAL_TF32, ArithmeticSpec


def set_arithmetic(spec: ArithmeticSpec | None) -> None:
    """Set, for this process, what a cell says: nothing is left to torch's defaults or to environment variables.

    Args:
        spec: What is not as usual. As usual the same seed gives the same numbers, since no algorithm is chosen by how
            fast it happened to be, and of float32 cuDNN's convolutions alone round to TensorFloat-32.
    """
    spec = spec or ArithmeticSpec()
    tf32 = spec.tf32 or USUAL_TF32
    torch.backends.cudnn.benchmark = spec.deterministic is False
    torch.backends.cudnn.deterministic = spec.deterministic is not False
    torch.backends.cudnn.allow_tf32 = tf32 != "none"
    torch.backends.cuda.matmul.allow_tf32 = tf32 == "all"
