"""A GPU that is not there, for a loop of somebody's own: it waits where a GPU is waited for, and else does as torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from zetasweep.testing import FakeCuda, HostWaitsError, fake_cuda

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, on which the same is tried")


@pytest.fixture
def cuda() -> Iterator[FakeCuda]:
    with fake_cuda() as cuda:
        yield cuda


def test_code_that_asks_for_a_gpu_is_given_it(cuda: FakeCuda) -> None:
    assert torch.cuda.is_available()
    assert torch.cuda.device_count() == 1
    assert torch.accelerator.current_accelerator() == torch.device("cuda")
    assert torch.ones(2).cuda().device == cuda.device
    with fake_cuda() as again:
        assert torch.ones(2, device="cuda" if torch.cuda.is_available() else "cpu").device == again.device
    torch.manual_seed(0)


def test_outside_there_is_none() -> None:
    with fake_cuda():
        pass
    assert not torch.cuda.is_available()
    assert torch.cuda.device_count() == 0
    assert not torch.accelerator.is_available()


@pytest.mark.parametrize(
    "wait",
    [
        lambda matrix: matrix[torch.tensor([0, 1])],
        lambda matrix: matrix.index_put((torch.tensor([0, 1]),), matrix[0]),
        lambda matrix: matrix.__setitem__(torch.tensor([0]), 0.0),
        torch.linalg.inv,
        torch.linalg.cholesky,
        torch.linalg.eigvalsh,
        torch.linalg.svdvals,
        lambda matrix: torch.linalg.solve(matrix, matrix),
        lambda matrix: torch.equal(matrix, matrix),
        lambda matrix: torch.allclose(matrix, matrix),
        lambda matrix: matrix.nonzero(),
        lambda matrix: torch.empty(3, 3, pin_memory=True).copy_(matrix),
        lambda matrix: torch.empty(3, 3).copy_(matrix, non_blocking=True),
        lambda matrix: matrix.copy_(torch.ones(3, 3).pin_memory()),
        lambda matrix: matrix.copy_(torch.ones(3, 3), non_blocking=True),
        lambda _: torch.accelerator.synchronize(),
    ],
    ids=[
        *("index", "index_put", "set", "inv", "cholesky", "eigvalsh", "svdvals", "solve", "equal", "allclose"),
        *("nonzero", "into pinned", "unpinned to the host", "pinned", "unpinned", "synchronize"),
    ],
)
def test_what_waits(wait: Callable[[Tensor], object], cuda: FakeCuda) -> None:
    matrix = torch.eye(3).to(cuda.device)
    with cuda.no_waits(), pytest.raises(HostWaitsError, match="waits for the GPU"):
        wait(matrix)


@pytest.mark.parametrize(
    "step",
    [
        lambda matrix: matrix[torch.tensor([0, 1]).pin_memory().to(matrix.device, non_blocking=True)],
        lambda matrix: torch.ones(5, 3).pin_memory()[1:4].to(matrix.device, non_blocking=True),
        lambda matrix: matrix.copy_(torch.empty(4, 3, pin_memory=True)[1:], non_blocking=True),
        lambda matrix: torch.empty(4, 3, pin_memory=True)[1:].copy_(matrix, non_blocking=True),
        lambda matrix: matrix.to("cpu", non_blocking=True).to(matrix.device, non_blocking=True),
        lambda matrix: torch.linalg.inv_ex(matrix),
        lambda matrix: matrix[:2],
    ],
    ids=["index", "slice of pinned", "pinned", "into pinned", "there and back", "inv_ex", "slice"],
)
def test_what_does_not(step: Callable[[Tensor], object], cuda: FakeCuda) -> None:
    matrix = torch.eye(3).to(cuda.device)
    with cuda.no_waits():
        step(matrix)


def test_memory_is_pinned_once(cuda: FakeCuda) -> None:
    batch = torch.ones(2)
    assert not batch.is_pinned()
    kept = batch.pin_memory()
    assert kept.is_pinned()
    assert kept.pin_memory() is kept
    assert not batch.is_pinned()
    assert kept.tolist() == [1, 1]
    loader: Any = DataLoader(TensorDataset(torch.rand(6, 3)), 2, pin_memory=True)
    with cuda.no_waits():
        assert [images.to(cuda.device, non_blocking=True).shape for (images,) in loader] == [(2, 3)] * 3


def result_of(run: Callable[[Tensor, Tensor], object], device: torch.device | str) -> object:
    """Return what is found of two weights and a function, or that torch refuses it."""
    weights = torch.arange(1.0, 4.0).to(device).requires_grad_()
    bias = torch.ones(()).to(device).requires_grad_()
    try:
        found = run(weights, bias)
    except RuntimeError:
        return "refused"
    outcome = found if isinstance(found, tuple) else (weights.grad, bias.grad)
    return [None if each is None else (each.shape, each.dtype) for each in outcome]


def twice(loss: Tensor, *, first: bool | None) -> None:
    loss.backward(retain_graph=first)
    loss.backward()


@pytest.mark.parametrize(
    "run",
    [
        lambda weights, _: (weights * 2).backward(),
        lambda weights, _: (weights * 2).backward(gradient=torch.ones_like(weights)),
        lambda weights, _: (weights * 2).backward(gradient=torch.ones_like(weights)[:2]),
        lambda weights, bias: (weights * bias).sum().backward(inputs=[weights]),
        lambda weights, bias: torch.autograd.backward([weights.sum(), (bias * 2)]),
        lambda weights, _: twice((weights**2).sum(), first=None),
        lambda weights, _: twice((weights**2).sum(), first=True),
        lambda weights, bias: twice((weights + bias).sum(), first=None),
        lambda weights, bias: torch.autograd.grad((weights * bias).sum(), [weights, bias]),
        lambda weights, bias: torch.autograd.grad(weights.sum(), [weights, bias]),
        lambda weights, bias: torch.autograd.grad(weights.sum(), [weights, bias], allow_unused=True),
        lambda weights, _: torch.autograd.grad(weights * 2, weights),
        lambda weights, _: (
            (torch.autograd.grad((weights**3).sum(), weights, create_graph=True)[0] ** 2).sum().backward()
        ),
        lambda weights, _: weights.detach().sum().backward(),
        lambda weights, _: weights.sum().cpu().backward(),
    ],
    ids=[
        *("vector", "gradient", "wrong gradient", "inputs", "two", "twice", "twice, retained", "twice, nothing saved"),
        *("grad", "unused", "unused, allowed", "grad of a vector", "of a gradient", "detached", "from the host"),
    ],
)
def test_gradients_are_asked_for_as_torch_has_it(run: Callable[[Tensor, Tensor], object], cuda: FakeCuda) -> None:
    with_gpu = result_of(run, cuda.device)
    assert with_gpu == result_of(run, "cpu")


@pytest.mark.parametrize("of", ["leaf", "leaf, accumulated", "result"])
def test_a_hook_of_a_tensor_that_waits_is_found(of: str, cuda: FakeCuda) -> None:
    weights = torch.ones(3).to(cuda.device).requires_grad_()
    result = weights * 2
    if of == "leaf, accumulated":
        weights.register_post_accumulate_grad_hook(lambda each: each.grad.sum().item())  # type: ignore[union-attr]
    else:
        (weights if of == "leaf" else result).register_hook(lambda gradient: gradient * gradient.sum().item())
    with cuda.no_waits(), pytest.raises(HostWaitsError, match="a number"):
        result.sum().backward()  # type: ignore[no-untyped-call]


def test_a_hook_that_was_removed_is_not_called_and_another_changes_the_gradient(cuda: FakeCuda) -> None:
    weights = torch.ones(3).to(cuda.device).requires_grad_()
    result = weights * 2
    result.register_hook(lambda gradient: gradient.sum().item()).remove()
    seen: list[torch.Size] = []
    result.register_hook(lambda gradient: (seen.append(gradient.shape), gradient.half().float())[1])
    result.retain_grad()
    with cuda.no_waits():
        result.sum().backward()  # type: ignore[no-untyped-call]
    assert seen == [(3,)]
    assert result.grad is not None
    assert result.grad.shape == (3,)


def test_shared_weights_stay_shared(cuda: FakeCuda) -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.head = nn.Embedding(5, 4), nn.Linear(4, 5, bias=False)
            self.head.weight = self.table.weight
            self.register_buffer("scale", torch.ones(1))
            self.inner = nn.Module()
            self.inner.register_buffer("scale", self.scale)

    network = Network().to(cuda.device).to(torch.float64)
    assert network.head.weight is network.table.weight
    assert network.inner.scale is network.scale
    assert len(list(network.parameters())) == 1
    assert network.head.weight.dtype == torch.float64
