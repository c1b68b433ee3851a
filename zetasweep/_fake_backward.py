"""The backward pass of tensors that say they are on a GPU, where there is none."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.autograd.graph import GradientEdge, get_gradient_edge

# Of a node's `metadata`: what a tensor that it made has for hooks, by the tensor's place, and whether it has been run.
_HOOKS, _IS_FREED = "zetasweep.hooks", "zetasweep.freed"

Engine = Callable[..., tuple[Tensor | None, ...]]
Hook = Callable[[Tensor], Tensor | None]


def engine_with(real: Engine) -> Engine:
    """Return what stands for torch's engine, which wants a driver, wherever a gradient is for a fake tensor.

    It calls each node of the graph once all of its gradients are there, with the hooks of tensors. Those of nodes are
    not called, which a module's backward hooks are among.
    """

    def run(
        outputs: Sequence[Tensor | GradientEdge],
        gradients: Sequence[Tensor | None],
        retain_graph: bool,
        create_graph: bool,
        inputs: Sequence[Tensor | GradientEdge],
        allow_unreachable: bool,
        accumulate_grad: bool,
    ) -> tuple[Tensor | None, ...]:
        edges = [_edge(number, each) for number, each in enumerate(outputs)]
        missing = _uses_of_nodes(edge.node for edge in edges)
        if not any(isinstance(getattr(node, "variable", None), FakeTensor) for node in missing):
            return real(
                outputs,
                gradients,
                retain_graph,
                create_graph,
                inputs,
                allow_unreachable=allow_unreachable,
                accumulate_grad=accumulate_grad,
            )
        into = [(edge.node, edge.output_nr) for edge in map(_edge_of_input, inputs)]
        with torch.set_grad_enabled(create_graph):
            seen = _flow(edges, gradients, missing, keeps=retain_graph, accumulates=accumulate_grad and not into)
        found = tuple(seen.get(place) for place in into)
        if accumulate_grad:
            for variable, gradient in zip(inputs, found, strict=True):
                _accumulate(variable, gradient)
        elif not allow_unreachable and not seen.keys() >= set(into):
            raise RuntimeError(
                "One of the differentiated Tensors appears to not have been used in the graph. "
                "Set allow_unused=True if this is the desired behavior."
            )
        return found

    return run


def register_hook_with(register: Callable[..., Any]) -> Callable[..., Any]:
    """Return what stands for `Tensor.register_hook`, which tells a node of its hooks where Python cannot ask."""

    def register_and_tell(tensor: Tensor, hook: Hook) -> Any:
        handle = register(tensor, hook)
        if isinstance(tensor, FakeTensor) and tensor.grad_fn is not None:
            known = _hooks_of(tensor.grad_fn).setdefault(tensor.output_nr, [])
            # The tensor's own, from which a handle removes them.
            hooks = tensor._backward_hooks or {}
            if not any(each is hooks for each in known):
                known.append(hooks)
        return handle

    return register_and_tell


def retain_grad_with(retain: Callable[..., None]) -> Callable[..., None]:
    """Return what stands for `Tensor.retain_grad`."""

    def retain_and_tell(tensor: Tensor) -> None:
        retain(tensor)
        if isinstance(tensor, FakeTensor) and tensor.grad_fn is not None:
            kept = weakref.ref(tensor)
            known = _hooks_of(tensor.grad_fn).setdefault(tensor.output_nr, [])
            known.append({0: lambda gradient: _accumulate(kept(), gradient)})

    return retain_and_tell


def _hooks_of(node: Any) -> dict[int, list[Mapping[int, Hook]]]:
    hooks: dict[int, list[Mapping[int, Hook]]] = node.metadata.setdefault(_HOOKS, {})
    return hooks


def _edge(number: int, output: Tensor | GradientEdge) -> GradientEdge:
    if isinstance(output, Tensor) and not output.requires_grad:
        raise RuntimeError(f"element {number} of tensors does not require grad and does not have a grad_fn")
    return output if isinstance(output, GradientEdge) else get_gradient_edge(output)


def _edge_of_input(variable: Tensor | GradientEdge) -> GradientEdge:
    if isinstance(variable, Tensor) and not variable.requires_grad:
        raise RuntimeError("One of the differentiated Tensors does not require grad")
    return variable if isinstance(variable, GradientEdge) else get_gradient_edge(variable)


def _flow(
    roots: Sequence[GradientEdge],
    gradients: Sequence[Tensor | None],
    missing: dict[Any, int],
    *,
    keeps: bool,
    accumulates: bool,
) -> dict[tuple[Any, int], Tensor]:
    """Call the nodes; return the gradients of all that was computed, by its node and its place there."""
    arrived: dict[Any, list[Tensor | None]] = {}
    seen: dict[tuple[Any, int], Tensor] = {}
    for edge, gradient in zip(roots, gradients, strict=True):
        _add(arrived, edge.node, edge.output_nr, gradient)
    ready = [node for node in dict.fromkeys(edge.node for edge in roots) if missing[node] == 0]
    while ready:
        node = ready.pop()
        given = [_hooked(node, place, each) for place, each in enumerate(arrived.pop(node, []))]
        seen |= {(node, place): each for place, each in enumerate(given) if each is not None}
        if hasattr(node, "variable"):
            if accumulates:
                _accumulate(node.variable, given[0] if given else None)
            continue
        results = _called(node, given, keeps=keeps)
        for number, (following, place) in enumerate(node.next_functions):
            if following is None:
                continue
            _add(arrived, following, place, results[number] if number < len(results) else None)
            missing[following] -= 1
            if missing[following] == 0:
                ready.append(following)
    return seen


def _called(node: Any, given: Sequence[Tensor | None], *, keeps: bool) -> tuple[Tensor | None, ...]:
    """Return what a node makes of gradients; nothing of none."""
    if all(each is None for each in given):
        return ()
    if node.metadata.get(_IS_FREED):
        raise RuntimeError(
            "Trying to backward through the graph a second time (or directly access saved tensors after they have "
            "already been freed). Specify retain_graph=True if you need to backward through the graph a second time."
        )
    # What a Python class has written is no function of torch's own, and has a method for it.
    results = getattr(node, "apply", node)(*given)
    if not keeps and _saves_tensors(node):
        node.metadata[_IS_FREED] = True
    return results if isinstance(results, tuple) else (results,)


def _saves_tensors(node: Any) -> bool:
    """Return whether a node has saved what is freed after a backward pass."""
    names = [name.replace("_raw", "", 1) for name in dir(node) if name.startswith("_raw_saved_")]
    saved = [getattr(node, "saved_tensors" if name == "_saved_tensors" else name, None) for name in names]
    return any(each is not None and each != () for each in saved)


def _add(arrived: dict[Any, list[Tensor | None]], node: Any, place: int, gradient: Tensor | None) -> None:
    """Add a gradient to those that have arrived at a node."""
    wanted = node._input_metadata
    received = arrived.setdefault(node, [None] * len(wanted))
    if gradient is not None:
        # As the engine has it: what was spread in the forward pass is summed.
        gradient = gradient.sum_to_size(wanted[place].shape).to(wanted[place].dtype)
        before = received[place]
        received[place] = gradient if before is None else before + gradient


def _hooked(node: Any, place: int, gradient: Tensor | None) -> Tensor | None:
    """Return what the hooks of a tensor make of its gradient."""
    if gradient is None:
        return None
    if hasattr(node, "variable"):
        of_tensor: list[Mapping[int, Hook]] = [node.variable._backward_hooks or {}]
    else:
        of_tensor = _hooks_of(node).get(place, [])
    for hook in [hook for hooks in of_tensor for hook in hooks.values()]:
        changed = hook(gradient)
        gradient = gradient if changed is None else changed
    return gradient


def _uses_of_nodes(roots: Iterable[Any]) -> dict[Any, int]:
    """Return how many nodes give each node below `roots`, and these themselves, a gradient."""
    waiting = list(dict.fromkeys(roots))
    uses: dict[Any, int] = dict.fromkeys(waiting, 0)
    while waiting:
        for following, _ in waiting.pop().next_functions:
            if following is None:
                continue
            if following not in uses:
                uses[following] = 0
                waiting.append(following)
            uses[following] += 1
    return uses


def _accumulate(variable: Any, gradient: Tensor | None) -> None:
    if variable is None or gradient is None:
        return
    variable.grad = gradient if variable.grad is None else variable.grad + gradient
    for hook in list((getattr(variable, "_post_accumulate_grad_hooks", None) or {}).values()):
        hook(variable)
