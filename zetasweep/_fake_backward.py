"""The backward pass of tensors that say they are on a GPU, where there is none."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


@torch.no_grad()
def run_backward(tensor: Tensor) -> None:
    """Stand for torch's engine, which wants a driver: call each node of the graph once all of its gradients are there.

    Hooks are not called.

    Raises:
        RuntimeError: Nothing that it was computed from requires a gradient.
    """
    root = tensor.grad_fn
    if root is None:
        raise RuntimeError("the tensor does not require grad and does not have a grad_fn")
    missing = _uses_of_nodes(root)
    gradients: dict[Any, list[Tensor | None]] = {root: [torch.ones_like(tensor)]}
    ready = [root]
    while ready:
        node = ready.pop()
        given = gradients.pop(node, [])
        if hasattr(node, "variable"):
            _accumulate(node.variable, given[0] if given else None)
            continue
        # What a Python class has written is no function of torch's own, and has a method for it.
        call: Any = getattr(node, "apply", node)
        results = call(*given) if any(each is not None for each in given) else ()
        results = results if isinstance(results, tuple) else (results,)
        for number, (following, place) in enumerate(node.next_functions):
            if following is None:
                continue
            wanted = following._input_metadata
            received = gradients.setdefault(following, [None] * len(wanted))
            if number < len(results) and results[number] is not None:
                # As the engine has it: what was spread in the forward pass is summed.
                gradient = results[number].sum_to_size(wanted[place].shape).to(wanted[place].dtype)
                before = received[place]
                received[place] = gradient if before is None else before + gradient
            missing[following] -= 1
            if missing[following] == 0:
                ready.append(following)


def _uses_of_nodes(root: Any) -> dict[Any, int]:
    """Return how many nodes give each node below `root` a gradient."""
    uses: dict[Any, int] = {root: 0}
    waiting = [root]
    while waiting:
        for following, _ in waiting.pop().next_functions:
            if following is None:
                continue
            if following not in uses:
                uses[following] = 0
                waiting.append(following)
            uses[following] += 1
    return uses


def _accumulate(variable: Tensor, gradient: Tensor | None) -> None:
    if gradient is not None:
        variable.grad = gradient if variable.grad is None else variable.grad + gradient
