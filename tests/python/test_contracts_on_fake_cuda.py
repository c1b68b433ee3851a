"""What the contracts find of augmentations and models that would wait for a GPU, or leave tensors on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from augment import ZetaMixup
from augment.blend import BlendDraw
from zetasweep.testing import AUGMENTATION_CLAUSES, MODEL_CLAUSES, FakeCuda, check_augmentation, check_model, fake_cuda

CLAUSE = "on_a_gpu_nothing_waits_and_nothing_is_elsewhere"
OTHER_AUGMENTATION_CLAUSES = [clause.__name__ for clause in AUGMENTATION_CLAUSES if clause.__name__ != CLAUSE]
OTHER_MODEL_CLAUSES = [clause.__name__ for clause in MODEL_CLAUSES if clause.__name__ != CLAUSE]

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, on which the same is tried")


def on_the_cpu(draw: BlendDraw) -> BlendDraw:
    return BlendDraw(draw.indices, torch.full((4,), 0.25, dtype=torch.float64))


def brought(draw: BlendDraw) -> BlendDraw:
    return BlendDraw(draw.indices, torch.full((4,), 0.25, dtype=torch.float64).to(draw.indices.device))


def asked(draw: BlendDraw) -> BlendDraw:
    return BlendDraw(draw.indices, draw.weights) if draw.weights.sum() > 0 else draw


@pytest.mark.parametrize(
    ("change", "found"),
    [(on_the_cpu, "devices"), (brought, "waits for the GPU"), (asked, "waits for the GPU")],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_an_augmentation_is_caught(change: Callable[[BlendDraw], BlendDraw], found: str) -> None:
    @dataclass(frozen=True)
    class Mine(ZetaMixup):
        def draw(self, shape: object, *, generator: torch.Generator) -> BlendDraw:
            return change(super().draw(shape, generator=generator))  # type: ignore[arg-type]

    with pytest.raises(AssertionError, match=CLAUSE) as caught:
        check_augmentation(Mine(gamma=2.0, num_mixed=4), without=OTHER_AUGMENTATION_CLAUSES)
    assert found in str(caught.value)


class Network(nn.Module):
    def __init__(self, change: Callable[[Tensor], Tensor], num_channels: int, num_classes: int) -> None:
        super().__init__()
        self.change, self.last = change, nn.Linear(num_channels, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.last(self.change(images.mean((2, 3))))
        return logits


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda features: features / features.amax().item(), "waits for the GPU"),
        (lambda features: features[features[:, 0] > -1], "waits for the GPU"),
        (lambda features: features + torch.zeros(features.shape), "devices"),
        (lambda features: features + torch.zeros(features.shape[1]).to(features.device), "waits for the GPU"),
        (lambda features: features, ""),
    ],
    ids=["item", "mask", "on the CPU", "brought", "nothing"],
)
def test_a_model_is_caught(change: Callable[[Tensor], Tensor], found: str) -> None:
    def build(*, num_classes: int, num_channels: int, **_: int) -> nn.Module:
        return Network(change, num_channels, num_classes)

    if not found:
        check_model(build, without=OTHER_MODEL_CLAUSES)
        return
    with pytest.raises(AssertionError, match=CLAUSE) as caught:
        check_model(build, without=OTHER_MODEL_CLAUSES)
    assert found in str(caught.value)


def test_what_is_on_the_cpu_is_computed_and_what_comes_back_is_made_up() -> None:
    with fake_cuda() as cuda:
        assert (torch.ones(3) + 1).tolist() == [2, 2, 2]
        copied = torch.rand(4, 5, dtype=torch.float64, device=cuda.device).cpu()
        assert (copied.shape, copied.dtype, copied.device.type) == ((4, 5), torch.float64, "cpu")
        assert copied.isfinite().all()
        assert torch.zeros(5, dtype=torch.int64, device="cuda").tolist() is not None
        assert len(cuda.waits) > 1
    assert not torch.cuda.is_available()
    assert (torch.ones(2) + 1).tolist() == [2, 2]


def gradient_of(device: torch.device) -> list[tuple[torch.Size, torch.dtype]]:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2)).to(device)
    images = torch.rand(5, 3, 4, 4).to(device)
    outputs = network(images)
    (outputs[:, 0] * outputs[:, 1] + outputs.sum(1)).mean().backward()
    gradients = [parameter.grad for parameter in network.parameters()]
    return [(gradient.shape, gradient.dtype) for gradient in gradients if gradient is not None]


def test_the_backward_pass_reaches_what_the_engine_reaches() -> None:
    expected = gradient_of(torch.device("cpu"))
    with fake_cuda() as cuda:
        assert gradient_of(cuda.device) == expected
    assert len(expected) == 6


def test_threads_see_it_too() -> None:
    from concurrent.futures import ThreadPoolExecutor

    with fake_cuda() as cuda, ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: torch.ones(2, device=cuda.device).device).result() == cuda.device


def test_a_wait_is_noted_where_it_may_be() -> None:
    with fake_cuda() as cuda:
        assert isinstance(cuda, FakeCuda)
        float(torch.ones((), device=cuda.device))
        torch.cuda.synchronize()
    assert cuda.waits == ["a number", "synchronize"]
