"""The kernel against the definition in float64: in Triton's interpreter on the CPU, and with ``-m gpu`` on a GPU.

It needs torch, triton and pytest only, so that it also runs on a host that has nothing else.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton", reason="Triton has no wheel for this platform")

from augment import Normalization, Window, draw_window, kernel, mix, mix_pixels, reference, sample_indices
from augment.weights import dirichlet_weights, p_series_weights

MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)
SMALL = [(1, 3, 7, 7), (5, 3, 33, 31)]
CIFAR, LARGE = (128, 3, 32, 32), (32, 3, 224, 224)
DTYPES = [torch.float32, torch.bfloat16, torch.float16, torch.float64]
PIXEL_DTYPES = [torch.float32, torch.bfloat16, torch.float16]

interpreted = pytest.mark.skipif(torch.cuda.is_available(), reason="compiled for the GPU here")

on_each_device = pytest.mark.parametrize(
    "device", [pytest.param("cpu", marks=interpreted), pytest.param("cuda", marks=pytest.mark.gpu)]
)


@pytest.fixture(autouse=True)
def poisoned() -> Iterator[None]:
    """Fill memory that nothing has written to with NaN: an element that the kernel leaves out is seen."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    assert torch.utils.deterministic.fill_uninitialized_memory
    yield
    torch.use_deterministic_algorithms(False)


def test_memory_is_poisoned() -> None:
    assert torch.empty(3).isnan().all()
    assert torch.zeros(3, 4).new_empty(3).isnan().all()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "contiguous": lambda images: images,
    "channels_last": lambda images: images.to(memory_format=torch.channels_last),
    "sliced": lambda images: torch.cat([images, images], dim=3)[..., : images.shape[3]],
}


def sizes_of_num_mixed(batch_size: int) -> list[int]:
    return sorted({1, min(2, batch_size), min(5, batch_size), batch_size})


def combinations(shapes: list[tuple[int, ...]]) -> list[tuple[tuple[int, ...], int]]:
    return [(shape, num_mixed) for shape in shapes for num_mixed in sizes_of_num_mixed(shape[0])]


def cases(dtypes: list[torch.dtype]) -> Iterator[Any]:
    """Every case on a GPU; those that take the interpreter seconds are slow there, but for one layout and dtype."""
    for (shape, num_mixed), dtype, layout in itertools.product(
        combinations([*SMALL, CIFAR, LARGE]), dtypes, sorted(LAYOUTS)
    ):
        patient = shape == LARGE or (shape == CIFAR and (layout != "channels_last" or dtype != torch.float32))
        case = (shape, num_mixed, dtype, layout)
        yield pytest.param(*case, "cpu", marks=[interpreted, *[pytest.mark.slow] * patient])
        yield pytest.param(*case, "cuda", marks=pytest.mark.gpu)


def error(result: Tensor, exact: Tensor) -> float:
    assert not result.isnan().any(), "an element was not written"
    return float((result.cpu().double() - exact).abs().max())


def assert_as_exact_as_torch(result: Tensor, plain: Tensor, exact: Tensor, *, cut_off: float = 0.0) -> None:
    """The bound: twice the error of the plain version in the same dtype, one rounding of a sum, and what is cut off."""
    sum_dtype = torch.promote_types(result.dtype, torch.float32)
    floor = torch.finfo(sum_dtype).eps * float(exact.abs().max())
    assert (result.shape, result.dtype) == (plain.shape, plain.dtype)
    assert error(result, exact) <= 2 * error(plain, exact) + floor + cut_off


def check_mix(shape: tuple[int, ...], num_mixed: int, dtype: torch.dtype, layout: str, device: str) -> None:
    images = torch.randn(shape, generator=seeded(), dtype=torch.float64).to(dtype)
    indices = sample_indices(shape[0], num_mixed, generator=seeded(1))
    weights = p_series_weights(num_mixed, 2.4, dtype=torch.float64)
    there = LAYOUTS[layout](images.to(device))
    result = mix(there, indices.to(device), weights.to(device), backend="triton")
    assert result.stride() == mix(there, indices.to(device), weights.to(device), backend="torch").stride()
    plain = mix(images, indices, weights, backend="torch")
    assert_as_exact_as_torch(result, plain, reference.mix(images, indices, weights))


@pytest.mark.parametrize(("shape", "num_mixed", "dtype", "layout", "device"), cases(DTYPES))
def test_mix(shape: tuple[int, ...], num_mixed: int, dtype: torch.dtype, layout: str, device: str) -> None:
    check_mix(shape, num_mixed, dtype, layout, device)


