"""The driver of a sweep: cluster, slots, delivery and progress around the cells that are missing."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from enum import Enum

from rich.console import Console
from rich.text import Text

from orchestrator.amounts import counted
from orchestrator.environment import ray_address
from orchestrator.errors import DataError
from orchestrator.experiment.cells import Cell
from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.experiment.settings import Experiment
from orchestrator.plan.plan import make_plan, other_data, pending_cells, render_plan
from orchestrator.records import CellResult, CellRun, Failed, Interrupted, TrackedEvent
from orchestrator.results.comparison import compare
from orchestrator.results.terminal import render
from orchestrator.storage import journal
from orchestrator.storage.folder import Storage
from orchestrator.sweep.decode import decode_images
from orchestrator.sweep.interruption import Interruption
from orchestrator.sweep.output import output_to
from orchestrator.sweep.progress import Progress
from orchestrator.terminal import print_lines
from orchestrator.tracking.delivery import Delivery
from orchestrator.tracking.logged_model import warm_up
from orchestrator.tracking.tracker import Tracker

# An interrupted sweep does not wait for an MLflow that does not answer.
INTERRUPTED_GRACE_S = 3.0
DELIVERS = "their results are in storage: zetasweep sync delivers them, with the same options, or the same run again"


class Outcome(Enum):
    """How it went.

    Attributes:
        DONE: MLflow has all that was asked for.
        INCOMPLETE: Some cells have failed, or MLflow did not take them.
        INTERRUPTED: The user ended it; the same command goes on.
    """

    DONE = "done"
    INCOMPLETE = "incomplete"
    INTERRUPTED = "interrupted"


def run_missing(
    experiment: Experiment,
    cells: Sequence[Cell],
    storage: Storage,
    tracker: Tracker,
    *,
    split_hashes: Mapping[DatasetSpec, str],
) -> Outcome:
    """Run the cells that are not done and print the comparison, unless it is interrupted.

    Args:
        experiment: The sweep.
        cells: All of its cells.
        storage: Where the checkpoints are.
        tracker: Of the store that holds the runs.
        split_hashes: Of the data sets as they are now, from `check_inputs`.

    Raises:
        UserError: The layout does not fit on the cluster, the cluster cannot be joined, or another sweep is at work on
            the same cells.
    """
    runs = tracker.cell_runs(cells)
    pending = pending_cells(cells, runs)
    outcome = Outcome.DONE
    if pending:
        with Interruption() as interruption:
            outcome = _run(experiment, cells, storage, tracker, runs, interruption)
    else:
        tracker.sweep.mend(experiment)
        Console().print(f"nothing is missing: all {len(cells)} cells are done")
    # Whoever interrupts wants an end, also where MLflow does not answer.
    if outcome is not Outcome.INTERRUPTED:
        _print_comparison(cells, tracker.cell_runs(cells), split_hashes)
    return outcome


def _run(
    experiment: Experiment,
    cells: Sequence[Cell],
    storage: Storage,
    tracker: Tracker,
    runs: dict[str, CellRun],
    interruption: Interruption,
) -> Outcome:
    # Ray takes seconds to import, which a sweep that has nothing to do need not pay.
    from orchestrator.sweep.cluster import joined_or_started
    from orchestrator.sweep.tuner import run_cells

    pending = pending_cells(cells, runs)
    complete = False
    log = storage.new_log(experiment.name)
    with output_to(log) as console:
        console.print(f"log: {log}", soft_wrap=True)
        if ray_address() is None:
            # The workers would do it, too, each node for itself; but here a damaged image is said before they start.
            _decode(pending, experiment, console)
        try:
            tracker.sweep.open(experiment, runs)
            storage.note_store(tracker.store.shown_uri)
            with joined_or_started(experiment.resources) as layout:
                console.print(render_plan(make_plan(experiment, cells, runs, layout), experiment))
                _warn_of_lost_storage(console, storage)
                epochs = sum(cell.train.epochs for cell in pending)
                progress = Progress(console, total=len(cells), done=len(cells) - len(pending), epochs=epochs)
                delivery = _delivery(experiment, storage, tracker, runs, progress.say)
                with delivery, progress:
                    ending = run_cells(
                        pending,
                        experiment=experiment,
                        storage=storage,
                        slots=min(layout.slots, len(pending)),
                        delivery=delivery,
                        progress=progress,
                        interruption=interruption,
                    )
                    if ending.interrupted:
                        delivery.closing_grace_s = INTERRUPTED_GRACE_S
                _say_undelivered(console, delivery.undelivered)
                if ending.interrupted:
                    done = len(cells) - len(pending) + len(ending.done)
                    text = f"interrupted: {done} of {counted(len(cells), 'cell')} done; the same command goes on"
                    progress.say(text, style="")
                complete = not ending.interrupted and not ending.failed and not delivery.undelivered
        finally:
            tracker.sweep.close(complete=complete)
    if ending.interrupted:
        return Outcome.INTERRUPTED
    return Outcome.DONE if complete else Outcome.INCOMPLETE


def deliver_waiting(experiment: Experiment, cells: Sequence[Cell], storage: Storage, tracker: Tracker) -> Outcome:
    """Deliver to MLflow what it did not take while the cells were trained."""
    runs = tracker.cell_runs(cells)
    finished = {key for key, run in runs.items() if run.status == "done"}
    journals = {cell: journal.read(storage.cells_dir / cell.key) for cell in cells if cell.key not in finished}
    if storage.stores() in ([], [tracker.store.shown_uri]):
        # Finished meanwhile, from another storage: MLflow needs nothing more of it; but another store might.
        for key in finished:
            storage.shrink(key)
    waiting = {cell: events for cell, events in journals.items() if events}
    untold = [cell for cell, events in journals.items() if not events and storage.has_result(cell.key)]
    if untold:
        what = f"missing in MLflow: {counted(len(untold), 'trained cell')}"
        Console().print(f"{what}: zetasweep run delivers from the checkpoints, without training", soft_wrap=True)
    if not waiting:
        Console().print("nothing waits to be delivered")
        return Outcome.INCOMPLETE if untold else Outcome.DONE
    undelivered = _deliver(experiment, cells, storage, tracker, runs, waiting)
    return Outcome.INCOMPLETE if undelivered or untold else Outcome.DONE


def _deliver(
    experiment: Experiment,
    cells: Sequence[Cell],
    storage: Storage,
    tracker: Tracker,
    runs: dict[str, CellRun],
    waiting: Mapping[Cell, Sequence[TrackedEvent]],
) -> dict[str, str]:
    """Deliver the events that wait; return why MLflow did not take some, by key of their cells."""
    complete = False
    with output_to(storage.new_log(experiment.name)) as console:
        try:
            tracker.sweep.open(experiment, runs)
            storage.note_store(tracker.store.shown_uri)
            delivery = _delivery(experiment, storage, tracker, runs, lambda line: print_lines(console, [line]))
            with delivery:
                for cell, events in waiting.items():
                    for event in events:
                        delivery.deliver(cell, event)
                    if not isinstance(events[-1], CellResult | Failed | Interrupted):
                        delivery.tell(cell, Interrupted())
            console.print(f"delivered: {len(waiting) - len(delivery.undelivered)} of {counted(len(waiting), 'cell')}")
            _say_undelivered(console, delivery.undelivered)
            after = tracker.cell_runs(cells)
            complete = not delivery.undelivered and not pending_cells(cells, after)
        finally:
            tracker.sweep.close(complete=complete)
    return delivery.undelivered


def _delivery(
    experiment: Experiment,
    storage: Storage,
    tracker: Tracker,
    runs: dict[str, CellRun],
    say: Callable[[str], None],
) -> Delivery:
    return Delivery(
        tracker,
        warm_up=warm_up,
        known=runs,
        data_dir=experiment.data_dir,
        storage=storage,
        sweep=experiment.name,
        say=say,
    )


def _decode(pending: Sequence[Cell], experiment: Experiment, console: Console) -> None:
    """Decode the images of the cells; raise DataError if none of these cells could be trained."""
    problems = decode_images([cell.dataset for cell in pending], experiment, console)
    if problems and all(cell.dataset.images_id in {spec.images_id for spec in problems} for cell in pending):
        raise DataError("\n".join(problems.values()))
    print_lines(console, [f"its cells will fail: {problem}" for problem in problems.values()], style="red")


def _say_undelivered(console: Console, undelivered: dict[str, str]) -> None:
    lines = [f"not in MLflow: cell {key}: {reason}" for key, reason in undelivered.items()]
    print_lines(console, lines, style="red")
    if undelivered:
        console.print(DELIVERS, soft_wrap=True)


def _warn_of_lost_storage(console: Console, storage: Storage) -> None:
    """Say so when the results go to a folder that Ray deletes: a job's uploaded working directory."""
    if "/runtime_resources/" in str(storage.root) and "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ:
        what = f"storage = {storage.root} belongs to the submitted job and Ray deletes it"
        print_lines(console, [f"warning: {what}: give an absolute path, -o storage=/PATH"], style="yellow")


def _print_comparison(
    cells: Sequence[Cell], runs: Mapping[str, CellRun], split_hashes: Mapping[DatasetSpec, str]
) -> None:
    console = Console()
    console.print(render(compare(cells, runs), "table"))
    for warning in other_data(cells, runs, split_hashes):
        console.print(Text(f"warning: {warning}", style="yellow"))
