"""``zetasweep ui``."""

from __future__ import annotations

import click

from orchestrator.cli.options import confirmed_option, examples, experiment_options
from orchestrator.errors import TrackingError, UserError
from orchestrator.exit_codes import DONE
from orchestrator.waiting import waiting_for


@click.command(epilog=examples("zetasweep ui quickstart.yaml --port 5001"))
@experiment_options
@confirmed_option
@click.option("--port", type=click.IntRange(1, 65535), default=None, help="[default: the first free one from 5000 on]")
def ui(experiment: str, overrides: tuple[str, ...], confirmed: bool, port: int | None) -> int:
    """Show the experiment in MLflow's UI, which only this machine reaches, until Ctrl-C.

    That, SIGTERM and SIGHUP are its usual end: the exit code is 0 then.
    """
    from orchestrator.opened import Opened
    from orchestrator.uris import is_server

    opened = Opened(experiment, overrides).part(confirmed=confirmed)
    if not opened.store_is_there:
        makes = f"{opened.experiment.trained_by} makes it"
        raise UserError(f"{opened.database}: MLflow has nothing to show yet", remedy=makes)
    # MLflow takes seconds to import: a mistake in the file is said before.
    with waiting_for("MLflow to be loaded"):
        from orchestrator.opened.tracked import tracker_of
        from orchestrator.tracking import HOST, pages_of, port_to_use, served

    store = tracker_of(opened).store
    found = pages_of(store, opened.experiment)
    if is_server(store.uri):
        _show(store.shown_uri, found)
        return DONE
    port = port_to_use(port)
    with served(store.uri, port=port, folder=opened.storage.root if opened.storage.root.is_dir() else None) as server:
        _show(f"http://{HOST}:{port}", found)
        click.echo("Ctrl-C ends it")
        try:
            code = server.wait()
        except KeyboardInterrupt:
            return DONE
    raise TrackingError(
        f"MLflow's UI on {store.shown_uri} has ended by itself, with exit code {code}",
        remedy="start it again; -9 says that it was killed, mostly for lack of memory",
    )


def _show(address: str, found: dict[str, str]) -> None:
    for what, rest in found.items():
        click.echo(f"{what + ':':<14} {address.rstrip('/')}/{rest}")
