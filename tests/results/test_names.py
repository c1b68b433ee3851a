"""What is shown of rows and columns is what the file says, wherever it leaves the terminal."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from shown import text_of, words
from sweep_samples import ERM, MIXUP, ZETA, make_cells, runs_with

from augment import AUGMENTATIONS, parameters
from orchestrator.data import DATASETS
from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.models import model_names
from orchestrator.results import Names, compare, readable, render, tex

ODD = r"""<b onclick="x">$\input{a}$ & #1 50% ~^ `x` *b* _c_ [d](e) | f""" + "'\"--"
EXAMPLES = [ODD, "=1+1", "[5pt]", "*", "- a", "1. a", "# a", "a\\|b", "&lt;", "_a_", "'a", "..", "\\", "ζ-mixup ± ≈ ,,"]
Text = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("given", "label", "shown", "in_tex"),
    [
        ({}, "erm", "erm", "ERM"),
        ({}, ZETA.label, ZETA.label, r"$\zeta$-mixup ($\gamma=2.8$, $N=4$)"),
        ({}, f"{MIXUP.label}, lr=0.1", f"{MIXUP.label}, lr=0.1", r"mixup ($\alpha=1.0$), lr=0.1"),
        ({"zeta_mixup": "ours"}, ZETA.label, "ours(gamma=2.8, num_mixed=4)", r"ours ($\gamma=2.8$, $N=4$)"),
        ({ZETA.label: "ours_2"}, ZETA.label, "ours_2", r"ours\_2"),
        ({ZETA.label: "ours"}, f"{ZETA.label}, lr=0.1", "ours, lr=0.1", "ours, lr=0.1"),
        ({"erm": "none"}, "erm, lr=0.1", "none, lr=0.1", "none, lr=0.1"),
        ({"erm": "none", "erm, lr=0.1": "none, low"}, "erm, lr=0.1", "none, low", "none, low"),
    ],
)
def test_rows(given: dict[str, str], label: str, shown: str, in_tex: str) -> None:
    names = Names(given)
    assert (names.row(label), names.row_tex(label)) == (shown, in_tex)
    assert names.label(shown) == label


def test_readable_names() -> None:
    names = Names({"isic2017": "Moles"})
    assert names.readable_row(ZETA.label) == "ζ-mixup (γ=2.8, N=4)"
    assert names.readable_dataset("cifar10(num_train=100)") == "CIFAR-10 (num_train=100)"
    assert (names.readable_dataset("isic2017"), names.readable_dataset("my set (a)")) == ("Moles", "my set (a)")
    called = {
        "resnet18": "ResNet-18",
        "vit_b_16": "ViT-B/16",
        "regnet_x_1_6gf": "RegNetX-1.6GF",
        "shufflenet_v2_x0_5": "ShuffleNetV2 0.5×",
        "of_somebody": "of_somebody",
    }
    assert {name: names.readable_model(name) for name in called} == called


def test_everything_of_ours_has_a_readable_name() -> None:
    assert DATASETS.keys() - {"image_folder"} == readable.DATASETS.keys()
    assert AUGMENTATIONS.keys() == readable.AUGMENTATIONS.keys()
    assert {name for make in AUGMENTATIONS.values() for name in parameters(make)} <= readable.SYMBOLS.keys()
    called = {name: readable.model_name(name) for name in model_names()}
    assert not [name for name, shown in called.items() if name == shown]
    assert len(set(called.values())) == len(called)


@pytest.mark.parametrize("format", ["table", "markdown", "latex", "json"])
def test_every_format_shows_what_the_file_says(format: Any) -> None:
    cells = make_cells(ERM, MIXUP)
    comparison = compare(cells, runs_with(cells, {ERM: (0.1, 0.11, 0.12), MIXUP: (0.05, 0.06, 0.07)}))
    names = Names({"erm": "Plain", MIXUP.label: "Mixed", "digits": "Scans", "convnet": "Small"})
    text = words(text_of(render(comparison, format, names=names), 400))
    assert all(name in text for name in ("Plain", "Mixed", "Scans", "Small"))
    assert ("mixup(" in text) == (format == "json")
    assert ("better than Plain" in text) == (format != "latex" or "% " in text)


def test_tex_of_every_special_character() -> None:
    assert tex.escaped(r"""a_b%c&d#e$f{g}h^i~j\k<l>m|n`o"p[q]r*s--t''u,,v""") == (
        r"a\_b\%c\&d\#e\$f\{g\}h\textasciicircum{}i\textasciitilde{}j\textbackslash{}k\textless{}l\textgreater{}"
        r"m\textbar{}n\textasciigrave{}o\symbol{34}p{[}q{]}r{*}s-{}-t'{}'u,{},v"
    )
    assert tex.escaped("ζ ± 1\nΛ") == r"$\zeta$ $\pm$ 1 $\Lambda$"


def decoded_tex(text: str) -> str:
    """What TeX shows, by the rules of what we write for it."""
    inverse = {escape: chr(character) for character, escape in tex._ESCAPES.items()}
    pattern = "|".join(sorted(map(re.escape, inverse), key=len, reverse=True))
    return re.sub(pattern, lambda found: inverse[found[0]], re.sub(r"(?<=[-,'])\{\}(?=[-,'])", "", text))


def shown_by(format: Any, row: str, dataset: str) -> tuple[str, str]:
    """The row's and the data set's text as a reader of the format gets them."""
    cells = make_cells(ERM, datasets=[DatasetSpec.model_validate({"name": "digits", "shown_as": dataset})], seeds=[0])
    text = str(render(compare(cells, {}), format, names=Names({"erm": row})))
    if format == "json":
        found = json.loads(text)
        return found["rows"][0]["shown_as"], found["columns"][0]["dataset_shown_as"]
    if format == "csv":
        (line,) = csv.DictReader(io.StringIO(text))
        return row, line["dataset"].removeprefix("'")
    if format == "latex":
        lines = text.splitlines()
        at = lines.index(r"\midrule")
        header, line = (lines[place].removesuffix(r" \\").split(" & ") for place in (at - 1, at + 1))
        assert (len(header), len(line)) == (2, 2)
        return decoded_tex(line[0]), decoded_tex(header[1])
    tokens = [token for token in MarkdownIt("gfm-like", {"linkify": False}).parse(text) if token.type == "inline"]
    assert all(child.type in ("text", "text_special", "entity") for token in tokens for child in token.children or [])
    # title, two headers, the row, its value, one remark at least
    shown = ["".join(child.content for child in token.children or []) for token in tokens]
    return shown[3], shown[2].removesuffix(" / convnet")


@pytest.mark.parametrize("format", ["markdown", "csv", "latex", "json"])
@pytest.mark.parametrize("text", EXAMPLES)
def test_odd_letters_are_shown_as_they_are(format: Any, text: str) -> None:
    assert shown_by(format, text, text) == (text, text)


@pytest.mark.parametrize("format", ["markdown", "csv", "latex", "json"])
def test_any_text_is_shown_as_it_is(format: Any) -> None:
    @settings(max_examples=60, deadline=None, database=None)
    @given(row=Text, dataset=Text)
    def check(row: str, dataset: str) -> None:
        if dataset not in DATASETS:
            assert shown_by(format, row, dataset) == (row, dataset)

    check()
