"""``zetasweep list``."""

from __future__ import annotations

import click

from orchestrator.cli.options import debug_option, examples, plugin_option
from orchestrator.errors import UserError
from orchestrator.exit_codes import DONE

KINDS = ("models", "augmentations", "datasets", "metrics")


@click.command(
    "list",
    epilog=examples("zetasweep list augmentations", "zetasweep list models --filter resnet --format json"),
)
@click.argument("kind", type=click.Choice(KINDS))
@click.option("--filter", "part", metavar="TEXT", help="Only those with this in their name or description.")
@click.option(
    "--format", "format_", type=click.Choice(["table", "json"]), default="table", help="json has all options of each."
)
@debug_option
@plugin_option
def list_(kind: str, part: str | None, format_: str) -> int:
    """Show which models, augmentations, data sets or metrics there are, with options.

    The models are this project's, torchvision's and, where it is installed, timm's. Where data sets lie, and which are
    there, is said by zetasweep data list.
    """
    from orchestrator.guide import as_json, as_lines, items_of
    from orchestrator.terminal import new_console

    found = [item for item in items_of(kind) if (part or "").lower() in f"{item.name} {item.what}".lower()]
    if not found:
        raise UserError(f"--filter {part}: no name or description of {kind} has it", remedy=f"zetasweep list {kind}")
    if format_ == "json":
        click.echo(as_json(found), nl=False)
    else:
        new_console().print(as_lines(found))
    return DONE
