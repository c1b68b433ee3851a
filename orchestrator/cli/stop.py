"""``zetasweep stop``."""

from __future__ import annotations

import click

from orchestrator.cli.options import address_option, debug_option, examples
from orchestrator.exit_codes import DONE, INCOMPLETE


@click.command(epilog=examples("zetasweep stop cifar10-3fa2c19d --address http://HEAD:8265"))
@click.argument("job")
@address_option
@debug_option
def stop(job: str, address: str | None) -> int:
    """Stop a job of a Ray cluster once all that it trains is saved; the same submit goes on with it.

    It exits with 1 if the job's end is not known to have saved all.
    """
    from orchestrator.cli.following import last_lines
    from orchestrator.jobs import address_of, connected, last_word_of
    from orchestrator.jobs import stop as stop_job

    server = connected(address_of(address))
    before = server.listed(job)
    if before.status == "RUNNING" and not before.has_time_to_stop:
        click.echo(
            f"warning: {job} was not handed in by zetasweep submit: Ray kills it after 3 s, saved or not", err=True
        )
    ended = stop_job(server, job)
    if ended.status == "SUCCEEDED":
        click.echo(f"{job}: it has ended by itself: succeeded")
        return DONE
    if before.status == "PENDING" and ended.status == "STOPPED":
        click.echo(f"{job}: stopped before it began")
        return DONE
    if word := last_word_of(server, job):
        click.echo(f"{job}: {word}")
        return DONE
    if ended.status == "FAILED":
        click.echo("\n".join(last_lines(job, ended)), err=True)
        return INCOMPLETE
    click.echo(
        f"{job}: stopped, and its driver did not say that all is saved\n"
        "  remedy:  the same zetasweep submit goes on from the checkpoints that are there, and closes its runs in "
        "MLflow; without it zetasweep doctor --fix closes them",
        err=True,
    )
    return INCOMPLETE
