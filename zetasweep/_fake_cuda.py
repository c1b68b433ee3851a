"""A GPU that is not there: CUDA tensors without numbers, to find on a CPU what would be wrong on a GPU.

They are torch's fake tensors (`torch._subclasses.fake_tensor`): shapes, dtypes, layouts and devices are computed,
forward and backward, of custom operators by their fake implementations. Tensors on the CPU are real, so that whole
epochs run, with their files; what is copied from the device to the host has numbers that mean nothing.

Found are tensors on the wrong device, and waits: where the host asks for a value of the device, or copies without a
stream of its own. Not found are wrong numbers, races between streams, what a kernel does, memory and speed, and what
the backward hooks of modules do. `Module.to` makes other parameters: an optimizer is given them afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest import mock

import torch

from zetasweep._fake_driver import replaced
from zetasweep._fake_mode import FakeCuda, FakeMode

# One for the process: what is kept from call to call, like tables, must be of the same.
_THE_MODE = FakeMode(allow_non_fake_inputs=True)
# Where it is pretended, there is one by torch's words.
_is_available = torch.cuda.is_available


class RealCuda:
    """The GPU that is there.

    Attributes:
        device: ``cuda:0``.
    """

    def __init__(self) -> None:
        self.device = torch.device("cuda", 0)

    @contextmanager
    def no_waits(self) -> Iterator[None]:
        """Within it, raise RuntimeError where torch makes the host wait."""
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")


@contextmanager
def some_cuda() -> Iterator[FakeCuda | RealCuda]:
    """Yield the machine's GPU, or what pretends to be one where there is none."""
    if _is_available():
        yield RealCuda()
        return
    with fake_cuda() as cuda:
        yield cuda


@contextmanager
def fake_cuda() -> Iterator[FakeCuda]:
    """Pretend that there is a GPU, in this thread and those that it starts.

    Raises:
        RuntimeError: There is one: try that.
    """
    if _is_available():
        raise RuntimeError("there is a GPU: what is to be tried can be tried on it")
    cuda = FakeCuda()
    _THE_MODE.cuda = cuda
    with ExitStack() as stack:
        for target, name, value in replaced(cuda, _THE_MODE):
            stack.enter_context(mock.patch.object(target, name, value))
        stack.enter_context(_THE_MODE)
        yield cuda
