"""Makes augmentations fail on rank 1, in the processes that have this folder on their ``PYTHONPATH``.

``ZETASWEEP_CHAOS_INJECTED`` says which, by class: ``ZetaMixup=exception,MixUp=out-of-memory,CutMix=nan``. There is no
other way to a fault in the arithmetic of one rank of one cell.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import itertools
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

# Beyond the first epochs of the cells of this suite, which have ten steps: there are checkpoints by then.
FIRST_STEP = 25


def fail(_: Any) -> Any:
    """Raise what a bug raises."""
    raise KeyError("injected into rank 1")


def run_out_of_memory(images: Any) -> Any:
    """Ask for more than any machine has."""
    return images.new_empty(1 << 50)


def make_nan(images: Any) -> Any:
    """Return images without a finite value."""
    return images * float("nan")


FAULTS = {"exception": fail, "out-of-memory": run_out_of_memory, "nan": make_nan}


def inject(augment: ModuleType) -> None:
    """Make the classes that are named fail."""
    for entry in os.environ["ZETASWEEP_CHAOS_INJECTED"].split(","):
        name, _, fault = entry.partition("=")
        kind = getattr(augment, name)
        kind.apply_to_pixels = failing(kind.apply_to_pixels, FAULTS[fault])


def failing(apply: Callable[..., Any], fault: Callable[[Any], Any]) -> Callable[..., Any]:
    """Return `apply`, which on rank 1 fails from a step on."""
    steps = itertools.count(1)

    def apply_to_pixels(*arguments: Any, **options: Any) -> Any:
        import torch.distributed as dist

        images, targets = apply(*arguments, **options)
        if dist.is_initialized() and dist.get_rank() == 1 and next(steps) >= FIRST_STEP:
            images = fault(images)
        return images, targets

    return apply_to_pixels


class AfterImport(importlib.abc.MetaPathFinder):
    """Injects as soon as the package ``augment`` is imported."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        """Find the package as usual, and do more when it is executed."""
        if name != "augment":
            return None
        finders = [finder for finder in sys.meta_path if finder is not self]
        spec = next(filter(None, (finder.find_spec(name, path, target) for finder in finders)), None)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            inject(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


if "ZETASWEEP_CHAOS_INJECTED" in os.environ:
    sys.meta_path.insert(0, AfterImport())
