"""How lines and tables look on a terminal."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from orchestrator.waiting import counting

# Of what is read by programs: a table is as wide as it must be.
WIDE = 10_000


def new_console(file: TextIO | None = None) -> Console:
    """Return what prints to `file` or the standard output; what is no terminal has lines of any length."""
    console = Console(file=file)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = WIDE
    return console


def print_lines(console: Console, lines: Iterable[str], *, style: str = "") -> None:
    """Print each line as it is: nothing in it is taken for markup, and none is broken but by the terminal."""
    for line in lines:
        console.print(Text(line, style=style), soft_wrap=True)


def text_of(shown: RenderableType) -> str:
    """Return what `print` would show, as lines of any length without anything behind them; a text stays as it is."""
    if isinstance(shown, str):
        return shown
    text = io.StringIO()
    console = new_console(text)
    console.width = WIDE
    console.print(shown)
    return "".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())


def plain_table() -> Table:
    """Return a table with a line below its header and no other."""
    return Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)


@contextmanager
def counting_bar(console: Console, task: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar while the block runs, elsewhere a line now and then; it takes how much is done, and of how much."""
    if not console.is_terminal:
        with counting(task) as count:
            yield count
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        shown = progress.add_task(task, total=None)
        yield lambda done, total: progress.update(shown, completed=done, total=total)
