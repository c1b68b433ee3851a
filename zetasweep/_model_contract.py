"""What holds for every model that a sweep trains."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import torch
from torch import nn

from augment import ParameterError
from zetasweep._fake_cuda import some_cuda

NUM_CLASSES = 7


@dataclass(frozen=True)
class ModelCase:
    """A model that is tried.

    Attributes:
        build: ``(*, num_classes, num_channels, image_size, **options) -> nn.Module``.
        image_sizes: In pixels; one that it refuses by ParameterError is passed over, but not all.
        num_channels: Of the images.
        options: What is said of it beside that.
    """

    build: Callable[..., nn.Module]
    image_sizes: Sequence[int] = (8, 63, 64)
    num_channels: Sequence[int] = (1, 3)
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return getattr(self.build, "__name__", str(self.build))

    def built(self, num_channels: int, image_size: int, *, seed: int = 0) -> nn.Module:
        """Return a new model; the generator that weights are drawn from stays as it is."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return self.build(num_classes=NUM_CLASSES, num_channels=num_channels, image_size=image_size, **self.options)

    def on_meta(self) -> Iterator[tuple[int, int, nn.Module]]:
        """Yield channels and side of the images that it takes, the smallest first, and a model without storage."""
        taken = 0
        for side, channels in product(sorted(self.image_sizes), self.num_channels):
            try:
                with torch.device("meta"):  # nothing is allocated or computed
                    model = self.built(channels, side)
            except ParameterError:
                continue
            taken += 1
            yield channels, side, model
        assert taken, f"it takes none of the sizes {self.image_sizes}"

    def smallest(self, *, seed: int = 0) -> tuple[nn.Module, torch.Tensor]:
        """Return a model for the smallest images that it takes, and two of those."""
        channels, side, _ = next(self.on_meta())
        images = torch.rand(2, channels, side, side, generator=torch.Generator().manual_seed(0))
        return self.built(channels, side, seed=seed), images


def logits_have_a_column_for_each_class(case: ModelCase) -> None:
    """Images [B, C, S, S] give logits [B, num_classes]: one tensor, in training, too."""
    for channels, side, model in case.on_meta():
        logits = model(torch.rand(2, channels, side, side, device="meta"))
        assert isinstance(logits, torch.Tensor), f"it returns a {type(logits).__name__}, no tensor"
        assert logits.shape == (2, NUM_CLASSES), f"{list(logits.shape)} of {channels} x {side} x {side} px"


def a_new_model_is_in_training_mode(case: ModelCase) -> None:
    """As `torch.nn` makes modules."""
    assert case.smallest()[0].training


def all_parameters_are_used(case: ModelCase) -> None:
    """Each gets a gradient: DistributedDataParallel waits for all of them."""
    model, images = case.smallest()
    model(images).sum().backward()
    unused = [
        name for name, parameter in model.named_parameters() if parameter.requires_grad and parameter.grad is None
    ]
    assert not unused, f"no gradient reaches {', '.join(unused)}"


def logits_are_finite_numbers_of_single_precision(case: ModelCase) -> None:
    """float32 on a CPU, without NaN."""
    model, images = case.smallest()
    logits = model(images)
    assert logits.dtype == torch.float32, f"{logits.dtype}"
    assert logits.isfinite().all()


def the_seed_alone_decides_the_initial_weights(case: ModelCase) -> None:
    """They come from torch's generator: a seed trains the same again, and another seed another network."""
    first, again, other = (case.smallest(seed=seed)[0].state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first), "the same seed gives other weights"
    assert any(not torch.equal(first[name], other[name]) for name in first), "another seed gives the same weights"


def evaluation_leaves_no_trace(case: ModelCase) -> None:
    """In evaluation the same images give the same logits, each image by itself."""
    model, images = case.smallest()
    with torch.inference_mode():
        model.eval()
        together, again = model(images), model(images)
        alone = torch.cat([model(images[:1]), model(images[1:])])
    assert torch.equal(together, again), "a second time gives other logits"
    torch.testing.assert_close(alone, together, rtol=1e-3, atol=1e-4)


def on_a_gpu_nothing_waits_and_nothing_is_elsewhere(case: ModelCase) -> None:
    """Trained in bf16 and evaluated there, it makes no tensor on the CPU, and the host asks the GPU for nothing."""
    model, images = case.smallest()
    with some_cuda() as cuda:
        model.to(cuda.device).to(memory_format=torch.channels_last)
        images = images.to(cuda.device)

        def step() -> torch.Tensor:
            with torch.autocast("cuda", dtype=torch.bfloat16):
                logits: torch.Tensor = model(images)
            logits.float().sum().backward()  # type: ignore[no-untyped-call]
            return logits

        step()  # brings what is kept, such as tables, to the GPU
        with cuda.no_waits():
            logits = step()
            with torch.inference_mode():
                model.eval()(images)
    assert logits.device == cuda.device, f"logits are on {logits.device}"


def torch_exports_it(case: ModelCase) -> None:
    """MLflow logs a graph, which loads without the code of the model, for batches of any size."""
    model, images = case.smallest()
    batch = torch.export.Dim("batch")
    with torch.inference_mode():
        exported = torch.export.export(model.eval(), (images,), dynamic_shapes=({0: batch},))
        torch.testing.assert_close(exported.module()(images), model(images), rtol=1e-3, atol=1e-4)


MODEL_CLAUSES: tuple[Callable[[ModelCase], None], ...] = (
    logits_have_a_column_for_each_class,
    a_new_model_is_in_training_mode,
    all_parameters_are_used,
    logits_are_finite_numbers_of_single_precision,
    the_seed_alone_decides_the_initial_weights,
    evaluation_leaves_no_trace,
    on_a_gpu_nothing_waits_and_nothing_is_elsewhere,
    torch_exports_it,
)
