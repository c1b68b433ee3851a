"""The intrinsic dimension of real images: CIFAR-10 as PNG files, if ``ZETASWEEP_DATA`` names a folder that has them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from augment import CutMix, Dirichlet, MixUp, ZetaMixup
from orchestrator.report import intrinsic_dimension as module
from orchestrator.report.intrinsic_dimension import ORIGINAL, changes

FOLDER = Path(os.environ.get("ZETASWEEP_DATA", "data")) / "cifar10" / "test"
# By how much mixing changes it, of all images as centres, four draws: local PCA, maximum likelihood.
KNOWN = {
    ORIGINAL: (28.3, 15.3),
    "mixup": (4.1, 1.1),
    "cutmix": (11.7, 3.4),
    "zeta 4": (1.0, 0.3),
    "zeta 128": (1.7, 0.4),
    "dirichlet": (-6.5, -6.2),
}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FOLDER.is_dir(), reason=f"{FOLDER}/CLASS/*.png is not there: set ZETASWEEP_DATA"),
]


@pytest.fixture(scope="module")
def images() -> tuple[Tensor, Tensor]:
    paths = sorted(FOLDER.glob("*/*.png"))
    names = sorted({path.parent.name for path in paths})
    chosen = torch.randperm(len(paths), generator=torch.Generator().manual_seed(0))[:4000].tolist()
    pixels = np.stack([np.asarray(Image.open(paths[at]).convert("RGB")) for at in chosen])
    labels = torch.tensor([names.index(paths[at].parent.name) for at in chosen])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255, labels


def test_mixing_changes_it_as_was_found_before(images: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NUM_DRAWS", 2)
    mixing = {
        "mixup": MixUp(alpha=1.0),
        "cutmix": CutMix(alpha=1.0),
        "zeta 4": ZetaMixup(gamma=2.8, num_mixed=4),
        "zeta 128": ZetaMixup(gamma=2.4, num_mixed=128),
        "dirichlet": Dirichlet(num_mixed=128, alpha=1.0),
    }
    found = changes(lambda _: images, mixing, batch_size=128, num_centres=500, on_progress=lambda *_: None)
    for at, of_rows in enumerate(found.values()):
        for name, values in of_rows.items():
            known = KNOWN[name][at]
            # Centres, images and mixing are others: 0.5 to 0.9 is the spread over draws.
            assert values.mean() == pytest.approx(known, abs=max(0.6, 0.15 * abs(known))), name
