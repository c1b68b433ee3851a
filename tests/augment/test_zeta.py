from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from augment import ZetaMixup, mix, mixing_matrix, p_series_weights, reference

UNLUCKY = 1e-3  # see test_weights.py

# The paper's Fig. 1d: m = N = 4, γ = 2.4. Row i lists who has rank 1, 2, 3, 4 in output i.
GOLDEN_INDICES = torch.tensor([[0, 3, 1, 2], [1, 2, 0, 3], [2, 1, 3, 0], [3, 2, 1, 0]])
GOLDEN_MATRIX = [
    [0.7710, 0.0552, 0.0277, 0.1461],
    [0.0552, 0.7710, 0.1461, 0.0277],
    [0.0277, 0.1461, 0.7710, 0.0552],
    [0.0277, 0.0552, 0.1461, 0.7710],
]
GOLDEN_LABELS = torch.tensor([1, 2, 1, 0])
GOLDEN_TARGETS = [
    [0.1461, 0.7987, 0.0552],
    [0.0277, 0.2013, 0.7710],
    [0.0552, 0.7987, 0.1461],
    [0.7710, 0.1738, 0.0552],
]


def printed(rows: list[list[float]]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def test_golden_vector_of_the_paper() -> None:
    weights = p_series_weights(4, 2.4, dtype=torch.float64)
    labels = torch.eye(3, dtype=torch.float64)[GOLDEN_LABELS]
    # Four decimals are printed, and the targets are sums of up to two printed weights.
    matrix = mixing_matrix(GOLDEN_INDICES, weights, 4)
    torch.testing.assert_close(matrix, printed(GOLDEN_MATRIX), atol=5e-5, rtol=0)
    torch.testing.assert_close(mix(labels, GOLDEN_INDICES, weights), printed(GOLDEN_TARGETS), atol=1e-4, rtol=0)
    exact = reference.mix(labels, GOLDEN_INDICES, reference.p_series_weights(4, 2.4))
    torch.testing.assert_close(exact, printed(GOLDEN_TARGETS), atol=1e-4, rtol=0)


@settings(deadline=None, max_examples=60)
@given(data=st.data(), batch_size=st.integers(2, 12), gamma=st.floats(0.05, 8), seed=st.integers(0, 2**31))
def test_mix_is_the_definition(data: st.DataObject, batch_size: int, gamma: float, seed: int) -> None:
    augmentation = ZetaMixup(gamma=gamma, num_mixed=data.draw(st.integers(2, batch_size)))
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn((batch_size, 2, 3, 4), generator=generator, dtype=torch.float64)
    targets = torch.softmax(torch.randn((batch_size, 3), generator=generator), dim=1)
    draw = augmentation.draw(images.shape, generator=generator)
    weights = reference.p_series_weights(augmentation.num_mixed, gamma)
    mixed_images, mixed_targets = augmentation.apply(images, targets, draw)
    # Convex sums of numbers below 8 in another order: a few float64 roundings; targets are then rounded to float32.
    torch.testing.assert_close(mixed_images, reference.mix(images, draw.indices, weights), atol=1e-13, rtol=0)
    expected = reference.mix(targets, draw.indices, weights)
    assert (mixed_targets.double() - expected).abs().max() <= torch.finfo(torch.float32).eps


def draw_matrix(batch_size: int, gamma: float, generator: torch.Generator) -> Tensor:
    draw = ZetaMixup(gamma, batch_size).draw((batch_size, 3, 8, 8), generator=generator)
    return mixing_matrix(draw.indices, draw.weights, batch_size)


def homogeneity(ours: Counter[tuple[int, ...]], theirs: Counter[tuple[int, ...]]) -> float:
    outcomes = sorted(ours | theirs)
    table = [[count[outcome] for outcome in outcomes] for count in (ours, theirs)]
    return float(stats.chi2_contingency(table).pvalue)


def test_the_whole_batch_has_the_distribution_of_the_authors() -> None:
    generator = torch.Generator().manual_seed(0)
    # Who has which rank, in one row (6 outcomes) and in two rows at once (36), which shows rows that move together.
    single: list[Counter[tuple[int, ...]]] = [Counter(), Counter()]
    joint: list[Counter[tuple[int, ...]]] = [Counter(), Counter()]
    for _ in range(2500):
        for source, matrix in enumerate(
            [draw_matrix(4, 2.4, generator), reference.authors_matrix(4, 2.4, generator=generator)]
        ):
            ranks = matrix.argsort(dim=1, descending=True)
            assert ranks[:, 0].tolist() == [0, 1, 2, 3]
            single[source][tuple(ranks[2].tolist())] += 1
            joint[source][tuple(ranks[:2].flatten().tolist())] += 1
    assert len(single[0]) == len(single[1]) == 6
    assert len(joint[0]) == len(joint[1]) == 36
    assert homogeneity(*single) > UNLUCKY
    assert homogeneity(*joint) > UNLUCKY


def test_the_weight_that_a_sample_gets_in_all_is_distributed_as_the_authors() -> None:
    generator = torch.Generator().manual_seed(0)
    ours = torch.cat([draw_matrix(16, 2.4, generator).sum(0) for _ in range(60)])
    theirs = torch.cat([reference.authors_matrix(16, 2.4, generator=generator).sum(0) for _ in range(60)])
    assert stats.ks_2samp(ours.numpy(), theirs.numpy()).pvalue > UNLUCKY
    # Rows sum to 1, columns do not: a sample can weigh more or less than one in the mixed batch.
    assert ours.min() < 0.9
    assert ours.max() > 1.1
    assert ours.mean().item() == pytest.approx(1)
