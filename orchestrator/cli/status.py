"""``zetasweep status``."""

from __future__ import annotations

import click

from orchestrator.cli.opened import Opened
from orchestrator.cli.options import experiment_options
from orchestrator.results import render_status
from orchestrator.terminal import new_console
from orchestrator.waiting import waiting_for


@click.command()
@experiment_options
def status(experiment: str, overrides: tuple[str, ...]) -> int:
    """Show what is done, running, failed and missing, cell by cell."""
    opened = Opened(experiment, overrides)
    # MLflow takes seconds to import: a mistake in the file is said before.
    with waiting_for("MLflow to be loaded"):
        from orchestrator.cli.tracked import runs_of

    runs = runs_of(opened)
    new_console().print(render_status(opened.cells, runs, home=opened.experiment.tracked_in))
    return opened.exit_code(runs)
