"""The plain PyTorch arithmetic: gathered for few samples per output, one matrix product for many."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from augment import Normalization, backend_on, draw_window, mix, mix_pixels, mixing, reference, sample_indices
from augment.weights import dirichlet_weights, p_series_weights

BATCH_SIZE = 40
GATHERED, DENSE = 3, BATCH_SIZE

few_and_many = pytest.mark.parametrize("num_mixed", [1, GATHERED, DENSE])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_both_ways_are_tested() -> None:
    assert GATHERED < mixing.DENSE_FROM <= DENSE


@few_and_many
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64], ids=str)
def test_mix_is_the_definition(dtype: torch.dtype, num_mixed: int) -> None:
    images = torch.randn((BATCH_SIZE, 3, 5, 7), generator=seeded(), dtype=torch.float64).to(dtype)
    indices = sample_indices(BATCH_SIZE, num_mixed, generator=seeded(1))
    exact = reference.mix(images, indices, reference.p_series_weights(num_mixed, 2.4))
    result = mix(images, indices, p_series_weights(num_mixed, 2.4, dtype=torch.float64))
    # The result's own rounding, and one of the sum's dtype per weight, product and sum.
    sum_eps = torch.finfo(torch.promote_types(dtype, torch.float32)).eps
    bound = exact.abs() * torch.finfo(dtype).eps / 2 + 3 * num_mixed * sum_eps * images.double().abs().max()
    assert ((result.double() - exact).abs() <= bound).all()


@few_and_many
def test_each_output_can_have_weights_of_its_own(num_mixed: int) -> None:
    images = torch.randn((BATCH_SIZE, 3, 5, 7), generator=seeded(), dtype=torch.float64)
    indices = sample_indices(BATCH_SIZE, num_mixed, generator=seeded(1))
    weights = dirichlet_weights(num_mixed, 0.7, num_rows=BATCH_SIZE, generator=seeded(2))
    expected = reference.mix(images, indices, weights)
    torch.testing.assert_close(mix(images, indices, weights), expected, atol=1e-13, rtol=0)


@few_and_many
@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (2, 3, 4), (2, 3, 4, 5), (1, 1, 1), (3, 1, 5), (0, 2, 2)])
def test_mix_takes_any_shape(shape: tuple[int, ...], num_mixed: int) -> None:
    images = torch.rand((BATCH_SIZE, *shape), generator=seeded(), dtype=torch.float64)
    indices = sample_indices(BATCH_SIZE, num_mixed, generator=seeded(1))
    result = mix(images, indices, p_series_weights(num_mixed, 2.0, dtype=torch.float64))
    assert result.stride() == images.stride()
    expected = reference.mix(images, indices, reference.p_series_weights(num_mixed, 2.0))
    torch.testing.assert_close(result, expected, atol=1e-13, rtol=0)


@few_and_many
@pytest.mark.parametrize(
    "view",
    [
        lambda images: images.to(memory_format=torch.channels_last),
        lambda images: images[:, :, ::2, 1:],
        lambda images: images.transpose(2, 3),
        lambda images: images[:, :1].expand(-1, 3, -1, -1),
        lambda images: images.transpose(0, 1).contiguous().transpose(0, 1),
    ],
    ids=["channels_last", "strided", "transposed", "expanded", "batch_inside"],
)
def test_mix_reads_any_layout(view: Callable[[Tensor], Tensor], num_mixed: int) -> None:
    images = view(torch.rand((BATCH_SIZE, 3, 8, 5), generator=seeded(), dtype=torch.float64))
    indices = sample_indices(BATCH_SIZE, num_mixed, generator=seeded(1))
    result = mix(images, indices, p_series_weights(num_mixed, 2.0, dtype=torch.float64))
    expected = reference.mix(images, indices, reference.p_series_weights(num_mixed, 2.0))
    torch.testing.assert_close(result, expected, atol=1e-13, rtol=0)


@pytest.mark.parametrize("batch_size", [3, 26])
def test_mix_is_differentiable(batch_size: int) -> None:
    images = torch.rand((batch_size, 1, 2, 1), generator=seeded(), dtype=torch.float64, requires_grad=True)
    weights = p_series_weights(batch_size, 3.0, dtype=torch.float64).requires_grad_()
    indices = sample_indices(batch_size, batch_size, generator=seeded(1))
    assert torch.autograd.gradcheck(lambda x, w: mix(x, indices, w), (images, weights))


def test_mix_refuses_integers() -> None:
    indices = sample_indices(4, 2, generator=seeded())
    with pytest.raises(ValueError, match=r"torch\.uint8 cannot be mixed"):
        mix(torch.zeros((4, 1, 2, 2), dtype=torch.uint8), indices, p_series_weights(2, 2.0))


@few_and_many
@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format], ids=str)
@pytest.mark.parametrize("crop_padding", [0, 3])
def test_mix_pixels_is_the_definition(num_mixed: int, crop_padding: int, memory_format: torch.memory_format) -> None:
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 1.0)
    pixels = torch.randint(0, 256, (BATCH_SIZE, 3, 6, 9), dtype=torch.uint8, generator=seeded())
    before = pixels.clone()
    window = draw_window(BATCH_SIZE, crop_padding=crop_padding, hflip=True, generator=seeded(2))
    indices = sample_indices(BATCH_SIZE, num_mixed, generator=seeded(1))
    weights = p_series_weights(num_mixed, 2.0, dtype=torch.float64)
    exact = reference.mix_pixels(pixels, indices, weights, window=window, mean=mean, std=std)
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        result = mix_pixels(
            pixels,
            indices,
            weights,
            window=window,
            normalization=Normalization(mean, std, device=torch.device("cpu")),
            dtype=dtype,
            memory_format=memory_format,
        )
        assert result.dtype == dtype
        assert result.is_contiguous(memory_format=memory_format)
        bound = exact.abs() * torch.finfo(dtype).eps / 2 + 3 * (num_mixed + 2) * torch.finfo(torch.float32).eps * 5
        assert ((result.double() - exact).abs() <= bound).all()
    assert torch.equal(pixels, before)


@pytest.mark.parametrize("backend", ["torch", "triton"])
def test_one_sample_is_the_one_that_is_named(backend: Any) -> None:
    pixels = torch.randint(0, 256, (3, 1, 4, 4), dtype=torch.uint8, generator=seeded())
    plain = Normalization((0.0,), (1 / 255,), device=torch.device("cpu"))
    others, alone = torch.tensor([[2], [0], [1]]), torch.ones(1)
    result = mix_pixels(pixels, others, alone, window=None, normalization=plain, backend=backend)
    assert torch.equal(result, pixels[[2, 0, 1]].float())
    prepared = mixing.prepare_pixels(pixels, window=None, normalization=plain, dtype=torch.float32, backend=backend)
    assert torch.equal(prepared, pixels.float())


def test_a_backend_is_tried_before_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    mixing.check_backend(cpu, "torch")
    mixing.check_backend(cpu, "triton")

    def fail(*_: Tensor) -> Tensor:
        raise RuntimeError("Failed to find C compiler")

    monkeypatch.setattr("augment.kernel.mix", fail)
    with pytest.raises(ValueError, match=r"Failed to find C compiler.*set resources\.backend to torch"):
        mixing.check_backend(cpu, "triton")


@pytest.mark.parametrize("device", ["mps", "xpu", "meta"])
def test_triton_is_refused_on_other_devices(device: str) -> None:
    with pytest.raises(ValueError, match=f"backend=triton cannot run on {device}"):
        backend_on(torch.device(device), "triton")


@pytest.mark.parametrize("wrong", [torch.zeros(4, 3, 2, 2), torch.zeros(4, 3, 2, dtype=torch.uint8)], ids=str)
def test_mix_pixels_refuses_what_is_not_pixels(wrong: Tensor) -> None:
    indices = sample_indices(4, 2, generator=seeded())
    normalization = Normalization((0.0,), (1.0,), device=torch.device("cpu"))
    with pytest.raises(ValueError, match=r"torch\.uint8 \[B, C, H, W\] is allowed"):
        mix_pixels(wrong, indices, p_series_weights(2, 2.0), window=None, normalization=normalization)


def test_the_backend_follows_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    assert backend_on(torch.device("cpu")) == "torch"
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    assert backend_on(torch.device("cuda")) == "triton"
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    assert backend_on(torch.device("cuda")) == "torch", "Triton does not support it"
    assert backend_on(torch.device("cuda"), "torch") == "torch"


def test_without_triton_a_gpu_mixes_with_torch_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixing, "_HAS_TRITON", False)
    assert backend_on(torch.device("cuda")) == "torch"
    with pytest.raises(ValueError, match="the package triton is not installed"):
        backend_on(torch.device("cuda"), "triton")


@pytest.mark.parametrize("backend", ["cuda", "", None])
def test_an_unknown_backend_is_refused(backend: Any) -> None:
    with pytest.raises(ValueError, match=r"backend=.* is not allowed: auto, torch or triton is"):
        backend_on(torch.device("cpu"), backend)
