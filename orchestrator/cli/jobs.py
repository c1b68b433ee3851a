"""``zetasweep jobs``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import address_option, debug_option, examples
from orchestrator.exit_codes import DONE

if TYPE_CHECKING:
    from orchestrator.jobs import Listed


@click.command(epilog=examples("zetasweep jobs --address http://HEAD:8265"))
@address_option
@debug_option
def jobs(address: str | None) -> int:
    """List the jobs of a Ray cluster.

    The latest is last. Ray forgets them when the cluster ends.
    """
    from rich.text import Text

    from orchestrator.jobs import address_of, connected
    from orchestrator.terminal import new_console, plain_table

    found = connected(address_of(address)).jobs()
    if not found:
        click.echo("no job was handed in since the cluster was started")
        return DONE
    table = plain_table()
    for title in ("job", "state", "began", "took", "what it does"):
        table.add_column(title, no_wrap=title != "what it does")
    for job in found:
        began = f"{job.began:%F %T}" if job.began else ""
        table.add_row(Text(job.name), job.status.lower(), began, _took(job), Text(job.what))
    new_console().print(table)
    return DONE


def _took(job: Listed) -> str:
    if job.began is None or job.ended is None:
        return ""
    seconds = round((job.ended - job.began).total_seconds())
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
