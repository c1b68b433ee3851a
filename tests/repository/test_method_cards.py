"""Every augmentation has its card in docs/augmentations.md, with a picture."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from augment import AUGMENTATIONS, parameters

DOCS = Path(__file__).parents[2] / "docs"
CARDS = dict(
    re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", (DOCS / "augmentations.md").read_text(), re.DOTALL | re.MULTILINE)
)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_an_augmentation_has_a_card_with_a_picture(name: str) -> None:
    card = CARDS[name]
    assert re.findall(r"^- \*\*(Formula|Values|Cost)\*\*: \S", card, re.MULTILINE) == ["Formula", "Values", "Cost"]
    (picture,) = re.findall(r"!\[\w+\]\((.+?)\)", card)
    assert picture == f"pictures/{name}.png"
    with Image.open(DOCS / picture) as image:
        assert image.width > 500


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_the_overview_names_the_parameters(name: str) -> None:
    (row,) = re.findall(
        rf"^\| \[`{name}`\]\(#{name}\) \| (.*?) \|", (DOCS / "augmentations.md").read_text(), re.MULTILINE
    )
    assert re.findall(r"`(\w+)`", row) == list(parameters(AUGMENTATIONS[name]))
