import itertools
from collections import Counter

import pytest
import torch
from scipy import stats
from torchvision.transforms import v2

from augment import (
    Augmentation,
    BlendDraw,
    CutMix,
    CutMixZetaMixup,
    Dirichlet,
    MixUp,
    MixUpPSeries,
    ZetaMixup,
    ZetaMixupRange,
    gamma_of_lam,
    p_series_weights,
)
from augment.baselines import sample_pairs
from augment.cutmix import CutMixDraw
from augment.weights import dirichlet_weights

UNLUCKY = 1e-3  # see test_weights.py
SHAPE = (6, 3, 9, 14)


def make_images() -> torch.Tensor:
    return torch.rand(SHAPE, generator=torch.Generator().manual_seed(5))


def make_targets() -> torch.Tensor:
    return torch.eye(4)[torch.tensor([0, 3, 1, 1, 2, 0])]


def next_in_batch() -> torch.Tensor:
    """The partner that torchvision takes: the batch rolled by one."""
    return torch.arange(SHAPE[0]).roll(1)


@pytest.mark.parametrize("alpha", [0.05, 0.2, 1.0, 4.0, 100.0])
def test_lam_is_beta_distributed(alpha: float) -> None:
    generator = torch.Generator().manual_seed(0)
    lam = torch.stack([MixUp(alpha).draw(SHAPE, generator=generator).weights[0] for _ in range(3000)])
    # The lower half, doubled: next to 1 float64 is too coarse for a small alpha (8 % of the draws round to 1 at 0.05).
    lower = lam[lam < 0.5].numpy()
    assert stats.kstest(lower, lambda x: 2 * stats.beta(alpha, alpha).cdf(x)).pvalue > UNLUCKY
    assert stats.binomtest(len(lower), len(lam), 0.5).pvalue > UNLUCKY


@pytest.mark.parametrize("alpha", [1e-3, 1e-9, 1e-300])
def test_lam_is_next_to_0_or_1_for_a_tiny_alpha(alpha: float) -> None:
    generator = torch.Generator().manual_seed(0)
    lam = torch.stack([MixUp(alpha).draw(SHAPE, generator=generator).weights[0] for _ in range(2000)])
    inside = int(((lam > 0.01) & (lam < 0.99)).sum())
    expected = 1 - 2 * stats.beta(alpha, alpha).cdf(0.01) if alpha == 1e-3 else 0.0
    assert stats.binomtest(inside, 2000, expected).pvalue > UNLUCKY
    assert stats.binomtest(int((lam > 0.5).sum()), 2000, 0.5).pvalue > UNLUCKY


def partners(augmentation: Augmentation, generator: torch.Generator) -> list[int]:
    draw = augmentation.draw((3, 1, 4, 4), generator=generator)
    found: list[int] = (draw.partner if isinstance(draw, CutMixDraw) else draw.indices[:, 1]).tolist()
    return found


@pytest.mark.parametrize("augmentation", [MixUp(), MixUpPSeries(gamma=2.0), CutMix()], ids=str)
def test_every_permutation_of_the_batch_is_equally_likely(augmentation: Augmentation) -> None:
    generator = torch.Generator().manual_seed(0)
    count = Counter(tuple(partners(augmentation, generator)) for _ in range(3000))
    assert set(count) == set(itertools.permutations(range(3)))
    assert stats.chisquare(list(count.values())).pvalue > UNLUCKY


@pytest.mark.parametrize("lam", [0.0, 0.3, 0.5, 0.8, 1.0])
def test_mixup_is_torchvisions_on_the_same_draw(lam: float) -> None:
    images, targets = make_images(), make_targets()
    indices = torch.stack([torch.arange(SHAPE[0]), next_in_batch()], dim=1)
    draw = BlendDraw(indices, torch.tensor([lam, 1 - lam], dtype=torch.float64))
    result = MixUp().apply(images, targets, draw)
    transform = v2.MixUp(num_classes=4)
    params = {"lam": lam, "labels": targets, "batch_size": SHAPE[0]}
    torch.testing.assert_close(result[0], transform.transform(images, params))
    torch.testing.assert_close(result[1], transform.transform(targets, params))


