"""The options of every command that works on an experiment, and the examples below the help of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from orchestrator.cli.completing import experiment_files, overrides
from orchestrator.environment import JOB_SERVER, PLUGINS, RAY_ADDRESS

if TYPE_CHECKING:
    from orchestrator.costs import Price
    from orchestrator.opened import Opened

_Command = TypeVar("_Command", bound=Callable[..., Any])


def examples(*calls: str) -> str:
    """Return the end of a command's help: calls as they are typed, a line each."""
    # \b has click leave the lines as they are.
    return "\n".join(["\b", "Example:" if len(calls) == 1 else "Examples:", *(f"  {call}" for call in calls)])


def confirmed_option(command: _Command) -> _Command:
    """Add ``--confirmed`` to a command that shows results."""
    return click.option(
        "--confirmed", is_flag=True, help="Of what zetasweep confirm has trained, and of nothing else."
    )(command)


def retry_option(command: _Command) -> _Command:
    """Add ``--retry`` to a command that trains a sweep."""
    return click.option(
        "--retry", is_flag=True, help="Train again what failed in a race, too; without a race that is done anyway."
    )(command)


def price_option(command: _Command) -> _Command:
    """Add ``--price`` to a command that says what trainings cost; `price_of` reads it."""
    return click.option(
        "--price", metavar="AMOUNT/gpu-hour", help="What an hour of a GPU, or of a CPU (AMOUNT/cpu-hour), costs."
    )(command)


def price_of(text: str | None, opened: Opened) -> Price | None:
    """Return the price that was given, if one was.

    Raises:
        UserError: It is none, or one of GPUs that the experiment does not use.
    """
    from orchestrator.costs import Price  # with PyTorch: the sign of life comes before it

    return None if text is None else Price.parse(text, opened.experiment.resources)


def address_option(command: _Command) -> _Command:
    """Add ``--address`` to a command that asks the job server of a cluster."""
    return click.option(
        "--address",
        metavar="http://HOST:8265",
        help=f"Where the cluster's dashboard answers; without it {JOB_SERVER} says it, or {RAY_ADDRESS}.",
    )(command)


def plugin_option(command: _Command) -> _Command:
    """Add ``--plugin``, which has the code used before the command looks at anything."""
    return click.option(
        "--plugin",
        multiple=True,
        metavar="FILE|MODULE",
        envvar=PLUGINS,
        type=click.Path(),  # so that the variable is split as PATH is
        expose_value=False,
        callback=_use_plugins,
        help="Python code of your own with MODELS, AUGMENTATIONS or DATASETS: see docs/own-code.md.",
    )(command)


def _use_plugins(context: click.Context, parameter: click.Parameter, wanted: Sequence[str]) -> None:
    # Also without any: a process that runs several commands uses what the present one says. Whoever asks for help
    # does not get here.
    if not context.resilient_parsing:
        from orchestrator.plugins import (  # with PyTorch: the sign of life is before
            use_plugins,
            use_plugins_of_variable,
        )

        if context.get_parameter_source(parameter.name or "") is ParameterSource.ENVIRONMENT:
            use_plugins_of_variable()
        else:
            use_plugins(wanted)


def debug_option(command: _Command) -> _Command:
    """Add ``--debug`` to a command."""
    # `main` looks for it: it also matters where click itself fails.
    return click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")(command)


def experiment_options(command: _Command) -> _Command:
    """Add EXPERIMENT, ``-o KEY=VALUE``, ``--plugin`` and ``--debug`` to a command."""
    command = debug_option(plugin_option(command))
    command = click.option(
        "-o",
        "--override",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Override a key of the file.",
        shell_complete=overrides,
    )(command)
    return click.argument("experiment", shell_complete=experiment_files)(command)
