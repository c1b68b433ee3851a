"""The page needs nothing but itself, is sound HTML, and shows what it is given as text."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path

import matplotlib as mpl
import pytest
from materials import material
from sweep_samples import DIGITS, ERM, MIXUP

from orchestrator.experiment import AugmentSpec, DatasetSpec
from orchestrator.report import FIGURES, PAGE, Material, write_report, writing
from orchestrator.results import Names

LIMIT_BYTES = 3_000_000
VOID = {"meta", "br", "img", "link", "hr", "input"}
# HTML, TeX as matplotlib reads it, markdown, and what ends an attribute, a style or a script.
HOSTILE = (
    """<script>alert(1)</script> $\\frac{x_1}{}$ **b** [a](javascript:b) "'><img src=x onerror=c> & {{name}} </style>"""
)


class Reading(HTMLParser):
    """Reads a page strictly: what is opened is closed, in that order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.refers: list[str] = []
        self.attributes: Counter[str] = Counter()
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        for name, value in attrs:
            self.attributes[name] += 1
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src", "xlink:href", "action", "data"):
                self.refers.append(value or "")
            self.refers += re.findall(r"url\((.*?)\)", value or "") if name in ("style", "fill", "clip-path") else []

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@dataclass(frozen=True)
class Named(Names):
    """Names that all hold the same text."""

    text: str = ""

    def row(self, label: str) -> str:
        return f"{self.text} {label}"

    def dataset(self, label: str) -> str:
        return f"{self.text} {label}"

    def model(self, name: str) -> str:
        return f"{self.text} {name}"


def page_of(of: Material, folder: Path, kinds: Iterable[str] = FIGURES) -> str:
    """The page, with no files beside it that would take long to write."""
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "FORMATS", ("svg",))
        write_report(of, {kind: FIGURES[kind] for kind in kinds}, folder, on_progress=lambda *_: None)
    return (folder / PAGE).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return page_of(material(num_seeds=3), tmp_path_factory.mktemp("page") / "report")


def test_it_is_sound_and_needs_nothing_else(page: str) -> None:
    read = Reading(page)
    assert len(read.ids) == len(set(read.ids))
    outside = [refers for refers in read.refers if not refers.startswith(("#", "data:"))]
    assert outside == []
    assert {refers[1:] for refers in read.refers if refers.startswith("#")} <= set(read.ids)
    assert not read.tags.keys() & {"script", "link", "iframe", "object", "embed", "base", "form"}
    assert "@import" not in page
    assert len(page.encode()) < LIMIT_BYTES


def test_it_is_light_and_dark_and_printed(page: str) -> None:
    for rule in ("prefers-color-scheme: dark", "@media print", 'name="viewport"', "currentColor", "var(--faint)"):
        assert rule in page
    drawings = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert drawings
    for drawing in drawings:
        # What would be black on black, or white on white.
        assert not re.search(r"(?:fill|stroke)(?:: |=\")(?:#000000|#ffffff|#1b1e23|black|white)", drawing)


def test_what_is_not_there_is_said(page: str) -> None:
    text = "".join(Reading(page).texts)
    assert "What is not here" in text
    assert "There is one data set with one model" in text


def test_text_is_shown_as_it_is_and_nothing_in_it_is_done(tmp_path: Path) -> None:
    of = replace(material(ERM, MIXUP, num_seeds=3), names=Named({"all": "otherwise"}, HOSTILE))
    kinds = ("table", "seeds", "learning-curves", "provenance")
    read = Reading(page_of(of, tmp_path / "report", kinds))
    plain = Reading(page_of(replace(of, names=Named({"all": "otherwise"}, "x")), tmp_path / "plain", kinds))
    assert not read.tags.keys() - plain.tags.keys()
    assert not read.attributes.keys() - plain.attributes.keys()
    flat = " ".join("".join(read.texts).split())
    # In the verdict, in the table, and line by line in the drawings.
    assert flat.count(" ".join(f"{HOSTILE} erm".split())) > 2
    for start in ("<script>alert(1)</script>", "$\\frac{x_1}{}$"):
        assert start in flat


def test_the_same_numbers_are_the_same_bytes(tmp_path: Path) -> None:
    of = material(ERM, MIXUP, num_seeds=3)

    def write(name: str) -> None:
        (tmp_path / name).mkdir()
        kinds = {kind: FIGURES[kind] for kind in ("table", "seeds")}
        write_report(of, kinds, tmp_path / name, on_progress=lambda *_: None)

    write("one")
    with mpl.rc_context({"font.size": 20, "svg.hashsalt": None, "text.usetex": True, "axes.facecolor": "red"}):
        other = threading.Thread(target=write, args=("other",))
        other.start()
        other.join()
        assert mpl.rcParams["font.size"] == 20
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "other").iterdir())
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes(), name


@pytest.mark.slow
def test_the_page_of_a_large_sweep_stays_small(tmp_path: Path) -> None:
    rows = [
        AugmentSpec(name="zeta_mixup", params={"gamma": 2 + 0.1 * g, "num_mixed": 2 + n})
        for g in range(13)
        for n in range(4)
    ]
    other = DatasetSpec.model_validate({"name": "digits", "num_train": 100})
    of = material(ERM, MIXUP, *rows, datasets=[DIGITS, other], models=("convnet", "resnet18"), num_seeds=10)
    assert len(page_of(of, tmp_path / "report").encode()) < LIMIT_BYTES