@pytest.mark.parametrize("seed", range(20))
def test_cutmix_is_torchvisions_on_the_same_draw(seed: int) -> None:
    images, targets = make_images(), make_targets()
    drawn = CutMix().draw(SHAPE, generator=torch.Generator().manual_seed(seed))
    result = CutMix().apply(images, targets, CutMixDraw(partner=next_in_batch(), box=drawn.box))
    top, bottom, left, right = drawn.box.tolist()
    transform = v2.CutMix(num_classes=4)
    params = {
        "box": (left, top, right, bottom),
        "lam_adjusted": 1 - (bottom - top) * (right - left) / (SHAPE[2] * SHAPE[3]),
        "labels": targets,
        "batch_size": SHAPE[0],
    }
    assert torch.equal(result[0], transform.transform(images, params))
    torch.testing.assert_close(result[1], transform.transform(targets, params))


def test_cutmix_targets_are_the_area_that_was_pasted() -> None:
    # Samples 0 and 1 paste into each other; the one is black, the other white.
    images = torch.stack([torch.zeros(1, 7, 11), torch.ones(1, 7, 11)])
    targets = torch.eye(2)
    clipped = 0
    for seed in range(200):
        drawn = CutMix().draw(images.shape, generator=torch.Generator().manual_seed(seed))
        top, bottom, left, right = drawn.box.tolist()
        assert 0 <= top <= bottom <= 7
        assert 0 <= left <= right <= 11
        clipped += (bottom - top) % 2 + (right - left) % 2 > 0  # 2·⌊half⌋ is even before it is clipped
        result, mixed = CutMix().apply(images, targets, CutMixDraw(partner=torch.tensor([1, 0]), box=drawn.box))
        assert result[0].sum() == (bottom - top) * (right - left)
        assert mixed[0, 1].item() == pytest.approx(result[0].mean().item(), abs=1e-7)
        assert mixed[1, 0].item() == mixed[0, 1].item()
    assert clipped > 20


