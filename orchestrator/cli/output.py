"""``--output FILE``: what a command shows goes to a file, in the format that its ending says."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.errors import UserError
from orchestrator.folders import try_writing

if TYPE_CHECKING:
    from rich.console import RenderableType

ENDINGS = {".csv": "csv", ".json": "json", ".md": "markdown", ".tex": "latex", ".txt": "table"}


def format_for(format: str | None, output: str | None, *, formats: Collection[str]) -> str:
    """Return the format that was asked for, else the one that a file's ending says, else ``table``.

    Args:
        format: That was asked for.
        output: The file.
        formats: Those that the command has.

    Raises:
        UserError: The file cannot be written, or its ending says nothing.
    """
    if output is None:
        return format or "table"
    check_output(Path(output))
    ending = Path(output).suffix.lower()
    endings = {known: name for known, name in ENDINGS.items() if name in formats}
    if format is None and ending not in endings:
        raise UserError(
            f"--output {output}: its ending says no format that there is",
            allowed=", ".join(f"{known} ({name})" for known, name in endings.items()),
            remedy="give the file one of these endings, or name the format with --format",
        )
    return format or endings[ending]


def write_output(output: str, shown: RenderableType, *, format: str, asked: str | None) -> None:
    """Write what is shown to a file, whole or not at all, and say so.

    Args:
        output: The file; one that is there is replaced, and its folder is made if need be.
        shown: Text, or what a console makes text of.
        format: Of the file.
        asked: The format that was asked for; None if the ending of the file has said it.

    Raises:
        OSError: The file cannot be written; the one that was there stays.
    """
    from orchestrator.storage.atomic import written_whole
    from orchestrator.terminal import text_of

    path = Path(output).resolve()  # a link stays one
    replaced = "replaced" if path.exists() else "written"
    with written_whole(path) as file:
        file.write(text_of(shown).encode())
    by = "" if asked else f", as {path.suffix.lower()} says"
    click.echo(f"{replaced}: {output} ({format}{by})", err=True)


def check_output(path: Path) -> None:
    """Raise UserError if a file cannot be written, before anything else is done for it."""
    if path.is_dir():
        what, remedy = "is a folder", f"name a file in it: {path / 'FILE'}, with its ending"
    elif path.exists() and not path.is_file():
        what, remedy = "is no file that could be replaced", "leave --output out, and use > or |"
    else:
        try:
            try_writing(path.resolve().parent)
        except OSError as error:
            what, remedy = f"its folder cannot be written to: {error.strerror}", "name a file elsewhere"
        else:
            return
    raise UserError(f"--output {path}: {what}", allowed="a file, there or not", remedy=remedy)
