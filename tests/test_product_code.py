"""Which code of zetasweep this is, where neither git nor pip knows."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from orchestrator import product_code
from orchestrator.product_code import product_commit, product_files, product_version


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with two packages and what editors leave, as a job's working folder has it: installed nowhere."""

    def not_installed(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(product_code, "PRODUCT", tmp_path)
    monkeypatch.setattr(product_code, "version", not_installed)
    for file in ("orchestrator/a.py", "augment/b.json", "augment/.env", "augment/__pycache__/b.pyc", "data/c.py"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("1")
    yield tmp_path
    product_commit.cache_clear()
    product_version.cache_clear()


def fresh_version() -> str:
    product_commit.cache_clear()
    product_version.cache_clear()
    return product_version()


@pytest.mark.usefixtures("copy")
def test_the_files_are_those_of_the_packages() -> None:
    assert [file.as_posix() for file in product_files()] == ["orchestrator/a.py", "augment/b.json"]


def test_a_copy_that_is_installed_nowhere_is_told_by_its_files(copy: Path) -> None:
    before = fresh_version()
    assert before.startswith("files-")
    (copy / "augment" / ".env").write_text("2")
    assert fresh_version() == before
    (copy / "augment" / "b.json").write_text("2")
    assert fresh_version() != before


def test_a_copy_that_says_its_commit_is_taken_at_its_word(copy: Path) -> None:
    (copy / "zetasweep-commit").write_text("3fa2-dirty\n")
    assert (product_commit(), fresh_version()) == ("3fa2-dirty", "3fa2-dirty")
