"""How code of your own is tried before it is trained: a line each."""

from __future__ import annotations

from pairmix import PairMix
from shapes import DATASETS
from tinynet import build_tinynet

from zetasweep.testing import check_augmentation, check_dataset, check_model


def test_tinynet() -> None:
    check_model(build_tinynet, width=8, dropout=0.1)


def test_pairmix() -> None:
    check_augmentation(PairMix(share=0.3))


def test_shapes() -> None:
    check_dataset("shapes", DATASETS["shapes"])
