"""A group of commands of which only the one that is called is imported, and its libraries once it is to do something.

They take seconds. A command's module imports none of them at its top, so that help and completion take none.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import click

from orchestrator.waiting import waiting_for

HELP = {"-h", "--help"}
# What commands import when they are called, by the library that takes the time, whose module stands before it.
NEEDED = {"PyTorch": ("torch", "orchestrator.opened"), "Ray": ("ray", "orchestrator.jobs")}


class Entry(NamedTuple):
    """A command that is not imported yet.

    Attributes:
        path: Of the command, ``module:name``.
        summary: The first sentence of its help.
        is_group: Whether it has commands below it, and does nothing itself.
        library: What it waits for before it does anything.
    """

    path: str
    summary: str
    is_group: bool = False
    library: str = "PyTorch"


class LazyGroup(click.Group):
    """A group that knows its commands by name and summary, and imports one when it is called.

    Args:
        entries: The commands by name.
    """

    def __init__(self, *args: Any, entries: Mapping[str, Entry], **options: Any) -> None:
        super().__init__(*args, **options)
        self.entries = dict(entries)
        # What is listed in the help, and what a mistyped name is compared with.
        for name, entry in entries.items():
            self.add_command(click.Command(name, help=entry.summary))

    def load(self, name: str) -> click.Command:
        """Import a command and return it."""
        module, _, attribute = self.entries[name].path.partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command), f"{self.entries[name].path} is no command"
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments name, with the arguments behind it."""
        name, command, rest = super().resolve_command(ctx, args)
        if name not in self.entries:
            return name, command, rest
        # A shell that completes, and who reads the help, need not wait for it.
        if not (self.entries[name].is_group or HELP.intersection(rest) or ctx.resilient_parsing):
            _load_what_commands_need(f"{ctx.command_path} {name}", self.entries[name].library)
        return name, self.load(name), rest


def _load_what_commands_need(command: str, library: str) -> None:
    """Import it, and say so."""
    library_module, needed = NEEDED[library]
    if library_module not in sys.modules:
        # A sign of life. On stderr: the standard output has what was asked for alone.
        click.echo(f"{command}: loading {library}, which takes some seconds", err=True)
    with waiting_for(f"{library} to be loaded"):
        import_module(needed)
