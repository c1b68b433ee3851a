"""torch.compile: what it is asked for, what is said while it works, and what ends it, as a sentence."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

import torch

from orchestrator.errors import CellError, first_line
from orchestrator.experiment import Compile
from orchestrator.waiting import waiting_for

# By whether CUDA graphs are wanted: torch's names.
_MODES = {
    ("default", False): "default",
    ("default", True): "reduce-overhead",
    ("max-autotune", False): "max-autotune-no-cudagraphs",
    ("max-autotune", True): "max-autotune",
}
# A slot may see as many kinds of cells as an experiment has; torch gives up after eight.
_MAX_KINDS = 10_000
# Networks whose CUDA graphs are kept, at the most: of each, torch keeps all that it has recorded, outside the memory
# that a share of the GPU counts, and launches none of it again.
MAX_RECORDED = 32


@cache
def compiled(run: Callable[..., Any], wanted: Compile, *, cuda_graphs: bool, deterministic: bool) -> Callable[..., Any]:
    """Return a function compiled, the same for all cells of this process.

    Args:
        run: What is to be compiled.
        wanted: How.
        cuda_graphs: Whether it is launched as one graph.
        deterministic: Whether no kernel that decides on bits is chosen by how fast it happened to be: without it,
            another process may sum in another order.
    """
    import torch._dynamo.config as settings  # seconds, unless something is compiled
    from torch._inductor import list_mode_options

    settings.recompile_limit = settings.accumulated_recompile_limit = _MAX_KINDS
    # Rather than going on uncompiled, in silence.
    settings.fail_on_recompile_limit_hit = True
    options = {**list_mode_options(_MODES[wanted, cuda_graphs]), "deterministic": deterministic}
    # A shape that changes is another kind of cell, and compiled as if it were the first.
    return torch.compile(run, options=options, dynamic=False)


class _Watch:
    """Says that torch compiles while it does, and keeps what ended it."""

    def __init__(self) -> None:
        self._waiting = ExitStack()
        self.failure: BaseException | None = None

    def begin(self, *_: object) -> None:
        self._waiting.enter_context(waiting_for("torch.compile to compile the step (resources.compile)"))

    def end(self, *_: object) -> None:
        self.failure = sys.exception()
        self._waiting.close()


_WATCH = _Watch()


@contextmanager
def explained() -> Iterator[None]:
    """Say what takes long in the block, and what cannot be done, wherever torch compiles in it.

    torch compiles as late as it can: the backward pass when it is run first, and again for whatever differs.

    Raises:
        CellError: Something cannot be compiled.
    """
    from torch._dynamo.callback import callback_handler  # likewise
    from torch._dynamo.exc import TorchDynamoException

    if _WATCH.begin not in callback_handler.start_callbacks:
        # Also after torch has forgotten all.
        callback_handler.register_start_callback(_WATCH.begin)
        callback_handler.register_end_callback(_WATCH.end)
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        if not isinstance(error, TorchDynamoException) and error is not _WATCH.failure:
            raise
        cause = getattr(error, "inner_exception", error)
        raise CellError(
            f"the step cannot be compiled: {type(cause).__name__}: {first_line(cause)}",
            remedy="set resources.compile to off, or mend that: on a CPU it needs a C++ compiler",
        ) from error


class RecordedGraphs:
    """Counts the networks whose steps are recorded as CUDA graphs in this process."""

    def __init__(self) -> None:
        self._networks = 0

    def begin_network(self) -> None:
        """Forget the graphs of the networks before, if they are many; what was compiled is found again on the disk."""
        if self._networks >= MAX_RECORDED:
            torch.compiler.reset()
            self._networks = 0
        self._networks += 1


RECORDED_GRAPHS = RecordedGraphs()