def random_pixels(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=seeded(seed))


def moved(window: Window | None, device: str) -> Window | None:
    if window is None:
        return None
    return Window(window.padding, window.top.to(device), window.left.to(device), window.mirrored.to(device))


def check_mix_pixels(
    shape: tuple[int, ...],
    num_mixed: int,
    dtype: torch.dtype,
    layout: str,
    device: str,
    *,
    crop_padding: int = 4,
    weights: Tensor | None = None,
    memory_format: torch.memory_format = torch.channels_last,
) -> None:
    pixels = random_pixels(shape)
    window = draw_window(shape[0], crop_padding=crop_padding, hflip=crop_padding > 0, generator=seeded(2))
    indices = sample_indices(shape[0], num_mixed, generator=seeded(1))
    weights = p_series_weights(num_mixed, 2.4, dtype=torch.float64) if weights is None else weights
    result, plain = (
        mix_pixels(
            LAYOUTS[layout](pixels.to(place)),
            indices.to(place),
            weights.to(place),
            window=moved(window, place),
            normalization=Normalization(MEAN, STD, device=torch.device(place)),
            dtype=dtype,
            memory_format=memory_format,
            backend=backend,
        )
        for place, backend in ((device, "triton"), ("cpu", "torch"))
    )
    assert result.is_contiguous(memory_format=memory_format)
    exact = reference.mix_pixels(pixels, indices, weights, window=window, mean=MEAN, std=STD)
    # Tensor cores cut off the sum of every 16 products, of which there are two for each sample; the interpreter rounds.
    of_sum = num_mixed / 8 * torch.finfo(torch.float32).eps / min(STD)
    assert_as_exact_as_torch(result, plain, exact, cut_off=of_sum if device == "cuda" else 0.0)


@pytest.mark.parametrize(("shape", "num_mixed", "dtype", "layout", "device"), cases(PIXEL_DTYPES))
def test_mix_pixels(shape: tuple[int, ...], num_mixed: int, dtype: torch.dtype, layout: str, device: str) -> None:
    check_mix_pixels(shape, num_mixed, dtype, layout, device)


@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format], ids=str)
@pytest.mark.parametrize("crop_padding", [0, 1, 9])
@pytest.mark.parametrize("num_mixed", [3, 20])
@on_each_device
def test_windows_and_memory_formats(
    num_mixed: int, crop_padding: int, memory_format: torch.memory_format, device: str
) -> None:
    shape = (20, 3, 9, 6)
    check_mix_pixels(
        shape, num_mixed, torch.float32, "contiguous", device, crop_padding=crop_padding, memory_format=memory_format
    )


@pytest.mark.parametrize("num_mixed", [2, 16])
@on_each_device
def test_each_output_can_have_weights_of_its_own(num_mixed: int, device: str) -> None:
    weights = dirichlet_weights(num_mixed, 0.5, num_rows=16, generator=seeded())
    check_mix_pixels((16, 3, 8, 8), num_mixed, torch.float16, "contiguous", device, weights=weights)
    images = torch.randn((16, 3, 8, 8), generator=seeded())
    indices = sample_indices(16, num_mixed, generator=seeded(1))
    result = mix(images.to(device), indices.to(device), weights.to(device), backend="triton")
    assert_as_exact_as_torch(
        result, mix(images, indices, weights, backend="torch"), reference.mix(images, indices, weights)
    )


@pytest.mark.slow  # in the interpreter; test_fuzzed_shapes has smaller ones that no tile divides
@pytest.mark.parametrize("shape", [(130, 3, 5, 5), (150, 1, 3, 1), (257, 2, 4, 4)])
@on_each_device
def test_batches_that_no_tile_divides(shape: tuple[int, ...], device: str) -> None:
    for num_mixed in (7, shape[0]):
        check_mix(shape, num_mixed, torch.bfloat16, "contiguous", device)


@pytest.mark.parametrize(
    "shape", [(6,), (6, 5), (20, 3, 4), (20, 2, 3, 4, 5), (20, 3, 1, 5), (4, 0, 2, 2), (0, 3, 2, 2)]
)
@on_each_device
def test_any_number_of_dimensions(shape: tuple[int, ...], device: str) -> None:
    images = torch.randn(shape, generator=seeded()).to(device)
    num_mixed = max(1, shape[0])
    indices = sample_indices(num_mixed, num_mixed, generator=seeded(1)).to(device)[: shape[0]]
    weights = p_series_weights(num_mixed, 2.0, device=device)
    result = mix(images, indices, weights, backend="triton")
    expected = mix(images, indices, weights, backend="torch")
    assert result.stride() == expected.stride()
    torch.testing.assert_close(result, expected)


