"""One call of ``zetasweep run``: cluster, slots, delivery and progress around the cells that are missing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from orchestrator.errors import DataError
from orchestrator.exit_codes import DONE, INCOMPLETE, INTERRUPTED
from orchestrator.plan import make_plan, pending_cells, render_plan
from orchestrator.prepare import decode_images
from orchestrator.progress import Progress

if TYPE_CHECKING:
    from orchestrator.cells import Cell
    from orchestrator.config import Experiment
    from orchestrator.records import CellRun
    from orchestrator.storage import Storage
    from orchestrator.tracking import Tracker


def run_missing(experiment: Experiment, cells: Sequence[Cell], storage: Storage, tracker: Tracker) -> int:
    """Run the cells that are not done, print the comparison and return the exit code.

    Raises:
        UserError: The layout does not fit on the cluster, or the cluster cannot be joined.
    """
    runs = tracker.cell_runs(cells, active=False)
    pending = pending_cells(cells, runs)
    code = DONE
    if pending:
        code = _run(experiment, cells, storage, tracker, runs)
    else:
        tracker.mend_sweep(experiment)
        Console().print(f"nothing is missing: all {len(cells)} cells are done")
    _print_comparison(cells, tracker)
    return code


def _run(
    experiment: Experiment, cells: Sequence[Cell], storage: Storage, tracker: Tracker, runs: dict[str, CellRun]
) -> int:
    from orchestrator.cluster import joined_or_started
    from orchestrator.delivery import Delivery
    from orchestrator.quiet import output_to
    from orchestrator.sweep import run_cells
    from orchestrator.tracking import warm_up

    pending = pending_cells(cells, runs)
    complete = False
    log = storage.new_log(experiment.name)
    with output_to(log) as console:
        console.print(f"log: {log}", soft_wrap=True)
        if "RAY_ADDRESS" not in os.environ:
            # The workers would do it, too, each node for itself; but here a damaged image is said before they start.
            _decode(pending, experiment, console)
        with joined_or_started(experiment.resources) as layout:
            console.print(render_plan(make_plan(experiment, cells, runs, layout), experiment))
            _warn_of_lost_storage(console, storage)
            delivery = Delivery(
                tracker,
                warm_up=warm_up,
                known=runs,
                data_dir=experiment.data_dir,
                storage=storage,
                sweep=experiment.name,
            )
            epochs = sum(cell.train.epochs for cell in pending)
            progress = Progress(console, total=len(cells), done=len(cells) - len(pending), epochs=epochs)
            tracker.open_sweep(experiment)
            try:
                with delivery, progress:
                    outcome = run_cells(
                        pending,
                        experiment=experiment,
                        storage=storage,
                        slots=min(layout.slots, len(pending)),
                        delivery=delivery,
                        progress=progress,
                    )
                complete = not outcome.interrupted and not outcome.failed and not delivery.undelivered
            finally:
                _say_undelivered(console, delivery.undelivered)
                tracker.close_sweep(complete=complete)
    if outcome.interrupted:
        return INTERRUPTED
    return DONE if complete else INCOMPLETE


def _decode(pending: Sequence[Cell], experiment: Experiment, console: Console) -> None:
    """Decode the images of the cells; raise DataError if none of these cells could be trained."""
    problems = decode_images([cell.dataset for cell in pending], experiment, console)
    if problems and all(cell.dataset.images_id in {spec.images_id for spec in problems} for cell in pending):
        raise DataError("\n".join(problems.values()))
    for problem in problems.values():
        console.print(Text(f"its cells will fail: {problem}", style="red"), soft_wrap=True)


def _say_undelivered(console: Console, undelivered: dict[str, str]) -> None:
    for key, reason in undelivered.items():
        console.print(Text(f"not in MLflow: cell {key}: {reason}", style="red"), soft_wrap=True)
    if undelivered:
        console.print("their results are in storage; the same command delivers them", soft_wrap=True)


def _warn_of_lost_storage(console: Console, storage: Storage) -> None:
    """Say so when the results go to a folder that Ray deletes: a job's uploaded working directory."""
    if "/runtime_resources/" in str(storage.root) and "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ:
        console.print(
            Text(
                f"warning: storage = {storage.root} belongs to the submitted job and Ray deletes it: "
                "give an absolute path, -o storage=/PATH",
                style="yellow",
            ),
            soft_wrap=True,
        )


def _print_comparison(cells: Sequence[Cell], tracker: Tracker) -> None:
    from orchestrator.compare import compare
    from orchestrator.report import render

    Console().print(render(compare(cells, tracker.cell_runs(cells, active=False)), "table"))
