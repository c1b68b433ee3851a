"""``python -m tools.reference``, from the root of the repository: writes every page anew."""

from __future__ import annotations

from pathlib import Path

from tools.reference.completion import NAMES, names_text
from tools.reference.pages import make_pages

FOLDER = Path("docs/reference")

if __name__ == "__main__":
    # First: the help of a command has names from there.
    NAMES.write_text(names_text(), encoding="utf-8")
    for name, text in make_pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