@pytest.mark.parametrize(
    "view",
    [
        lambda images: images[:, :, ::2, 1:],
        lambda images: images.transpose(2, 3),
        lambda images: images[:, :1].expand(-1, 3, -1, -1),
        lambda images: images.transpose(0, 1).contiguous().transpose(0, 1),
        lambda images: images[:, :, 1:, 1:, None],
    ],
    ids=["strided", "transposed", "expanded", "batch_inside", "five_dimensions"],
)
@pytest.mark.parametrize("num_mixed", [4, 18])
@on_each_device
def test_any_strides(view: Callable[[Tensor], Tensor], num_mixed: int, device: str) -> None:
    images = view(torch.randn((18, 3, 8, 5), generator=seeded()).to(device))
    indices = sample_indices(18, num_mixed, generator=seeded(1)).to(device)
    weights = p_series_weights(num_mixed, 2.0, device=device)
    result = mix(images, indices, weights, backend="triton")
    expected = mix(images, indices, weights, backend="torch")
    assert result.stride() == expected.stride()
    torch.testing.assert_close(result, expected)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@on_each_device
def test_one_sample_is_the_identity_bit_for_bit(dtype: torch.dtype, layout: str, device: str) -> None:
    images = LAYOUTS[layout](torch.randn((7, 3, 9, 5), generator=seeded()).to(device, dtype))
    itself = torch.arange(7, device=device).unsqueeze(1)
    assert torch.equal(mix(images, itself, torch.ones(1, device=device), backend="triton"), images)


@pytest.mark.parametrize("num_mixed", [4, 20])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@on_each_device
def test_one_hot_weights_select_bit_for_bit(dtype: torch.dtype, num_mixed: int, device: str) -> None:
    images = torch.randn((20, 3, 9, 5), generator=seeded()).to(device, dtype)
    indices = sample_indices(20, num_mixed, generator=seeded(1)).to(device)
    for rank in (0, 1, num_mixed - 1):
        weights = torch.zeros(num_mixed, device=device)
        weights[rank] = 1
        result = mix(images, indices, weights, backend="triton")
        assert torch.equal(result, images.index_select(0, indices[:, rank]))


@on_each_device
def test_bytes_are_exact(device: str) -> None:
    """All 256 values survive the tensor cores' 16 bits, in the gather and in the dense kernel."""
    values = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(20, 3, 16, 16).to(device)
    plain = Normalization((0.0,) * 3, (1 / 255,) * 3, device=torch.device(device))
    for num_mixed in (1, 20):
        indices = sample_indices(20, num_mixed, generator=seeded()).to(device)
        weights = torch.zeros(num_mixed, device=device)
        weights[0] = 1
        arguments = (values.contiguous(), indices, weights)
        result = mix_pixels(*arguments, window=None, normalization=plain, backend="triton")
        assert torch.equal(result, values.float())


