"""How lines and tables look where nobody sits before a terminal."""

from __future__ import annotations

import io

import pytest

from orchestrator.terminal import new_console, plain_table, print_lines


def test_what_is_read_by_a_program_is_not_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    output, long = io.StringIO(), "word " * 60
    console = new_console(output)
    table = plain_table()
    for name in ("first", "second"):
        table.add_column(name)
    table.add_row(long, long)
    console.print(table)
    console.print(long)
    print_lines(console, [long])
    assert [line.count("word") for line in output.getvalue().splitlines()] == [0, 0, 120, 60, 60]
    # As long as it must be, and not as wide as it may be.
    assert max(map(len, output.getvalue().splitlines())) < 700


def test_a_width_that_was_asked_for_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert new_console(io.StringIO()).width == 40
