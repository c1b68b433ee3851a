"""Which of the tensors in a file a network takes: by name and shape, and in words."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from orchestrator.amounts import counted

# Counters of batch normalisation, which old files lack and nothing here reads.
_COUNTER = "num_batches_tracked"
# Of many tensors that do not fit, so many are named.
_NAMED = 3


@dataclass(frozen=True)
class Fit:
    """What a network takes of the weights in a file.

    Attributes:
        taken: The names of the tensors that it takes.
        num_own: How many it has.
        head: The first name of the head's parameters, without its end: ``fc``.
        new_head: Why the head is new, as in ``1000 classes there, 10 here``; empty if it is taken, too.
        left: The tensors of the file that no network for evaluation has.
        missing: With their shapes, what the file lacks.
        unknown: With their shapes, what the network lacks.
        reshaped: Names of what both have in different shapes, with both.
        unusable: Names of what both have in one shape and no network can begin with, with why.
        remarks: What else is to be said of the network.
        warning: What may be a mistake.
    """

    taken: tuple[str, ...]
    num_own: int
    head: str
    new_head: str = ""
    left: tuple[str, ...] = ()
    missing: Sequence[str] = ()
    unknown: Sequence[str] = ()
    reshaped: Sequence[str] = ()
    unusable: Sequence[str] = ()
    remarks: tuple[str, ...] = ()
    warning: str = ""

    @property
    def fits(self) -> bool:
        """Whether all but the head is there, and nothing else."""
        return not (self.missing or self.unknown or self.reshaped or self.unusable)

    @property
    def misfits(self) -> str:
        """What does not fit, the first of each kind with their shapes."""
        found = []
        if self.missing:
            found.append(
                f"{len(self.missing)} of its {counted(self.num_own, 'tensor')} are missing ({_some(self.missing)})"
            )
        if self.unknown:
            found.append(f"{counted(len(self.unknown), 'tensor')} of the file it does not have ({_some(self.unknown)})")
        if self.reshaped:
            found.append(f"{counted(len(self.reshaped), 'tensor')} have other shapes ({_some(self.reshaped)})")
        if self.unusable:
            found.append(f"{counted(len(self.unusable), 'tensor')} cannot be used ({_some(self.unusable)})")
        return "; ".join(found)

    @property
    def in_words(self) -> str:
        """What is taken and what is not, in a line."""
        head = (
            f"its head {self.head} is new ({self.new_head})" if self.new_head else f"its head {self.head} is taken, too"
        )
        words = [f"{len(self.taken)} of {counted(self.num_own, 'tensor')} taken", head]
        if self.left:
            words.append(f"{counted(len(self.left), 'tensor')} of the file not needed ({_some(self.left)})")
        return "; ".join((*words, *self.remarks))


def fit_of(
    tensors: Mapping[str, Tensor], own: Mapping[str, Tensor], head: Collection[str], *, auxiliary: tuple[str, ...] = ()
) -> Fit:
    """Return what a network takes of the tensors in a file.

    Args:
        tensors: Those of the file.
        own: Those of the network.
        head: The names of its head's parameters, which need not fit: it is taken whole or not at all.
        auxiliary: How the names of tensors begin that the network may lack.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    wanted = {name: tuple(tensor.shape) for name, tensor in own.items()}
    first = min(head)
    fresh = ""
    if any(name not in shapes for name in head):
        fresh = "there is none in the file"
    elif any(shapes[name] != wanted[name] for name in head):
        there, here = shapes[first][:1], wanted[first][:1]
        fresh = (
            f"{there[0]} classes there, {here[0]} here"
            if there and here and there != here
            else f"{list(shapes[first])} there, {list(wanted[first])} here"
        )
    spared = set(head) if fresh else set()
    left = [name for name in shapes if name not in wanted and name.startswith(auxiliary)] if auxiliary else []
    missing = [name for name in wanted if name not in shapes and name not in spared and not name.endswith(_COUNTER)]
    unknown = [name for name in shapes if name not in wanted and name not in left]
    both = [name for name in wanted if name in shapes and name not in spared]
    alike = [name for name in both if shapes[name] == wanted[name]]
    return Fit(
        taken=tuple(alike),
        num_own=len(wanted),
        head=first.rpartition(".")[0],
        new_head=fresh,
        left=tuple(left),
        missing=[f"{name} {list(wanted[name])}" for name in missing],
        unknown=[f"{name} {list(shapes[name])}" for name in unknown],
        reshaped=[
            f"{name}: {list(shapes[name])} there, {list(wanted[name])} here"
            for name in both
            if shapes[name] != wanted[name]
        ],
        unusable=[f"{name}: {why}" for name in alike if (why := _unusable(tensors[name], own[name]))],
    )


def _unusable(tensor: Tensor, own: Tensor) -> str:
    """Return why a network cannot begin with a tensor of the right shape; empty if it can."""
    if tensor.is_meta:
        return "on the device meta, without numbers"
    if tensor.is_quantized or tensor.layout != torch.strided:
        return "quantised" if tensor.is_quantized else f"sparse, {tensor.layout}"
    if tensor.is_complex() or tensor.is_floating_point() != own.is_floating_point():
        return f"{tensor.dtype} there, {own.dtype} here"
    return "" if not tensor.is_floating_point() or tensor.float().isfinite().all() else "NaN or infinity in it"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
