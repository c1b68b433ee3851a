"""Pieces of Markdown in lines of at most 140 characters."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping

LINE = 140


def paragraph(text: str) -> str:
    """Return `text` in lines, and an empty one."""
    return textwrap.fill(" ".join(text.split()), LINE, break_long_words=False, break_on_hyphens=False) + "\n\n"


def item(text: str) -> str:
    """Return `text` as an item of a list."""
    filled = textwrap.fill(
        " ".join(text.split()),
        LINE,
        initial_indent="- ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return f"{filled}\n"


def items(meanings: Mapping[str, str]) -> str:
    """Return a list of names and what each means."""
    return "".join(item(f"`{name}`: {what}") for name, what in meanings.items()) + "\n"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n"


def sentence(text: str) -> str:
    """Return `text` with a capital letter, unless it begins with a Greek one, and a full stop."""
    first = text[:1].upper() if text[:1].isascii() else text[:1]
    return f"{first}{text[1:].rstrip('.')}."
