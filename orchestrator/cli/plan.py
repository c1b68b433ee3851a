"""``zetasweep plan``."""

from __future__ import annotations

from functools import partial

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
        from orchestrator.cli.start import check_start
        from orchestrator.cli.tracked import at_work, runs_of
        from orchestrator.plan import data_lines, make_plan, other_data, plan_lines, planned_local_layout
        from orchestrator.sweep.cluster import planned_layout

    data = check_start(opened, partial(planned_local_layout, gpus=gpus))
    runs = runs_of(opened)
    at_work_now = list(at_work(opened, runs))
    placed = planned_layout(opened.experiment.resources, gpus=gpus)
    console = new_console()
    console.print(render_status(opened.cells, runs, home=opened.experiment.tracked_in))
    planned = make_plan(opened.experiment, opened.cells, runs, placed)
    print_lines(console, plan_lines(planned, opened.experiment) + data_lines(data))
    warnings = [*other_data(opened.cells, runs, data), *at_work_now]
    print_lines(console, (f"warning:   {warning}" for warning in warnings))
    return DONE
