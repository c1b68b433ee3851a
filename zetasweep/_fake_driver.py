"""What stands for all that would ask the driver of a GPU, where there is none."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, unset_fake_temporarily
from torch.autograd.graph import _engine_run_backward
from torch.utils._pytree import tree_map_only

from zetasweep._fake_backward import engine_with, register_hook_with, retain_grad_with
from zetasweep._fake_mode import FakeCuda, FakeMode, RealGenerator, is_pinned, made_up, pinned

_FREE_BYTES = 8 * 2**30
_CAPABILITY = (9, 0)
_PROPERTIES = SimpleNamespace(
    name="a GPU that is not there",
    major=_CAPABILITY[0],
    minor=_CAPABILITY[1],
    total_memory=_FREE_BYTES,
    multi_processor_count=132,
    L2_cache_size=50 * 2**20,
)


class _KindOfGenerator(type(RealGenerator)):  # type: ignore[misc]
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, RealGenerator)


class _Generator(RealGenerator, metaclass=_KindOfGenerator):
    """A generator of the CPU that says it is one of the GPU."""

    def __new__(cls, device: torch.device | str | int = "cpu") -> Any:
        if torch.device(device).type == "cpu":
            return RealGenerator()
        return super().__new__(cls)

    def __init__(self, device: torch.device | str | int = "cpu") -> None: ...

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return torch.device("cuda", 0)


class _Event:
    pass


class _Stream:
    """Stands for a stream, and keeps what is done with it."""

    def __init__(self, cuda: FakeCuda, name: str) -> None:
        self._cuda, self.name = cuda, name

    def record_event(self) -> _Event:
        self._cuda.streams.append(f"{self.name} records an event")
        return _Event()

    def wait_event(self, event: _Event) -> None:
        self._cuda.streams.append(f"{self.name} waits for an event")

    def synchronize(self) -> None:
        self._cuda.waits_for("the end of a stream")


def replaced(cuda: FakeCuda, mode: FakeMode) -> Iterator[tuple[Any, str, Any]]:
    """Yield what would ask the driver, by its place, with what stands for it."""
    current = _Stream(cuda, "the training")
    state = RealGenerator().get_state()
    run = threading.Thread.run

    def run_in_mode(thread: threading.Thread) -> None:
        # Each thread has modes of its own, which end with it.
        torch._C._set_dispatch_mode(mode)
        run(thread)

    def record_stream(_: Tensor, stream: _Stream) -> None:
        cuda.streams.append(f"{stream.name} uses a tensor")

    on_cuda: dict[str, Callable[..., Any]] = {
        "_lazy_init": _nothing,
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "get_device_name": lambda *_: _PROPERTIES.name,
        "set_device": _nothing,
        "current_device": lambda: 0,
        "is_bf16_supported": lambda *_: True,
        "get_device_capability": lambda *_: _CAPABILITY,
        "get_device_properties": lambda *_: _PROPERTIES,
        "mem_get_info": lambda *_: (_FREE_BYTES, _FREE_BYTES),
        "empty_cache": _nothing,
        "reset_peak_memory_stats": _nothing,
        "get_rng_state": lambda *_: state,
        "set_rng_state": _nothing,
        "manual_seed": _nothing,
        "manual_seed_all": _nothing,
        "synchronize": lambda *_: cuda.waits_for("synchronize"),
        "Stream": lambda *_: _Stream(cuda, "a side stream"),
        "current_stream": lambda *_: current,
        "stream": lambda *_: nullcontext(),
    }
    on_accelerator: dict[str, Callable[..., Any]] = {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "current_accelerator": lambda *_, **__: torch.device("cuda"),
        "current_device_index": lambda: 0,
        "set_device_index": _nothing,
        "synchronize": on_cuda["synchronize"],
    }
    yield from ((torch.cuda, name, value) for name, value in on_cuda.items())
    yield from ((torch.accelerator, name, value) for name, value in on_accelerator.items())
    yield torch.cuda.amp.common, "amp_definitely_not_available", lambda: False
    yield torch, "Generator", _Generator
    yield torch, "save", _save_with(torch.save)
    yield torch, "load", _load_with(torch.load)
    yield torch.Tensor, "record_stream", record_stream
    yield torch.Tensor, "pin_memory", lambda tensor, *_: tensor if is_pinned(tensor) else pinned(tensor.clone())
    yield torch.Tensor, "is_pinned", lambda tensor, *_: is_pinned(tensor)
    yield torch.Tensor, "register_hook", register_hook_with(torch.Tensor.register_hook)
    yield torch.Tensor, "retain_grad", retain_grad_with(torch.Tensor.retain_grad)
    # Under torch's own checks of what is asked for.
    yield torch.autograd, "_engine_run_backward", engine_with(_engine_run_backward)
    yield FakeTensor, "__deepcopy__", _deep_copied
    # As on a GPU: an optimizer takes all weights at once.
    optimizers = import_module("torch.optim.optimizer")  # torch.optim does not keep it
    yield optimizers, "_foreach_supported_types", [*optimizers._foreach_supported_types, FakeTensor]
    yield nn.Module, "_apply", _apply
    yield threading.Thread, "run", run_in_mode


def _nothing(*_: Any) -> None: ...


def _save_with(save: Callable[..., None]) -> Callable[..., None]:
    def save_made_up(content: Any, *arguments: Any, **options: Any) -> None:
        save(tree_map_only(FakeTensor, made_up, content), *arguments, **options)

    return save_made_up


def _load_with(load: Callable[..., Any]) -> Callable[..., Any]:
    def load_real(*arguments: Any, **options: Any) -> Any:
        # torch reads no number while a mode of fake tensors is on.
        with unset_fake_temporarily():
            return load(*arguments, **options)

    return load_real


class _Moved(threading.local):
    """What the outermost `_apply` of a thread has made of each tensor so far, by its id, with the tensor itself."""

    tensors: dict[int, tuple[Tensor, Tensor]] | None = None


_MOVED = _Moved()


def _apply(module: nn.Module, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
    """Stand for the method of that name: fake parameters cannot be changed in place; those that are shared stay so."""
    if _MOVED.tensors is None:
        _MOVED.tensors = {}
        try:
            return _apply(module, fn, recurse)
        finally:
            _MOVED.tensors = None
    for child in module.children() if recurse else ():
        child._apply(fn)  # type: ignore[no-untyped-call]
    for tensors in (module._parameters, module._buffers):
        for name, tensor in tensors.items():
            if tensor is not None:
                tensors[name] = _moved(tensor, fn)
    return module


def _moved(tensor: Tensor, fn: Callable[[Tensor], Tensor]) -> Any:
    assert _MOVED.tensors is not None
    if id(tensor) not in _MOVED.tensors:
        with torch.no_grad():
            moved = fn(tensor)
        _MOVED.tensors[id(tensor)] = (
            tensor,
            nn.Parameter(moved, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else moved,
        )
    return _MOVED.tensors[id(tensor)][1]


def _deep_copied(tensor: Tensor, memo: dict[int, Any]) -> Tensor:
    """Stand for the method of that name, which asks where the numbers are."""
    with torch.no_grad():
        copy = tensor.clone()
    is_parameter = isinstance(tensor, nn.Parameter)
    memo[id(tensor)] = nn.Parameter(copy, tensor.requires_grad) if is_parameter else copy
    return memo[id(tensor)]  # type: ignore[no-any-return]
