"""Texts in a CSV that a spreadsheet would compute."""

from __future__ import annotations

import re

# A spreadsheet takes what begins so for a formula; the wide ones where Japanese is typed.
_FORMULA = re.compile(r"[=+\-@\t\r\n'＝＋－＠]")
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?", re.IGNORECASE)


def shielded(text: str) -> str:
    """Return `text` with an apostrophe before it if a spreadsheet would take it for a formula; a number as it is.

    A text that begins with an apostrophe gets another one, so that who reads it may take one away from each.
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text
