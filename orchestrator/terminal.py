"""How lines and tables look on a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text


def print_lines(console: Console, lines: Iterable[str], *, style: str = "") -> None:
    """Print each line as it is: nothing in it is taken for markup, and none is broken but by the terminal."""
    for line in lines:
        console.print(Text(line, style=style), soft_wrap=True)


def plain_table() -> Table:
    """Return a table with a line below its header and no other."""
    return Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)


def image_bar(console: Console) -> Progress:
    """Return a bar that counts images, on a terminal only."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
