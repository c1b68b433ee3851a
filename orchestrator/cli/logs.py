"""``zetasweep logs``."""

from __future__ import annotations

import click

from orchestrator.cli.options import address_option, debug_option, examples
from orchestrator.exit_codes import DONE


@click.command(epilog=examples("zetasweep logs cifar10-3fa2c19d --address http://HEAD:8265 --follow"))
@click.argument("job")
@address_option
@click.option("--follow", is_flag=True, help="To its end, and exit like it; Ctrl-C ends the following alone.")
@debug_option
def logs(job: str, address: str | None, follow: bool) -> int:
    """Show what a job of a Ray cluster has printed."""
    from orchestrator.cli.following import followed
    from orchestrator.jobs import address_of, connected

    server = connected(address_of(address))
    if follow:
        return followed(server, job)
    server.state(job)  # who names no job is told so
    click.echo(server.log(job), nl=False)
    return DONE
