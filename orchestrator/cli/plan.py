"""``zetasweep plan``."""

from __future__ import annotations

import click

from orchestrator.cli.opened import Opened
from orchestrator.cli.options import experiment_options
from orchestrator.exit_codes import DONE
from orchestrator.results import render_status
from orchestrator.terminal import new_console, print_lines
from orchestrator.waiting import waiting_for


@click.command()
@experiment_options
@click.option(
    "--gpus", type=click.IntRange(min=1), metavar="N", help="Plan for a machine with N GPUs, not for this one."
)
def plan(experiment: str, overrides: tuple[str, ...], gpus: int | None) -> int:
    """Show cells, what is done, slots, resources and disk; run nothing."""
    opened = Opened(experiment, overrides)
    # MLflow and Ray take seconds to import: a mistake in the file is said before.
    with waiting_for("MLflow and Ray to be loaded"):
        from orchestrator.cli.tracked import runs_of
        from orchestrator.plan import check_inputs, data_lines, make_plan, other_data, plan_lines
        from orchestrator.sweep.cluster import planned_layout

    data = check_inputs(opened.experiment)
    runs = runs_of(opened)
    placed = planned_layout(opened.experiment.resources, gpus=gpus)
    console = new_console()
    console.print(render_status(opened.cells, runs, home=opened.experiment.tracked_in))
    planned = make_plan(opened.experiment, opened.cells, runs, placed)
    print_lines(console, plan_lines(planned, opened.experiment) + data_lines(data))
    print_lines(console, (f"warning:   {warning}" for warning in other_data(opened.cells, runs, data)))
    return DONE
