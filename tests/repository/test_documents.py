"""Documents have lines that can be read, and links that lead somewhere."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from commands import ROOT

LONGEST = 140
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def documents() -> list[Path]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    try:
        found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    except (OSError, subprocess.CalledProcessError):  # no checkout
        return [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").rglob("*.md")]
    return [ROOT / name for name in found if (ROOT / name).exists()]


every_document = pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))


def anchors(path: Path) -> set[str]:
    """The names by which GitHub knows the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_document
def test_no_line_is_too_long(path: Path) -> None:
    lines = enumerate(path.read_text().splitlines(), start=1)
    assert [number for number, line in lines if len(line) > LONGEST] == []


@every_document
def test_every_link_leads_somewhere(path: Path) -> None:
    for link in LINK.findall(path.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_readme_is_on_a_screen_and_a_half() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 90


@pytest.mark.parametrize("package", sorted(path.parent.name for path in (ROOT / "orchestrator").glob("*/__init__.py")))
def test_the_map_has_every_package(package: str) -> None:
    assert f"| `{package}/` |" in (ROOT / "docs" / "architecture.md").read_text()


@pytest.mark.parametrize("file", sorted(path.name for path in (ROOT / "orchestrator").glob("[a-z]*.py")))
def test_the_map_has_every_ground_file(file: str) -> None:
    assert f"`{file}`" in (ROOT / "docs" / "architecture.md").read_text()


def test_what_the_map_names_is_there() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    rooms = [ROOT, ROOT / "orchestrator", *(ROOT / "orchestrator").glob("*/"), ROOT / "augment"]
    named = set(re.findall(r"`([\w/.-]+\.py)`", text))
    missing = [name for name in named if not any((room / name).exists() for room in rooms)]
    assert missing == []
