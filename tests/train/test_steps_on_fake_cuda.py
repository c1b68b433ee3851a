"""Steps on CUDA tensors, with a GPU or without: nothing is on the wrong device, and the host waits for nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from cuda_cells import SIDE, ZETA, build_tiny, cell_of, dataset_of
from torch import Tensor
from trainings import REQUIRED

from augment import AUGMENTATIONS, SINGLE_IMAGES, Backend
from orchestrator.experiment import OPTIMIZERS, OptimizerName
from orchestrator.experiment.augment_spec import AugmentSpec
from orchestrator.experiment.cells import Cell
from orchestrator.experiment.combine_spec import CombineSpec
from orchestrator.models.registry import MODELS
from orchestrator.train import forward
from orchestrator.train.accumulation import parts_of_epoch
from orchestrator.train.learner import Learner
from orchestrator.train.ranks import Ranks
from zetasweep._fake_cuda import RealCuda
from zetasweep.testing import FakeCuda, HostWaitsError, fake_cuda

IS_THERE = torch.cuda.is_available()
EVERY_AUGMENT = [AugmentSpec(name=name, params=REQUIRED.get(name, {})) for name in AUGMENTATIONS]
PER_SAMPLE = [AugmentSpec(name=name, params={"alpha": 1.0, "per": "sample"}) for name in ("mixup", "cutmix")]
SOMETIMES = [
    AugmentSpec(name=name, params=REQUIRED.get(name, {}), probability=0.5) for name in ("zeta_mixup", "cutmix")
]
SINGLE = {
    "rand_augment": {"num_ops": 1, "magnitude": 9},
    "auto_augment": {"policy": "cifar10"},
}
COMBINED = [
    ZETA.model_copy(update={"combine": CombineSpec(name=name, params=SINGLE.get(name, {}))}) for name in SINGLE_IMAGES
]
TRANSFORMS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "window": {"crop_padding": 1, "hflip": True},
    "reflected": {"crop_padding": 1, "padding_mode": "reflect", "vflip": True},
    "smaller": {"image_size": 6, "cache_size": 8, "rot90": True},
    "resized": {"random_resized_crop": {}, "hflip": True},
    "colours": {"color_jitter": {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 0.1}},
}
OPTIONS: dict[str, dict[str, Any]] = {
    "loss": {"class_weights": "balanced", "label_smoothing": 0.1, "clip_grad_norm": 1.0},
    "weights": {"ema_decay": 0.9, "no_decay_norm_bias": True, "schedule": "onecycle"},
    "fp32": {"precision": "fp32", "mixing_off_epochs": 1},
    "accumulated": {"accumulate": 2, "clip_grad_norm": 1.0},
}
HEADS: dict[str, dict[str, Any]] = {"frozen": {"freeze": "backbone"}, "its own rate": {"head_lr": 10.0}}
# torch's own waits for the norm of each weight; docs/training.md says so.
WAITING = ("adafactor",)
EVERYTHING = [*EVERY_AUGMENT, *PER_SAMPLE, *SOMETIMES, *COMBINED]
# auto is Triton's kernel. One of them is tried here, both in the slow tests, with every transform and option.
ALTERNATING = [
    pytest.param(spec, ("auto", "torch")[number % 2], marks=[pytest.mark.slow] if spec in COMBINED[:-1] else [])
    for number, spec in enumerate(EVERYTHING)
]


def marks_of(optimizer: OptimizerName) -> list[pytest.MarkDecorator]:
    return [] if optimizer in ("sgd", "adamw", *WAITING) else [pytest.mark.slow]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCuda]:
    if IS_THERE:
        pytest.skip("there is a GPU")
    monkeypatch.setitem(MODELS, "tiny", build_tiny)
    with fake_cuda() as cuda:
        yield cuda


@pytest.fixture(params=["a GPU that is not there", pytest.param("a GPU", marks=pytest.mark.gpu)])
def cuda(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> FakeCuda | RealCuda:
    if request.param != "a GPU":
        cuda: FakeCuda = request.getfixturevalue("fake")
        return cuda
    monkeypatch.setitem(MODELS, "tiny", build_tiny)
    return RealCuda()


def steps(cuda: FakeCuda | RealCuda, cell: Cell, *, backend: Backend = "torch") -> None:
    """Take steps: the first may wait, since tables that are kept are brought to the GPU, and the second must not, of a
    training that goes on from a checkpoint.
    """
    dataset = dataset_of()
    learner = Learner(cell, dataset, device=cuda.device, ranks=Ranks(cuda.device), backend=backend, steps_per_epoch=1)
    pixels, labels = dataset.images.to(cuda.device), dataset.train.labels.to(cuda.device)
    generator = torch.Generator(cuda.device).manual_seed(0)
    parts = parts_of_epoch(cell.train.accumulate or 1, cell.train.accumulate)
    for epoch in (1, 2) if cell.train.mixing_off_epochs else (1,):
        learner.begin_epoch(epoch)
        for part in parts:
            learner.step(pixels, labels, generator, part)
        learner.load_state(learner.state())
        with cuda.no_waits():
            for part in parts:
                loss = learner.step(pixels, labels, generator, part)
    assert loss.device == cuda.device
    assert loss.shape == ()
    with torch.inference_mode(), cuda.no_waits():
        assert learner.predict(pixels).device == cuda.device


@pytest.mark.parametrize(("augment", "backend"), ALTERNATING, ids=lambda value: getattr(value, "label", value))
def test_every_augmentation_steps(augment: AugmentSpec, backend: Backend, cuda: FakeCuda | RealCuda) -> None:
    steps(cuda, cell_of(augment, transform=TRANSFORMS["window"], model="tiny"), backend=backend)


@pytest.mark.parametrize("transform", ["reflected", "resized", "colours"])
def test_every_transform_steps(transform: str, cuda: FakeCuda | RealCuda) -> None:
    steps(cuda, cell_of(transform=TRANSFORMS[transform], model="tiny"), backend="auto")


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks_of(name)) for name in OPTIMIZERS])
def test_every_optimizer_steps(name: OptimizerName, cuda: FakeCuda | RealCuda) -> None:
    cell = cell_of(optimizer=name, momentum=0.9 if OPTIMIZERS[name].momentum else None, model="tiny")
    if name not in WAITING:
        steps(cuda, cell)
        return
    with pytest.raises((HostWaitsError, RuntimeError), match=r"a number|synchronizing"):
        steps(cuda, cell)


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_of_a_training_steps(option: str, cuda: FakeCuda | RealCuda) -> None:
    steps(cuda, cell_of(**OPTIONS[option], model="tiny"))


@pytest.mark.parametrize("head", HEADS)
def test_a_network_with_a_head_of_its_own_steps(head: str, cuda: FakeCuda | RealCuda) -> None:
    cell = cell_of(model="tiny")
    # Not through the file's checks: what is frozen must have weights to begin with there.
    steps(cuda, cell.model_copy(update={"model": cell.model.model_copy(update=HEADS[head])}))


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["torch", "auto"])
@pytest.mark.parametrize("augment", EVERYTHING, ids=lambda spec: spec.label)
def test_every_combination_steps(augment: AugmentSpec, backend: Backend, fake: FakeCuda) -> None:
    for transform in TRANSFORMS.values():
        for options in OPTIONS.values():
            steps(fake, cell_of(augment, transform=transform, **options, model="tiny"), backend=backend)


@pytest.mark.parametrize("model", ["convnet", pytest.param("resnet18", marks=pytest.mark.slow)])
def test_a_model_steps(model: str, cuda: FakeCuda | RealCuda) -> None:
    steps(cuda, cell_of(model=model), backend="auto")


def planted(monkeypatch: pytest.MonkeyPatch, change: Callable[[Tensor], Tensor]) -> None:
    """Have the training do something more with the images of each step."""
    mixed = forward.mixed_batch

    def with_more(*arguments: Any) -> tuple[Tensor, Tensor]:
        images, targets = mixed(*arguments)
        return change(images), targets

    monkeypatch.setattr(forward, "mixed_batch", with_more)


@pytest.mark.parametrize(
    "wait",
    [
        lambda images: images * images.amax().item(),
        lambda images: images if images.isfinite().all() else images * 0,
        lambda images: images[images[:, 0, 0, 0].isfinite()],
        lambda images: images.cpu().to(images.device),
        lambda images: images * torch.ones(SIDE).to(images.device),
        lambda images: images * torch.tensor(2.0, device=images.device),
    ],
    ids=["item", "bool", "mask", "copy to the host", "copy to the device", "new number"],
)
def test_a_planted_wait_fails(
    wait: Callable[[Tensor], Tensor], fake: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted(monkeypatch, wait)
    with pytest.raises(HostWaitsError, match="waits for the GPU"):
        steps(fake, cell_of(model="tiny"))


def test_a_planted_tensor_of_the_cpu_fails(fake: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    planted(monkeypatch, lambda images: images + torch.zeros(SIDE))
    with pytest.raises(RuntimeError, match=r"two (different )?devices"):
        steps(fake, cell_of(model="tiny"))


def test_a_tensor_of_the_cpu_in_the_backward_pass_fails(fake: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    class OnTheHost(torch.autograd.Function):
        @staticmethod
        def forward(_: Any, images: Tensor) -> Tensor:
            return images.clone()

        @staticmethod
        def backward(_: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
            return gradient * torch.ones(SIDE)

    planted(monkeypatch, lambda images: OnTheHost.apply(images.requires_grad_()))
    with pytest.raises(RuntimeError, match=r"two (different )?devices"):
        steps(fake, cell_of(model="tiny"))
