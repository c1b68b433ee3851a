"""Tensors on a GPU that is not there: shapes, dtypes and devices without numbers, and what the host waits for."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DynamicOutputShapeException, FakeTensor, FakeTensorMode
from torch.utils._pytree import tree_leaves, tree_map_only

RealGenerator = torch.Generator
_COPIES = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)


class HostWaitsError(AssertionError):
    """The host waits for the GPU where it must not."""


class FakeCuda:
    """What is known of the GPU that is not there.

    Attributes:
        device: ``cuda:0``.
        waits: What the host waited for, in words.
        streams: What was done with streams other than the training's own, in words.
    """

    def __init__(self) -> None:
        self.device = torch.device("cuda", 0)
        self.waits: list[str] = []
        self.streams: list[str] = []
        self._may_wait = True

    @contextmanager
    def no_waits(self) -> Iterator[None]:
        """Within it, raise HostWaitsError where the host would wait."""
        before, self._may_wait = self._may_wait, False
        try:
            yield
        finally:
            self._may_wait = before

    def waits_for(self, what: str) -> None:
        """Note that the host waits, or raise HostWaitsError."""
        if not self._may_wait:
            raise HostWaitsError(f"{what} waits for the GPU")
        self.waits.append(what)


class FakeMode(FakeTensorMode):  # type: ignore[no-untyped-call]
    """Fakes what is on a GPU; what is on the CPU alone is computed."""

    cuda: FakeCuda
    _of_thread = threading.local()

    @property
    def in_kernel_invocation(self) -> bool:
        """Whether this thread computes a shape, in which tensors say they are on no device; torch keeps one for all."""
        return getattr(self._of_thread, "in_kernel", False)

    @in_kernel_invocation.setter
    def in_kernel_invocation(self, value: bool) -> None:
        self._of_thread.in_kernel = value

    def dispatch(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        leaves = tree_leaves((args, kwargs))
        if not any(_is_on_cuda(leaf) for leaf in leaves):
            if kwargs.pop("pin_memory", False):
                return _pinned(func(*args, **kwargs))
            return func(*args, **kwargs)
        if func is torch.ops.aten._local_scalar_dense.default:
            return self._value_of(args[0])
        if func in _COPIES and (copied := self._copied(func, args, kwargs)) is not None:
            return copied
        faked = tree_map_only(Tensor, self._faked, (list(args), kwargs))
        try:
            return super().dispatch(func, types, *faked)
        except DynamicOutputShapeException as error:
            # Also where it may wait: without numbers no shape follows from them.
            raise HostWaitsError(
                f"{func}, whose result has as many elements as numbers say, waits for the GPU"
            ) from error

    def _faked(self, tensor: Tensor) -> Tensor:
        return tensor if isinstance(tensor, FakeTensor) else self.from_tensor(tensor)

    def _value_of(self, tensor: Tensor) -> float | int | bool:
        self.cuda.waits_for("a number")
        return made_up(tensor.detach()).flatten()[0].item()

    def _copied(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor | None:
        """Return what a copy to the host gives; None for one that is left to torch."""
        to_new = func is _COPIES[0]
        source = args[0] if to_new else args[1]
        target = kwargs.get("device") or source.device if to_new else args[0].device
        if (source.device.type, target.type) == ("cuda", "cpu"):
            self.cuda.waits_for("a copy to the host")
            copy = made_up(source).to(kwargs.get("dtype") or source.dtype)
            return copy if to_new else args[0].copy_(copy)
        is_async = kwargs.get("non_blocking") or (not to_new and len(args) > 2 and args[2])
        is_sent = (source.device.type, target.type) == ("cpu", "cuda")
        if is_sent and not (is_async and _is_pinned(source)):
            self.cuda.waits_for("a copy from memory that is not pinned")
        return None


def made_up(tensor: Tensor) -> Tensor:
    """Return a tensor on the CPU of the same shape and dtype: floats in [0, 1), integers 0 and 1."""
    shape, dtype = tensor.shape, tensor.dtype
    if dtype.is_floating_point:
        return torch.rand(shape, generator=RealGenerator().manual_seed(0)).to(dtype)
    return (torch.arange(shape.numel()) % 2).view(shape).to(dtype)


def _is_on_cuda(leaf: Any) -> bool:
    return isinstance(leaf, FakeTensor) or (isinstance(leaf, torch.device) and leaf.type == "cuda")


def _pinned(tensor: Tensor) -> Tensor:
    tensor._zetasweep_pinned = True  # type: ignore[attr-defined]
    return tensor


def _is_pinned(tensor: Tensor) -> bool:
    return getattr(tensor, "_zetasweep_pinned", False)
