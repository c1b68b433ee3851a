"""What the commands that follow a job have in common: what they show, and what they say at its end."""

from __future__ import annotations

import re
import shlex

import click

from orchestrator.cli.outcomes import of_job
from orchestrator.exit_codes import INCOMPLETE, INTERRUPTED, MEANINGS
from orchestrator.jobs import Ended, JobServer, follow

_GOES_ON = "what it has trained is in its storage, and the same zetasweep submit goes on with it"

# As Python ends where an exception is not caught, which zetasweep does not.
_UNCAUGHT = re.compile(r"[A-Za-z_][\w.]*(Error|Exception|Exit)(: .*)?")


def followed(server: JobServer, job: str) -> int:
    """Show what a job prints until it is over, say how it ended, and return what the command exits with.

    Ctrl-C ends the following alone.
    """
    try:
        ended = follow(server, job, lambda text: click.echo(text, nl=False))
    except KeyboardInterrupt:
        click.echo(
            f"\nnot followed any more; {job} goes on\n"
            f"  follow it: {call('logs', server, job)} --follow\n"
            f"  stop it, with all that it trains saved: {call('stop', server, job)}",
            err=True,
        )
        return INTERRUPTED
    for line in last_lines(job, ended):
        click.echo(line, err=True)
    return of_job(ended)


def call(command: str, server: JobServer, job: str) -> str:
    """Return how a command is called for a job."""
    return shlex.join(["zetasweep", command, job, "--address", server.address.url])


def last_lines(job: str, ended: Ended) -> list[str]:
    """Return what is said of a job that has ended: its exit code, or what ended it, and what helps."""
    if ended.status == "STOPPED":
        return [f"{job}: stopped; {_GOES_ON}"]
    if (uncaught := _uncaught(ended)) is not None:
        packages = (
            "a job is run by the python on the PATH of ray start on the head: install zetasweep there, and submit again"
            if uncaught.startswith(("ModuleNotFoundError", "ImportError"))
            else "its log says where"
        )
        return [f"error: {job}: FAILED: its python could not go on: {uncaught}", f"  remedy:  {packages}; {_GOES_ON}"]
    if ended.exit_code in MEANINGS:
        return [f"{job}: exit code {ended.exit_code}: {MEANINGS[ended.exit_code or 0]}"]
    # Ray repeats the log below its first line.
    said = (ended.message.splitlines() or [""])[0].partition(", last available logs")[0]
    return [f"error: {job}: {ended.status}: {said}", f"  remedy:  {_remedy(ended)}"]


def _uncaught(ended: Ended) -> str | None:
    """Return the exception that has ended a job's driver, e.g. since a package is missing there; None if none has."""
    if ended.exit_code != INCOMPLETE:
        return None
    # Ray adds the last lines of the log to its own words.
    *_, last = ended.message.rstrip().splitlines() or [""]
    return last if _UNCAUGHT.fullmatch(last) else None


def _remedy(ended: Ended) -> str:
    if ended.exit_code is None:
        return f"see whether all nodes run, and what Ray's own logs on its head say; {_GOES_ON}"
    if ended.exit_code in (-9, 137):
        return f"something has killed its driver, mostly for want of memory on its node: give that more; {_GOES_ON}"
    return f"its log says why; {_GOES_ON}"