@pytest.mark.parametrize("alpha", [0.3, 1.0])
def test_cutmix_boxes_are_distributed_as_torchvisions(alpha: float) -> None:
    generator = torch.Generator().manual_seed(0)
    shape = (2, 1, 32, 24)
    ours = torch.stack([CutMix(alpha).draw(shape, generator=generator).box for _ in range(1500)])
    transform = v2.CutMix(alpha=alpha, num_classes=2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        params = [transform.make_params([torch.zeros(shape)])["box"] for _ in range(1500)]
    left, top, right, bottom = torch.tensor(params).unbind(1)
    theirs = torch.stack([top, bottom, left, right], dim=1)
    for edge in range(4):
        assert stats.ks_2samp(ours[:, edge].numpy(), theirs[:, edge].numpy()).pvalue > UNLUCKY
    areas = [(box[:, 1] - box[:, 0]) * (box[:, 3] - box[:, 2]) for box in (ours, theirs)]
    assert stats.ks_2samp(areas[0].numpy(), areas[1].numpy()).pvalue > UNLUCKY


def test_cutmix_centres_are_uniform_over_the_pixels() -> None:
    generator = torch.Generator().manual_seed(0)
    boxes = [CutMix().draw((2, 1, 3, 5), generator=generator).box.tolist() for _ in range(6000)]
    # A box that shrank to nothing lies at its centre.
    count = Counter((top, left) for top, bottom, left, right in boxes if top == bottom and left == right)
    assert set(count) == set(itertools.product(range(3), range(5)))
    assert stats.chisquare(list(count.values())).pvalue > UNLUCKY


@pytest.mark.parametrize("lam", [0.5, 0.6, 0.8, 0.99])
def test_mixup_is_zeta_mixup_of_two_samples(lam: float) -> None:
    """λ and γ = log2(λ / (1-λ)) are two names of one weight; below 1/2 the two samples change places."""
    images, targets = make_images(), make_targets()
    weights = p_series_weights(2, gamma_of_lam(lam), dtype=torch.float64)
    assert weights.tolist() == pytest.approx([lam, 1 - lam], abs=1e-12)
    pairs = sample_pairs(SHAPE[0], generator=torch.Generator().manual_seed(0))
    mixed = MixUp().apply(images, targets, BlendDraw(pairs, torch.tensor([lam, 1 - lam], dtype=torch.float64)))
    zeta = ZetaMixup(gamma=2.0, num_mixed=2).apply(images, targets, BlendDraw(pairs, weights))
    torch.testing.assert_close(mixed, zeta)
    swapped = BlendDraw(pairs.flip(1), torch.tensor([1 - lam, lam], dtype=torch.float64))
    torch.testing.assert_close(MixUp().apply(images, targets, swapped), zeta)


def test_mixup_is_zeta_mixup_with_a_gamma_drawn_for_each_batch() -> None:
    """The larger of MixUp's two weights as γ gives MixUp's batches, batch for batch."""
    images, targets = make_images(), make_targets()
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        draw = MixUp(0.4).draw(SHAPE, generator=generator)
        lam = draw.weights.amax().item()
        indices = draw.indices if draw.weights[0] == lam else draw.indices.flip(1)
        gamma = gamma_of_lam(min(lam, 1 - 1e-12))
        zeta = BlendDraw(indices, p_series_weights(2, gamma, dtype=torch.float64))
        expected = MixUp(0.4).apply(images, targets, draw)
        torch.testing.assert_close(ZetaMixup(gamma=2.0, num_mixed=2).apply(images, targets, zeta), expected)


@pytest.mark.parametrize("lam", [0.49, 1.0, -1.0])
def test_only_the_larger_weight_has_a_gamma(lam: float) -> None:
    with pytest.raises(ValueError, match=rf"lam={lam} is not allowed: a number from 0.5 to below 1 is"):
        gamma_of_lam(lam)


def test_mixup_pseries_has_the_two_weights_in_every_batch() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        draw = MixUpPSeries(gamma=2.4).draw(SHAPE, generator=generator)
        assert draw.weights.tolist() == pytest.approx([1 / (1 + 2**-2.4), 1 - 1 / (1 + 2**-2.4)], abs=1e-15)
        assert draw.indices[:, 0].tolist() == list(range(SHAPE[0]))


@pytest.mark.parametrize("alpha", [0.3, 1.0, 5.0])
def test_dirichlet_weights_have_the_marginal_of_the_distribution(alpha: float) -> None:
    generator = torch.Generator().manual_seed(0)
    weights = dirichlet_weights(5, alpha, num_rows=3000, generator=generator)
    assert (weights.sum(1) - 1).abs().max() < 1e-12
    for column in range(5):
        assert stats.kstest(weights[:, column].numpy(), stats.beta(alpha, 4 * alpha).cdf).pvalue > UNLUCKY
    # Two of them together: the sum of two parts is a Beta(2α, 3α) variable.
    assert stats.kstest((weights[:, 0] + weights[:, 1]).numpy(), stats.beta(2 * alpha, 3 * alpha).cdf).pvalue > UNLUCKY


def test_dirichlet_draws_weights_for_each_output() -> None:
    draw = Dirichlet(num_mixed=4, alpha=1.0).draw(SHAPE, generator=torch.Generator().manual_seed(0))
    assert draw.weights.shape == draw.indices.shape == (6, 4)
    assert len(draw.weights.unique(dim=0)) == 6


def test_gamma_is_uniform_over_its_range() -> None:
    generator = torch.Generator().manual_seed(0)
    augmentation = ZetaMixupRange(gamma_low=2.0, gamma_high=5.0, num_mixed=2)
    weights = [augmentation.draw(SHAPE, generator=generator).weights for _ in range(2000)]
    gammas = [torch.log2(pair[0] / pair[1]).item() for pair in weights]
    assert stats.kstest(gammas, stats.uniform(2.0, 3.0).cdf).pvalue > UNLUCKY


@pytest.mark.parametrize(("low", "high"), [(2.0, 2.0), (3.0, 2.0)])
def test_a_range_without_room_is_refused(low: float, high: float) -> None:
    with pytest.raises(ValueError, match=rf"gamma_low={low} is not allowed: a number below gamma_high={high} is"):
        ZetaMixupRange(gamma_low=low, gamma_high=high, num_mixed=4)


@pytest.mark.parametrize("probability", [0.2, 0.5])
def test_each_batch_gets_one_of_the_two(probability: float) -> None:
    generator = torch.Generator().manual_seed(0)
    images, targets = make_images(), make_targets()
    both = CutMixZetaMixup(gamma=2.0, num_mixed=4, alpha=1.0, cutmix_prob=probability)
    num_cut = 0
    for _ in range(1000):
        draw = both.draw(SHAPE, generator=generator)
        result, mixed = both.apply(images, targets, draw)
        if draw.blend.weights[0] == 1:
            num_cut += 1
            expected = CutMix().apply(images, targets, draw.cut)
        else:
            assert draw.cut.box.tolist() == [0, 0, 0, 0]
            assert torch.equal(draw.blend.weights, p_series_weights(4, 2.0, dtype=torch.float64))
            expected = ZetaMixup(gamma=2.0, num_mixed=4).apply(images, targets, draw.blend)
        assert torch.equal(result, expected[0])
        assert torch.equal(mixed, expected[1])
    assert stats.binomtest(num_cut, 1000, probability).pvalue > UNLUCKY
