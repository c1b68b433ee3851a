import itertools
from collections import Counter

import pytest
import torch
from scipy import stats
from torchvision.transforms import v2

from augment import CutMix, MixUp
from augment.baselines import CutMixDraw, MixUpDraw

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
    lam = torch.stack([MixUp(alpha).draw(SHAPE, generator=generator).lam for _ in range(3000)])
    # The lower half, doubled: next to 1 float64 is too coarse for a small alpha (8 % of the draws round to 1 at 0.05).
    lower = lam[lam < 0.5].numpy()
    assert stats.kstest(lower, lambda x: 2 * stats.beta(alpha, alpha).cdf(x)).pvalue > UNLUCKY
    assert stats.binomtest(len(lower), len(lam), 0.5).pvalue > UNLUCKY


@pytest.mark.parametrize("alpha", [1e-3, 1e-9, 1e-300])
def test_lam_is_next_to_0_or_1_for_a_tiny_alpha(alpha: float) -> None:
    generator = torch.Generator().manual_seed(0)
    lam = torch.stack([MixUp(alpha).draw(SHAPE, generator=generator).lam for _ in range(2000)])
    inside = int(((lam > 0.01) & (lam < 0.99)).sum())
    expected = 1 - 2 * stats.beta(alpha, alpha).cdf(0.01) if alpha == 1e-3 else 0.0
    assert stats.binomtest(inside, 2000, expected).pvalue > UNLUCKY
    assert stats.binomtest(int((lam > 0.5).sum()), 2000, 0.5).pvalue > UNLUCKY


@pytest.mark.parametrize("augmentation", [MixUp(), CutMix()], ids=str)
def test_every_permutation_of_the_batch_is_equally_likely(augmentation: MixUp | CutMix) -> None:
    generator = torch.Generator().manual_seed(0)
    count = Counter(tuple(augmentation.draw((3, 1, 4, 4), generator=generator).partner.tolist()) for _ in range(3000))
    assert set(count) == set(itertools.permutations(range(3)))
    assert stats.chisquare(list(count.values())).pvalue > UNLUCKY


@pytest.mark.parametrize("lam", [0.0, 0.3, 0.5, 0.8, 1.0])
def test_mixup_is_torchvisions_on_the_same_draw(lam: float) -> None:
    images, targets = make_images(), make_targets()
    draw = MixUpDraw(partner=next_in_batch(), lam=torch.tensor(lam, dtype=torch.float64))
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
