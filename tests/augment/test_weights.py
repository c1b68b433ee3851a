import itertools
from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from augment import (
    CutMixZetaMixup,
    MixUpPSeries,
    ZetaMixup,
    gamma_min,
    mixing_matrix,
    p_series_weights,
    reference,
    sample_indices,
    weights,
)

# Fixed seeds make every frequency test repeat exactly; this is the chance that a right sampler had been born unlucky.
UNLUCKY = 1e-3


@settings(deadline=None, max_examples=100)
@given(num_mixed=st.integers(1, 300), gamma=st.floats(0, 50))
def test_weights_are_the_definition_rounded_once(num_mixed: int, gamma: float) -> None:
    expected = torch.tensor(reference.p_series_weights(num_mixed, gamma), dtype=torch.float64)
    exact = p_series_weights(num_mixed, gamma, dtype=torch.float64)
    # Pairwise against sequential summation of at most 300 terms.
    torch.testing.assert_close(exact, expected, rtol=300 * torch.finfo(torch.float64).eps, atol=0)
    assert torch.equal(p_series_weights(num_mixed, gamma), exact.float())
    assert (exact.diff() <= 0).all()
    assert abs(exact.sum().item() - 1) < 1e-12


@pytest.mark.parametrize(
    ("num_mixed", "gamma", "largest"),
    [(32, 2.4, 0.726), (32, 2.8, 0.803), (32, 4.0, 0.924), (128, 2.4, 0.723), (128, 2.8, 0.802), (128, 4.0, 0.924)],
)
def test_largest_weight(num_mixed: int, gamma: float, largest: float) -> None:
    assert p_series_weights(num_mixed, gamma)[0].item() == pytest.approx(largest, abs=5e-4)


@pytest.mark.parametrize(
    ("num_mixed", "expected"),
    [(4, 1.0821), (8, 1.4358), (16, 1.5820), (32, 1.6505), (64, 1.6853), (128, 1.7039), (256, 1.7143)],
)
def test_the_first_weight_is_one_half_at_gamma_min(num_mixed: int, expected: float) -> None:
    assert p_series_weights(num_mixed, expected)[0].item() == pytest.approx(0.5, abs=5e-5)
    assert gamma_min(num_mixed) == pytest.approx(expected, abs=5e-5)


def test_gamma_min_solves_its_equation_and_rises_towards_that_of_all() -> None:
    assert gamma_min(2) == 0.0
    found = [gamma_min(num_mixed) for num_mixed in (3, 50, 2000)]
    assert found == sorted(found)
    assert found[-1] < 1.72865
    for num_mixed, gamma in zip((3, 50, 2000), found, strict=True):
        # γ is known to 1e-9, and the sum changes by less than Σ j^-γ ln j < 10 times as much.
        assert sum(j**-gamma for j in range(1, num_mixed + 1)) == pytest.approx(2, abs=1e-8)


def test_of_one_gamma_the_weights_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[float] = []

    def counting(num_mixed: int, gamma: float, **options: Any) -> torch.Tensor:
        computed.append(gamma)
        return p_series_weights(num_mixed, gamma, **options)

    monkeypatch.setattr("augment.weights.p_series_weights", counting)
    weights.kept_p_series_weights.cache_clear()
    for augmentation in (ZetaMixup(2.61, 4), MixUpPSeries(2.62), CutMixZetaMixup(2.63, 4), ZetaMixup(2.61, 4)):
        draws = [augmentation.draw((8, 3, 4, 4), generator=torch.Generator().manual_seed(0)) for _ in range(3)]
        drawn = [draw.blend.weights if hasattr(draw, "blend") else draw.weights for draw in draws]
        assert all(torch.equal(each, drawn[0]) for each in drawn)
    assert computed == [2.61, 2.62, 2.63]
    assert torch.equal(weights.kept_p_series_weights(4, 2.61, torch.device("cpu")),
                       p_series_weights(4, 2.61, dtype=torch.float64))  # fmt: skip


def test_weights_that_are_first_asked_for_in_evaluation_can_be_trained_with() -> None:
    with torch.inference_mode():
        kept = weights.kept_p_series_weights(3, 2.64, torch.device("cpu"))
    assert not kept.is_inference()


def test_two_samples_are_mixup_with_a_fixed_lam() -> None:
    assert p_series_weights(2, 3.0).tolist() == pytest.approx([1 / (1 + 2**-3), 2**-3 / (1 + 2**-3)])
    assert p_series_weights(2, 0.0).tolist() == [0.5, 0.5]


@pytest.mark.parametrize("gamma", [-0.1, float("nan"), float("inf")])
def test_gamma_out_of_range_is_refused(gamma: float) -> None:
    with pytest.raises(ValueError, match=f"gamma={gamma} is not allowed"):
        p_series_weights(4, gamma)


def test_num_mixed_out_of_range_is_refused() -> None:
    generator = torch.Generator()
    with pytest.raises(ValueError, match="num_mixed=0 is not allowed"):
        p_series_weights(0, 2.0)
    with pytest.raises(ValueError, match="num_mixed=0 is not allowed"):
        sample_indices(4, 0, generator=generator)
    with pytest.raises(
        ValueError, match=r"num_mixed=64 exceeds the batch of 32: mixing stays inside one worker's batch\."
    ):
        sample_indices(32, 64, generator=generator)


@settings(deadline=None, max_examples=100)
@given(data=st.data(), batch_size=st.integers(1, 40), seed=st.integers(0, 2**31))
def test_indices_lead_with_the_sample_and_repeat_nothing(data: st.DataObject, batch_size: int, seed: int) -> None:
    num_mixed = data.draw(st.integers(1, batch_size))
    indices = sample_indices(batch_size, num_mixed, generator=torch.Generator().manual_seed(seed))
    assert (indices.shape, indices.dtype) == ((batch_size, num_mixed), torch.int64)
    assert indices[:, 0].tolist() == list(range(batch_size))
    for row in indices.tolist():
        assert len(set(row)) == num_mixed
        assert set(row) <= set(range(batch_size))


@pytest.mark.parametrize(("batch_size", "num_mixed"), [(5, 2), (5, 3), (4, 4)])
def test_every_ordered_choice_of_partners_is_equally_likely(batch_size: int, num_mixed: int) -> None:
    generator = torch.Generator().manual_seed(0)
    counts: list[Counter[tuple[int, ...]]] = [Counter() for _ in range(batch_size)]
    for _ in range(2000):
        for count, row in zip(counts, sample_indices(batch_size, num_mixed, generator=generator).tolist(), strict=True):
            count[tuple(row[1:])] += 1
    for sample, count in enumerate(counts):
        others = [other for other in range(batch_size) if other != sample]
        choices = list(itertools.permutations(others, num_mixed - 1))
        assert set(count) <= set(choices)
        assert stats.chisquare([count[choice] for choice in choices]).pvalue > UNLUCKY


def test_matrix_holds_the_weights_at_the_indices() -> None:
    matrix = mixing_matrix(torch.tensor([[0, 2], [1, 0], [2, 1]]), torch.tensor([0.75, 0.25]), 3)
    assert matrix.tolist() == [[0.75, 0.0, 0.25], [0.25, 0.75, 0.0], [0.0, 0.25, 0.75]]


def test_matrix_adds_the_weights_of_a_repeated_index() -> None:
    matrix = mixing_matrix(torch.tensor([[1, 1, 0]]), torch.tensor([0.5, 0.25, 0.25]), 2)
    assert matrix.tolist() == [[0.25, 0.75]]
