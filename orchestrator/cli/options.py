"""The options of every command that works on an experiment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])


def experiment_options(command: _Command) -> _Command:
    """Add EXPERIMENT, ``-o KEY=VALUE`` and ``--debug`` to a command."""
    # `main` looks for --debug: it also matters where click itself fails.
    command = click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")(command)
    command = click.option(
        "-o", "--override", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key of the file."
    )(command)
    return click.argument("experiment")(command)
