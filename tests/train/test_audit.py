"""What is written down about an augmentation at the first batch of a cell."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from augment import Augmentation, CutMix, Dirichlet, Erm, MixUpPSeries, ZetaMixup, one_hot, p_series_weights
from orchestrator.train.audit import Audit, Figures, audit_batch, read_figures, write_audit

BATCH_SIZE, NUM_CLASSES = 24, 3
LABELS = torch.arange(BATCH_SIZE) % NUM_CLASSES


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def audited(augmentation: Augmentation, batch_size: int = BATCH_SIZE) -> Audit:
    images = torch.rand((batch_size, 3, 8, 8), generator=torch.Generator().manual_seed(1))

    def make_batch(labels: Tensor, num_classes: int, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        draw = augmentation.draw(images.shape, generator=draws)
        return augmentation.apply(images, one_hot(labels, num_classes), draw)

    return audit_batch(make_batch, LABELS[:batch_size], num_classes=NUM_CLASSES, generator=generator(), backend="torch")


def test_nothing_mixed_is_one_sample_and_no_entropy() -> None:
    figures = audited(Erm()).figures
    assert figures.effective_num_samples == 1
    assert figures.soft_label_entropy == 0
    assert figures.weights == [1.0] + [0.0] * (BATCH_SIZE - 1)
    assert figures.ms_per_step > 0


@pytest.mark.parametrize("num_mixed", [2, 4, BATCH_SIZE])
def test_the_weights_of_zeta_mixup_are_the_p_series(num_mixed: int) -> None:
    audit = audited(ZetaMixup(gamma=2.4, num_mixed=num_mixed))
    expected = p_series_weights(num_mixed, 2.4, dtype=torch.float64)
    assert audit.figures.weights[:num_mixed] == pytest.approx(expected.tolist(), abs=1e-6)
    assert audit.figures.effective_num_samples == pytest.approx(1 / expected.square().sum().item(), rel=1e-5)
    entropies = [-sum(share * math.log(share) for share in row if share > 0) for row in audit.targets.tolist()]
    assert audit.figures.soft_label_entropy == pytest.approx(sum(entropies) / BATCH_SIZE, rel=1e-5)
    assert 0 < audit.figures.soft_label_entropy < math.log(NUM_CLASSES)


def test_a_flat_dirichlet_mixes_about_half_of_its_samples() -> None:
    # E[Σ w²] = 2 / (N + 1) for Dirichlet(1); the mean of the reciprocal is somewhat above its reciprocal.
    effective = audited(Dirichlet(num_mixed=BATCH_SIZE)).figures.effective_num_samples
    assert (BATCH_SIZE + 1) / 2 * 0.9 < effective < (BATCH_SIZE + 1) / 2 * 1.3


def test_cutmix_is_judged_by_its_labels() -> None:
    assert 1 <= audited(CutMix()).figures.effective_num_samples <= 2


def test_the_batch_is_the_one_that_comes_next() -> None:
    augmentation = ZetaMixup(gamma=2.4, num_mixed=4)
    images = torch.rand((BATCH_SIZE, 3, 8, 8), generator=torch.Generator().manual_seed(1))
    draws = generator()

    def make_batch(labels: Tensor, num_classes: int, drawn_from: torch.Generator) -> tuple[Tensor, Tensor]:
        draw = augmentation.draw(images.shape, generator=drawn_from)
        return augmentation.apply(images, one_hot(labels, num_classes), draw)

    audit = audit_batch(make_batch, LABELS, num_classes=NUM_CLASSES, generator=draws, backend="torch")
    assert torch.equal(draws.get_state(), generator().get_state())
    following = make_batch(LABELS, NUM_CLASSES, draws)
    assert torch.equal(audit.images, following[0])
    assert torch.equal(audit.targets, following[1])


@pytest.mark.parametrize(("channels", "batch_size"), [(3, BATCH_SIZE), (1, 5)])
def test_figures_and_panel_are_written(tmp_path: Path, channels: int, batch_size: int) -> None:
    audit = audited(MixUpPSeries(gamma=2.0), batch_size)
    folder = tmp_path / "cell" / "audit"
    assert read_figures(folder) is None
    pixels = torch.full((batch_size, channels, 32, 32), 200, dtype=torch.uint8)
    write_audit(folder, audit, pixels=pixels, class_names=["nevus", "melanoma", "keratosis"])
    # Another worker that audits the same batch finds it done.
    write_audit(folder, audited(Erm(), batch_size), pixels=pixels, class_names=["nevus", "melanoma", "keratosis"])
    assert sorted(path.name for path in folder.iterdir()) == ["audit.json", "panel.json", "panel.png"]
    assert [path.name for path in folder.parent.iterdir()] == ["audit"]
    assert read_figures(folder) == audit.figures
    for damaged in ("", '{"weights": [1.0]}'):
        (folder / "audit.json").write_text(damaged)
        assert read_figures(folder) is None, "what a crash of the machine cut off is no audit"
    shown = json.loads((folder / "panel.json").read_text())
    assert len(shown) == min(16, batch_size)
    for row, target in zip(shown, audit.targets, strict=False):
        assert sum(row.values()) == pytest.approx(1, abs=1e-3)
        assert row.get("melanoma", 0) == pytest.approx(target[1].item(), abs=1e-4)
    with Image.open(folder / "panel.png") as panel:
        assert panel.width == 4 * (128 + 4)
        assert panel.getpixel((3, 3)) == (200, 200, 200)
        assert panel.convert("L").getextrema()[0] < 50, "the soft labels stand below the images"


def test_figures_are_plain_numbers() -> None:
    assert isinstance(audited(Erm()).figures, Figures)
    json.dumps(audited(Erm()).figures.__dict__)
