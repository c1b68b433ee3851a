"""The driver of a sweep: cluster, slots, delivery and progress around the cells that are missing."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from rich.console import Console

from orchestrator.costs import Estimates, TimeLeft
from orchestrator.environment import ray_address
from orchestrator.errors import DataError, TrackingError, UserError
from orchestrator.experiment import Cell, DatasetSpec, Experiment
from orchestrator.plan import DataFound, as_decoded, data_lines, make_plan, other_data, plan_lines, reached_epochs
from orchestrator.records import Outcome
from orchestrator.storage import Storage, marked
from orchestrator.sweep.cluster import check_imported_in_time, joined_or_started
from orchestrator.sweep.decode import decode_images
from orchestrator.sweep.interruption import Interruption
from orchestrator.sweep.output import output_to
from orchestrator.sweep.progress import Progress
from orchestrator.sweep.proof import Proof
from orchestrator.sweep.saving import last_words
from orchestrator.sweep.started import StartedSweep, log_kept, say_undelivered, under_way
from orchestrator.sweep.tuner import run_course
from orchestrator.terminal import print_lines
from orchestrator.tracking import INTERRUPTED_GRACE_S
from orchestrator.train import keep_weights, with_stored

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
        SweepError: Storage does not answer any more, or another sweep has taken it over.
    """
    check_imported_in_time()
    outcome = Outcome.INCOMPLETE
    log = sweep.storage.new_log(sweep.experiment.name)
    with log_kept(sweep.storage, log), output_to(log) as console:
        console.print(f"log: {log}", soft_wrap=True)
        if ray_address() is None:
            # The workers would do it, too, each node for itself; but here a damaged image is said before they start.
            _decode(sweep.pending, sweep.experiment, console)
        now = as_decoded(data, sweep.experiment)
        print_lines(console, (f"warning: {each}" for each in other_data(sweep.cells, sweep.runs, now)), style="yellow")
        keep_weights([cell.model for cell in sweep.pending], sweep.storage)
        try:
            sweep.open(console)
            outcome = _train(sweep, data, interruption, console)
            if outcome is not Outcome.INTERRUPTED:
                with under_way():
                    sweep.finish(console)
        finally:
            sweep.tracker.sweep.close(complete=outcome is Outcome.DONE)
    return outcome


def _train(
    sweep: StartedSweep, data: Mapping[DatasetSpec, DataFound], interruption: Interruption, console: Console
) -> Outcome:
    experiment, cells, known = sweep.experiment, sweep.cells, _known(sweep)
    with ExitStack() as left:
        scratch = left.enter_context(sweep.storage.scratch())
        # What is started here is this machine alone.
        proof = None
        if ray_address() is not None:
            proof = Proof.of(experiment, left.enter_context(marked(sweep.storage)))
        layout = left.enter_context(joined_or_started(experiment.resources, proof=proof))
        stored = with_stored(cells, sweep.storage, sweep.runs)
        followed = sweep.search.followed if sweep.search is not None else None
        plan = make_plan(experiment, cells, stored, layout, followed=followed)
        planned = plan_lines(plan, experiment) + data_lines(data)
        print_lines(console, planned)
        logger.info("%s", "\n".join(planned))
        _warn_of_lost_storage(console, sweep.storage)
        # Later rungs of a search may have more legs than the first.
        slots, asked = (
            each if sweep.search is not None else min(each, len(sweep.pending)) for each in (layout.slots, layout.asked)
        )
        reached = reached_epochs(sweep.pending, sweep.storage)
        progress = _progress(sweep, TimeLeft(sweep.pending, slots=slots, known=known, reached=reached), console)
        delivery = sweep.delivery(progress.say)
        progress.undelivered = delivery.left
        if sweep.search is not None:
            sweep.search.say, sweep.search.tell = progress.say, delivery.tell
            sweep.search.is_interrupted = lambda: interruption.requested
            progress.followed = lambda: sweep.search.followed if sweep.search is not None else None
        # The display stays until all is delivered.
        with under_way(), progress, delivery:
            ending = run_course(
                sweep.course(),
                experiment=experiment,
                storage=sweep.storage,
                scratch=scratch,
                layout=layout,
                proof=proof,
                slots=asked,
                is_open=sweep.search is not None,
                delivery=delivery,
                progress=progress,
                interruption=interruption,
            )
            is_interrupted = ending.interrupted or (interruption.requested and not sweep.is_over)
            if is_interrupted:
                delivery.closing_grace_s = INTERRUPTED_GRACE_S
        say_undelivered(console, delivery)
        if is_interrupted:
            done = sweep.done_after(ending.done, trained=progress.trained)
            progress.say(last_words(done, ending.unsaved), style="")
            return Outcome.INTERRUPTED
    return Outcome.INCOMPLETE if ending.failed or delivery.undelivered or not sweep.is_over else Outcome.DONE


def _progress(sweep: StartedSweep, left: TimeLeft, console: Console) -> Progress:
    num_done = sum(cell.key in sweep.runs and sweep.runs[cell.key].status == "done" for cell in sweep.cells)
    return Progress(console, total=len(sweep.cells), done=num_done, left=left, pays=sweep.pays)


def _known(sweep: StartedSweep) -> Estimates | None:
    """Return what is known of how long the cells take; that alone is no reason to train none."""
    try:
        return sweep.known()
    except (TrackingError, UserError) as error:
        logger.warning("the time left begins without what finished cells took: %s", error.in_one_line)
        return None


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
