"""``zetasweep plan``."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial

import click

from orchestrator.cli.options import examples, experiment_options, price_of, price_option
from orchestrator.errors import UserError
from orchestrator.exit_codes import DONE, INCOMPLETE
from orchestrator.waiting import waiting_for


@click.command(
    epilog=examples(
        "zetasweep plan quickstart.yaml --measure --price 0.04/cpu-hour",
        "zetasweep plan cifar10.yaml --gpus 8",
        "zetasweep plan cifar10.yaml --nodes",
    )
)
@experiment_options
@click.option(
    "--gpus", type=click.IntRange(min=1), metavar="N", help="Plan for a machine with N GPUs, not for this one."
)
@click.option(
    "--nodes", is_flag=True, help="Ask each node of the cluster that is joined whether it can train, as run will."
)
@click.option("--measure", is_flag=True, help="Time a few steps of each training here: hours, memory, and what fits.")
@click.option("--largest-batch", is_flag=True, help="Measure, and look for the largest batch that fits, too.")
@price_option
def plan(
    experiment: str,
    overrides: tuple[str, ...],
    gpus: int | None,
    nodes: bool,
    measure: bool,
    largest_batch: bool,
    price: str | None,
) -> int:
    """Show cells, what is done, slots, disk, hours and, with a price, money; run nothing."""
    from orchestrator.amounts import counted
    from orchestrator.opened import Opened
    from orchestrator.results import check_usual, price_line, progress_line, races_of, render_status, wanted_of
    from orchestrator.terminal import new_console, print_lines

    opened = Opened(experiment, overrides)
    paid = price_of(price, opened)
    # MLflow and Ray take seconds to import: a mistake in the file is said before.
    with waiting_for("MLflow and Ray to be loaded"):
        from orchestrator.opened.costs import costing_of
        from orchestrator.opened.start import check_joins, check_start
        from orchestrator.opened.tracked import at_work, runs_of
        from orchestrator.plan import (
            cost_lines,
            data_lines,
            make_plan,
            other_data,
            pending_cells,
            plan_lines,
            planned_local_layout,
            workers_on,
        )
        from orchestrator.storage import marked
        from orchestrator.sweep.cluster import planned_layout
        from orchestrator.sweep.proof import Proof

    if nodes:
        check_joins(gpus)
    data = check_start(opened, partial(planned_local_layout, gpus=gpus))
    confirmed = opened.confirmed()
    runs = runs_of(opened, and_of=confirmed.cells)
    at_work_now = list(at_work(opened, {cell.key: runs[cell.key] for cell in opened.cells if cell.key in runs}))
    with marked(opened.storage) if nodes else nullcontext() as marker:
        proof = Proof.of(opened.experiment, marker) if marker is not None else None
        placed = planned_layout(opened.experiment.resources, gpus=gpus, proof=proof)
    console = new_console()
    races = races_of(opened.followed)
    console.print(render_status(opened.cells, runs, races=races, home=opened.experiment.tracked_in))
    planned = make_plan(opened.experiment, opened.cells, runs, placed, followed=opened.followed)
    print_lines(console, plan_lines(planned, opened.experiment) + data_lines(data))
    if nodes:
        able = sum(workers_on(node, opened.experiment.resources) > 0 for node in placed.nodes)
        num = counted(able + len(placed.refused), "node")
        print_lines(console, [f"nodes:     {able} of {num} with room can train, as far as was asked"])
    if confirmed.cells:
        left = len(pending_cells(confirmed.cells, runs))
        print_lines(console, [progress_line(len(confirmed.cells) - left, left)])
    else:
        print_lines(
            console,
            price_line(
                opened.cells,
                opened.experiment.compare,
                usual=check_usual(wanted_of(opened.experiment), opened.cells),
                is_searched=opened.experiment.search is not None,
            ),
        )
    warnings = [*other_data(opened.cells, runs, data), *at_work_now]
    print_lines(console, (f"warning:   {warning}" for warning in warnings))
    if (measure or largest_batch) and at_work_now:
        raise UserError(
            f"--{'measure' if measure else 'largest-batch'}: a sweep is at work: {at_work_now[0]}",
            remedy="wait for it: it would lose memory and time to what is measured, and the measurement be none",
        )
    # What takes longest comes last: the rest is there to be read meanwhile.
    costing = costing_of(
        opened,
        planned,
        data,
        measures=measure or largest_batch,
        searches=largest_batch,
        price=paid,
        is_elsewhere=gpus is not None,
    )
    print_lines(console, cost_lines(costing))
    if largest_batch and not costing.cells:
        print_lines(console, ["--largest-batch: nothing is left to be trained, so that nothing was tried"])
    return INCOMPLETE if costing.unmeasured else DONE
