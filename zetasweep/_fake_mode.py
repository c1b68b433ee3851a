"""Tensors on a GPU that is not there: shapes, dtypes and devices without numbers, and what the host waits for."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
)
from torch.utils._pytree import tree_leaves, tree_map_only

RealGenerator = torch.Generator
_ATEN = torch.ops.aten
_COPIES = (_ATEN._to_copy.default, _ATEN.copy_.default)
# Which copy indices to the GPU, and wait for that.
_INDEXING = {
    *(_ATEN.index, _ATEN._unsafe_index, _ATEN._unsafe_masked_index),
    *(_ATEN.index_put, _ATEN.index_put_, _ATEN._index_put_impl_, _ATEN._unsafe_index_put),
}
# Which read back whether the matrix was one for it.
_CHECKED = {_ATEN._linalg_check_errors, _ATEN._linalg_eigh, _ATEN._linalg_svd, _ATEN.linalg_eig, _ATEN.linalg_lstsq}


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
    def avoid_device_init(self) -> bool:
        """Whether nothing may ask the driver; torch would ask whether there is a GPU."""
        return True

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
                return pinned(func(*args, **kwargs))
            return func(*args, **kwargs)
        if func is _ATEN._local_scalar_dense.default:
            return self._value_of(args[0])
        if func is _ATEN.equal.default:
            self.cuda.waits_for("a comparison")
            return args[0].shape == args[1].shape
        if func.overloadpacket in _CHECKED:
            self.cuda.waits_for("a check of what linear algebra has found")
        if func.overloadpacket in _INDEXING and any(_is_on_the_host(index) for index in args[1]):
            self.cuda.waits_for("a copy of indices")
        if func in _COPIES and (copied := self._copied(func, args, kwargs)) is not None:
            return copied
        faked = tree_map_only(Tensor, self._faked, (list(args), kwargs))
        try:
            return super().dispatch(func, types, *faked)
        except (DynamicOutputShapeException, DataDependentOutputException) as error:
            # Also where it may wait: without numbers nothing follows from them.
            raise HostWaitsError(f"{func}, whose result depends on numbers, waits for the GPU") from error

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
        is_async = bool(kwargs.get("non_blocking") or (not to_new and len(args) > 2 and args[2]))
        way = (source.device.type, target.type)
        if way == ("cuda", "cpu"):
            # A new tensor for a copy that is not waited for is in pinned memory.
            if not (is_async and (to_new or is_pinned(args[0]))):
                self.cuda.waits_for("a copy to the host")
            copy = made_up(source).to(kwargs.get("dtype") or source.dtype)
            if to_new:
                return pinned(copy) if is_async else copy
            filled: Tensor = args[0].copy_(copy)
            return filled
        if way == ("cpu", "cuda") and not (is_async and is_pinned(source)):
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


def _is_on_the_host(index: Any) -> bool:
    return isinstance(index, Tensor) and not isinstance(index, FakeTensor)


def pinned(tensor: Tensor) -> Tensor:
    """Say of a tensor of the CPU, and all that shares its memory, that the GPU can read and write it; return it."""
    tensor.untyped_storage()._zetasweep_pinned = True  # type: ignore[attr-defined]
    return tensor


def is_pinned(tensor: Tensor) -> bool:
    """Return whether `pinned` was said of a tensor's memory."""
    return not isinstance(tensor, FakeTensor) and hasattr(tensor.untyped_storage(), "_zetasweep_pinned")
