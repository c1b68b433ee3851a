"""The driver of a sweep: cluster, slots, delivery and progress around the cells that are missing."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence

from rich.console import Console

from orchestrator.amounts import counted
from orchestrator.environment import ray_address
from orchestrator.errors import DataError
from orchestrator.experiment import Cell, DatasetSpec, Experiment
from orchestrator.plan import DataFound, data_lines, make_plan, pending_cells, plan_lines
from orchestrator.records import Outcome
from orchestrator.storage import Storage
from orchestrator.sweep.cluster import joined_or_started
from orchestrator.sweep.decode import decode_images
from orchestrator.sweep.interruption import Interruption
from orchestrator.sweep.output import output_to
from orchestrator.sweep.progress import Progress
from orchestrator.sweep.started import StartedSweep, say_undelivered
from orchestrator.sweep.tuner import run_cells
from orchestrator.terminal import print_lines
from orchestrator.tracking import INTERRUPTED_GRACE_S
from orchestrator.train import with_stored

logger = logging.getLogger(__name__)


def run_pending(sweep: StartedSweep, data: Mapping[DatasetSpec, DataFound], interruption: Interruption) -> Outcome:
    """Decode the images, take the lease, and train the cells that are not done.

    Args:
        sweep: What is run.
        data: Its data sets as they are now.
        interruption: Ends it early.

    Raises:
        UserError: The layout does not fit on the cluster, the cluster cannot be joined, no cell can be trained with
            its images, or another sweep is at work on the same cells.
    """
    outcome = Outcome.INCOMPLETE
    log = sweep.storage.new_log(sweep.experiment.name)
    with output_to(log) as console:
        console.print(f"log: {log}", soft_wrap=True)
        if ray_address() is None:
            # The workers would do it, too, each node for itself; but here a damaged image is said before they start.
            _decode(pending_cells(sweep.cells, sweep.runs), sweep.experiment, console)
        try:
            sweep.open(console)
            outcome = _train(sweep, data, interruption, console)
            if outcome is not Outcome.INTERRUPTED:
                sweep.link(console)
        finally:
            sweep.tracker.sweep.close(complete=outcome is Outcome.DONE)
    return outcome


def _train(
    sweep: StartedSweep, data: Mapping[DatasetSpec, DataFound], interruption: Interruption, console: Console
) -> Outcome:
    experiment, cells, pending = sweep.experiment, sweep.cells, pending_cells(sweep.cells, sweep.runs)
    num_done, epochs = len(cells) - len(pending), sum(cell.train.epochs for cell in pending)
    with joined_or_started(experiment.resources) as layout:
        planned = plan_lines(
            make_plan(experiment, cells, with_stored(cells, sweep.storage, sweep.runs), layout), experiment
        ) + data_lines(data)
        print_lines(console, planned)
        logger.info("%s", "\n".join(planned))
        _warn_of_lost_storage(console, sweep.storage)
        progress = Progress(console, total=len(cells), done=num_done, epochs=epochs)
        delivery = sweep.delivery(progress.say)
        progress.undelivered = delivery.left
        # The display stays until all is delivered.
        with progress, delivery:
            ending = run_cells(
                pending,
                experiment=experiment,
                storage=sweep.storage,
                slots=min(layout.slots, len(pending)),
                delivery=delivery,
                progress=progress,
                interruption=interruption,
            )
            if ending.interrupted:
                delivery.closing_grace_s = INTERRUPTED_GRACE_S
        say_undelivered(console, delivery)
        if ending.interrupted:
            done = f"{num_done + len(ending.done)} of {counted(len(cells), 'cell')} done"
            progress.say(f"interrupted: {done}; the same command goes on", style="")
            return Outcome.INTERRUPTED
    return Outcome.INCOMPLETE if ending.failed or delivery.undelivered else Outcome.DONE


def _decode(pending: Sequence[Cell], experiment: Experiment, console: Console) -> None:
    """Decode the images of the cells; raise DataError if none of these cells could be trained."""
    problems = decode_images([cell.dataset for cell in pending], experiment, console)
    if problems and all(cell.dataset.images_id in {spec.images_id for spec in problems} for cell in pending):
        raise DataError("\n".join(problems.values()))
    print_lines(console, [f"its cells will fail: {problem}" for problem in problems.values()], style="red")


def _warn_of_lost_storage(console: Console, storage: Storage) -> None:
    """Say so when the results go to a folder that Ray deletes: a job's uploaded working directory."""
    if "/runtime_resources/" in str(storage.root) and "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ:
        what = f"storage = {storage.root} belongs to the submitted job and Ray deletes it"
        print_lines(console, [f"warning: {what}: give an absolute path, -o storage=/PATH"], style="yellow")
