"""What augmentations make of images, for figures."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from augment import AUGMENTATIONS, Augmentation, mixing_matrix
from augment.reference import p_series_weights
from orchestrator.report import mixed as mixed_module
from orchestrator.report.mixed import blending, mixed

LABELS = torch.arange(20) % 3
IMAGES = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))
SOME = {"mixup": {}, "cutmix": {}, "zeta_mixup": {"gamma": 2.4, "num_mixed": 4}, "erm": {}}
SOME |= {"cutmix_zeta_mixup": {"gamma": 2.4, "num_mixed": 4}, "dirichlet": {"num_mixed": 8}}


def built(name: str) -> Augmentation:
    return AUGMENTATIONS[name](**SOME[name])  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SOME)
def test_every_image_leads_one_output_also_where_batches_do_not_divide_them(name: str) -> None:
    """20 images in batches of 8: the third begins at the twelfth."""
    whole = mixed(built(name), IMAGES, LABELS, num_classes=3, batch_size=8, seed=1)
    assert whole.images.shape == IMAGES.shape
    assert torch.allclose(whole.targets.sum(dim=1), torch.ones(20))
    again = mixed(built(name), IMAGES, LABELS, num_classes=3, batch_size=8, seed=1)
    assert torch.equal(again.images, whole.images)
    if name == "erm":
        assert torch.equal(whole.images, IMAGES)
    if name == "zeta_mixup":
        assert (whole.targets.argmax(dim=1) == LABELS).all()


def test_the_last_batch_is_mixed_of_the_images_before_it_and_gives_what_is_left() -> None:
    augmentation = built("zeta_mixup")
    generator = torch.Generator().manual_seed(1)
    draws = [augmentation.draw((8, 1, 8, 8), generator=generator) for _ in range(3)]
    matrix = mixing_matrix(draws[2].indices, draws[2].weights, 8).float()
    expected = torch.einsum("ij,j...->i...", matrix, IMAGES[12:])[4:]
    found = mixed(augmentation, IMAGES, LABELS, num_classes=3, batch_size=8, seed=1)
    assert torch.allclose(found.images[16:], expected, atol=1e-6)


def test_blending_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixed_module, "NUM_DRAWS", 20)
    found = {name: blending(built(name), LABELS, num_classes=3, batch_size=8, image_size=8, seed=0) for name in SOME}
    erm, zeta = found["erm"], found["zeta_mixup"]
    assert (erm.ghosting, erm.second_weight, erm.effective_number, erm.entropy) == (0, 0, 1, 0)
    weights = p_series_weights(4, 2.4)
    squares = sum(weight**2 for weight in weights)
    assert zeta.ghosting == pytest.approx(1 - weights[0] ** 2 / squares)
    assert zeta.second_weight == pytest.approx(weights[1])
    assert zeta.effective_number == pytest.approx(1 / squares)
    # What is pasted is seen alone, and still has its share of the label.
    assert replace(found["cutmix"], effective_number=0, entropy=0) == replace(erm, effective_number=0)
    assert found["cutmix"].effective_number > 1.1
    assert 0 < found["cutmix_zeta_mixup"].ghosting < zeta.ghosting
    assert found["mixup"].ghosting > zeta.ghosting
    assert found["dirichlet"].effective_number > 3
