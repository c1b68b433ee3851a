"""The page of the commands, from click's own objects."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

import orchestrator.train.__main__ as train
from orchestrator.cli.main import cli
from tools.reference.markdown import item, paragraph


def commands_page() -> str:
    """Return the page of all commands and flags."""
    intro = (
        "`.venv/bin/zetasweep` and `python -m orchestrator` are the same. What a command exits with: "
        "[exit codes](exit-codes.md). The keys after `-o`: [YAML](yaml.md)."
    )
    sections = "".join(_section(context) for context in contexts())
    return "# Commands\n\n" + paragraph(intro) + sections.rstrip() + "\n"


def contexts() -> Iterator[click.Context]:
    """Yield a context for each command, groups before what is in them."""
    yield from _below(click.Context(cli, info_name="zetasweep", **cli.context_settings))
    for command in vars(train).values():
        if isinstance(command, click.Command):
            yield from _below(
                click.Context(command, info_name="python -m orchestrator.train", **command.context_settings)
            )


def _below(context: click.Context) -> Iterator[click.Context]:
    yield context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            # As a call does: what a lazy group lists are summaries, and only the one that is called is imported.
            _, command, _ = context.command.resolve_command(context, [name])
            assert command is not None, f"{name} is listed"
            yield from _below(click.Context(command, info_name=name, parent=context))


def _section(context: click.Context) -> str:
    command = context.command
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    text = f"## `{context.command_path}`\n\n```\n{usage}\n```\n\n"
    for part in inspect.cleandoc(command.help or "").split("\n\n"):
        text += paragraph(part.replace("\b", ""))
    for part in filter(None, (command.epilog or "").split("\n\n")):
        text += f"```\n{inspect.cleandoc(part[1:].partition(':')[2])}\n```\n\n" if part[0] == "\b" else paragraph(part)
    records = [parameter.get_help_record(context) for parameter in command.get_params(context)]
    # An argument that has no help is explained by the usage.
    return text + "".join(item(f"`{names}`: {what}") for names, what in filter(None, records) if what) + "\n"
