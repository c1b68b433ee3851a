"""``zetasweep status``."""

from __future__ import annotations

import click

from orchestrator.cli.options import confirmed_option, examples, experiment_options
from orchestrator.cli.outcomes import exit_code
from orchestrator.waiting import waiting_for


@click.command(epilog=examples("zetasweep status quickstart.yaml"))
@experiment_options
@confirmed_option
def status(experiment: str, overrides: tuple[str, ...], confirmed: bool) -> int:
    """Show what is done, running, failed and missing, cell by cell; of a search also who was stopped, and why."""
    from orchestrator.opened import Opened
    from orchestrator.results import races_of, render_status
    from orchestrator.terminal import new_console

    opened = Opened(experiment, overrides).part(confirmed=confirmed)
    # MLflow takes seconds to import: a mistake in the file is said before.
    with waiting_for("MLflow to be loaded"):
        from orchestrator.opened.tracked import runs_of

    runs = runs_of(opened)
    races, home = races_of(opened.followed), opened.experiment.tracked_in
    shown = render_status(opened.cells, runs, races=races, home=home, command=opened.experiment.trained_by)
    new_console().print(shown)
    return exit_code(opened, runs)