@pytest.mark.skipif(torch.cuda.is_available(), reason="for the interpreter")
def test_a_window_of_strided_offsets() -> None:
    pixels, indices, weights = random_pixels((20, 3, 6, 5)), *operator_arguments("cpu")[1:]
    offsets = torch.randint(0, 5, (20, 3), generator=seeded())
    window = Window(2, offsets[:, 0], offsets[:, 1], offsets[:, 2] > 2)
    normalization = Normalization(MEAN, STD, device=torch.device("cpu"))
    settings: dict[str, Any] = {"window": window, "normalization": normalization, "dtype": torch.float32}
    by_kernel, by_torch = (
        mix_pixels(pixels, indices, weights, backend=backend, **settings) for backend in ("triton", "torch")
    )
    torch.testing.assert_close(by_kernel, by_torch, rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(torch.cuda.is_available(), reason="for the interpreter")
@pytest.mark.parametrize("max_examples", [4, pytest.param(30, marks=pytest.mark.slow)])
def test_fuzzed_shapes(max_examples: int) -> None:
    hypothesis = pytest.importorskip("hypothesis")
    strategies = hypothesis.strategies

    @hypothesis.settings(deadline=None, max_examples=max_examples)
    @hypothesis.given(
        shape=strategies.tuples(
            strategies.integers(1, 40), strategies.just(3), strategies.integers(1, 20), strategies.integers(1, 20)
        ),
        data=strategies.data(),
    )
    def check(shape: tuple[int, ...], data: "hypothesis.strategies.DataObject") -> None:
        num_mixed = data.draw(strategies.integers(1, shape[0]))
        layout = data.draw(strategies.sampled_from(sorted(LAYOUTS)))
        check_mix(shape, num_mixed, data.draw(strategies.sampled_from(DTYPES)), layout, "cpu")
        dtype, crop_padding = data.draw(strategies.sampled_from(PIXEL_DTYPES)), data.draw(strategies.integers(0, 5))
        check_mix_pixels(shape, num_mixed, dtype, layout, "cpu", crop_padding=crop_padding)

    check()


def operator_arguments(device: str) -> tuple[Tensor, Tensor, Tensor]:
    return (
        torch.randn((20, 3, 6, 5), generator=seeded()).to(device).to(memory_format=torch.channels_last),
        sample_indices(20, 20, generator=seeded()).to(device),
        p_series_weights(20, 2.0, device=device),
    )


def pixel_arguments(device: str, num_mixed: int = 20) -> tuple[object, ...]:
    window = moved(draw_window(20, crop_padding=2, hflip=True, generator=seeded()), device)
    assert window is not None
    normalization = Normalization(MEAN, STD, device=torch.device(device))
    return (
        random_pixels((20, 3, 6, 5)).to(device),
        sample_indices(20, num_mixed, generator=seeded()).to(device),
        p_series_weights(num_mixed, 2.0, device=device),
        *(normalization.scale, normalization.shift),
        *(window.padding, window.top, window.left, window.mirrored),
        *(torch.bfloat16, True),
    )


@on_each_device
def test_the_operators_keep_their_contract(device: str) -> None:
    """Schema, fake implementation and tracing, as torch itself checks them."""
    torch.use_deterministic_algorithms(False)  # NaN in both of two outputs to compare would look like a difference
    torch.library.opcheck(torch.ops.zetasweep.mix.default, operator_arguments(device))
    torch.library.opcheck(torch.ops.zetasweep.mix_pixels.default, pixel_arguments(device))
    plain = (*pixel_arguments(device)[:5], 0, None, None, None, torch.float16, False)
    torch.library.opcheck(torch.ops.zetasweep.mix_pixels.default, plain)


@on_each_device
def test_a_compiled_step_contains_the_kernel(device: str) -> None:
    def step(images: Tensor, indices: Tensor, weights: Tensor) -> Tensor:
        return mix(images * 2, indices, weights, backend="triton") + 1

    arguments = operator_arguments(device)
    compiled = torch.compile(step, fullgraph=True, backend="inductor" if device == "cuda" else "aot_eager")
    result, expected = compiled(*arguments), step(*arguments)
    assert result.stride() == expected.stride()
    torch.testing.assert_close(result, expected)


@pytest.mark.gpu
@pytest.mark.parametrize("num_mixed", [4, 20])
def test_a_cuda_graph_contains_the_kernel(num_mixed: int) -> None:
    arguments = pixel_arguments("cuda", num_mixed)
    expected = kernel.mix_pixels(*arguments)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = kernel.mix_pixels(*arguments)
    captured.zero_()
    graph.replay()
    torch.cuda.synchronize()
    assert torch.equal(captured, expected)


@on_each_device
def test_gradients_are_refused(device: str) -> None:
    images, indices, weights = operator_arguments(device)
    learned_images, learned_weights = images.clone().requires_grad_(), weights.clone().requires_grad_()
    for wrong in ((learned_images, indices, weights), (images, indices, learned_weights)):
        with pytest.raises(ValueError, match="require a gradient, and backend=triton has none"):
            mix(*wrong, backend="triton")
    with torch.no_grad():
        mix(learned_images, indices, learned_weights, backend="triton")


@pytest.mark.skipif(torch.cuda.is_available(), reason="about a host without a GPU")
def test_without_gpu_and_interpreter_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "IS_INTERPRETED", False)
    with pytest.raises(ValueError, match=r"backend=triton cannot run on cpu: it needs a GPU"):
        mix(*operator_arguments("cpu"), backend="triton")


def test_the_two_kernels_are_both_tested() -> None:
    tested = {kernel.uses_gather(size, torch.uint8) for size in itertools.chain(*map(sizes_of_num_mixed, (5, 128)))}
    assert tested == {True, False}
