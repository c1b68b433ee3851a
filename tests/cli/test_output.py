"""``--output``: the file has what is shown, in the format that its ending says, or nothing is written at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from rich.table import Table

from orchestrator.cli.output import ENDINGS, format_for, write_output
from orchestrator.errors import UserError


@pytest.mark.parametrize(
    ("asked", "output", "expected"),
    [
        (None, None, "table"),
        ("csv", None, "csv"),
        *((None, f"a{ending}", name) for ending, name in ENDINGS.items()),
        (None, "a.CSV", "csv"),
        ("latex", "a.txt", "latex"),
        ("latex", "a", "latex"),
    ],
)
def test_format(asked: str | None, output: str | None, expected: str, tmp_path: Path) -> None:
    assert format_for(asked, output and str(tmp_path / output), formats=ENDINGS.values()) == expected


@pytest.mark.parametrize(
    ("asked", "name", "words"),
    [
        (None, "a.xlsx", "its ending says no format"),
        (None, "a", ".csv (csv), .json (json)"),
        ("csv", "", "is a folder"),
        ("csv", "pipe", "is no file that could be replaced"),
        ("csv", "file/a.csv", "its folder cannot be written to"),
    ],
)
def test_what_cannot_be_written_is_refused_beforehand(asked: str | None, name: str, words: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    with pytest.raises(UserError) as caught:
        format_for(asked, str(tmp_path / name), formats=ENDINGS.values())
    assert words in str(caught.value)
    assert caught.value.remedy


def test_an_ending_counts_for_formats_that_the_command_has(tmp_path: Path) -> None:
    for name in ("a.md", "a.xlsx"):
        with pytest.raises(UserError) as caught:
            format_for(None, str(tmp_path / name), formats=("table", "csv"))
        assert caught.value.allowed == ".csv (csv), .txt (table)"


def test_a_file_is_written_whole_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, link = tmp_path / "new" / "a.md", tmp_path / "link.md"
    write_output(str(file), "ζ\n", format="markdown", asked=None)
    link.symlink_to(file)
    write_output(str(link), "ζζ\n", format="markdown", asked="markdown")
    assert (file.read_text(), link.is_symlink()) == ("ζζ\n", True)
    assert list(file.parent.iterdir()) == [file]
    answer = capsys.readouterr()
    assert answer.out == ""
    assert answer.err == f"written: {file} (markdown, as .md says)\nreplaced: {link} (markdown)\n"


def test_a_table_is_as_wide_as_it_must_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    table = Table(*(f"column {number}" for number in range(20)), box=None)
    table.add_row(*(str(number) for number in range(20)))
    write_output(str(tmp_path / "a.txt"), table, format="table", asked=None)
    lines = (tmp_path / "a.txt").read_text().splitlines()
    assert [len(line.split()) for line in lines] == [40, 20]
    assert not any(line.endswith(" ") for line in lines)
