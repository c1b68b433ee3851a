"""One call of ``zetasweep run``: cluster, slots, delivery and progress around the cells that are missing."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from rich.console import Console
from rich.text import Text

from orchestrator.amounts import counted
from orchestrator.errors import DataError
from orchestrator.exit_codes import DONE, INCOMPLETE, INTERRUPTED
from orchestrator.experiment.cells import Cell
from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.experiment.settings import Experiment
from orchestrator.plan import decode_images, make_plan, other_data, pending_cells, plan_lines
from orchestrator.records import CellRun
from orchestrator.storage import journal
from orchestrator.storage.folder import Storage
from orchestrator.sweep.interruption import Interruption
from orchestrator.sweep.progress import Progress
from orchestrator.tracking.delivery import Delivery
from orchestrator.tracking.tracker import Tracker

# An interrupted sweep does not wait for an MLflow that does not answer.
INTERRUPTED_GRACE_S = 3.0


def run_missing(
    experiment: Experiment,
    cells: Sequence[Cell],
    storage: Storage,
    tracker: Tracker,
    *,
    split_hashes: Mapping[DatasetSpec, str],
) -> int:
    """Run the cells that are not done, print the comparison and return the exit code.

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
    code = DONE
    if pending:
        with Interruption() as interruption:
            code = _run(experiment, cells, storage, tracker, runs, interruption)
    else:
        tracker.sweep.mend(experiment)
        Console().print(f"nothing is missing: all {len(cells)} cells are done")
    # Whoever interrupts wants an end, also where MLflow does not answer.
    if code != INTERRUPTED:
        _print_comparison(cells, tracker.cell_runs(cells), split_hashes)
    return code


def _run(
    experiment: Experiment,
    cells: Sequence[Cell],
    storage: Storage,
    tracker: Tracker,
    runs: dict[str, CellRun],
    interruption: Interruption,
) -> int:
    from orchestrator.sweep.cluster import joined_or_started
    from orchestrator.sweep.output import output_to
    from orchestrator.sweep.tuner import run_cells

    pending = pending_cells(cells, runs)
    complete = False
    log = storage.new_log(experiment.name)
    with output_to(log) as console:
        console.print(f"log: {log}", soft_wrap=True)
        if "RAY_ADDRESS" not in os.environ:
            # The workers would do it, too, each node for itself; but here a damaged image is said before they start.
            _decode(pending, experiment, console)
        try:
            tracker.sweep.open(experiment, runs)
            storage.note_store(tracker.store.shown_uri)
            with joined_or_started(experiment.resources) as layout:
                planned = plan_lines(make_plan(experiment, cells, runs, layout), experiment)
                console.print(Text("\n".join(planned), overflow="fold"))
                _warn_of_lost_storage(console, storage)
                epochs = sum(cell.train.epochs for cell in pending)
                progress = Progress(console, total=len(cells), done=len(cells) - len(pending), epochs=epochs)
                delivery = _delivery(experiment, storage, tracker, runs, progress.say)
                with delivery, progress:
                    outcome = run_cells(
                        pending,
                        experiment=experiment,
                        storage=storage,
                        slots=min(layout.slots, len(pending)),
                        delivery=delivery,
                        progress=progress,
                        interruption=interruption,
                    )
                    if outcome.interrupted:
                        delivery.closing_grace_s = INTERRUPTED_GRACE_S
                _say_undelivered(console, delivery.undelivered)
                if outcome.interrupted:
                    done = len(cells) - len(pending) + len(outcome.done)
                    text = f"interrupted: {done} of {counted(len(cells), 'cell')} done; the same command goes on"
                    progress.say(text, style="")
                complete = not outcome.interrupted and not outcome.failed and not delivery.undelivered
        finally:
            tracker.sweep.close(complete=complete)
    if outcome.interrupted:
        return INTERRUPTED
    return DONE if complete else INCOMPLETE


def deliver_waiting(experiment: Experiment, cells: Sequence[Cell], storage: Storage, tracker: Tracker) -> int:
    """Deliver to MLflow what it did not take while the cells were trained, and return the exit code."""
    from orchestrator.sweep.output import output_to

    told = {cell: journal.read(storage.cells_dir / cell.key) for cell in cells}
    runs = tracker.cell_runs(cells)
    only_store = storage.stores() in ([], [tracker.store.shown_uri])
    for key in [key for key, run in runs.items() if run.status == "done"]:
        told = {cell: entries for cell, entries in told.items() if cell.key != key}
        # Finished meanwhile, from another storage: MLflow needs nothing more of it; but another store might.
        if only_store:
            storage.shrink(key)
    waiting = {cell: entries for cell, entries in told.items() if entries}
    untold = [cell for cell, entries in told.items() if not entries and storage.has_result(cell.key)]
    if untold:
        Console().print(
            f"missing in MLflow: {counted(len(untold), 'trained cell')}: zetasweep run delivers from the checkpoints, "
            "without training",
            soft_wrap=True,
        )
    if not waiting:
        Console().print("nothing waits to be delivered")
        return INCOMPLETE if untold else DONE
    complete = False
    with output_to(storage.new_log(experiment.name)) as console:
        try:
            tracker.sweep.open(experiment, runs)
            storage.note_store(tracker.store.shown_uri)
            delivery = _delivery(
                experiment, storage, tracker, runs, lambda line: console.print(Text(line), soft_wrap=True)
            )
            with delivery:
                for cell, entries in waiting.items():
                    for entry in entries:
                        delivery.deliver(cell, entry)
                    if entries[-1].kind not in ("done", "failed", "interrupted"):
                        delivery.interrupt(cell)
            console.print(f"delivered: {len(waiting) - len(delivery.undelivered)} of {counted(len(waiting), 'cell')}")
            _say_undelivered(console, delivery.undelivered)
            after = tracker.cell_runs(cells)
            complete = not delivery.undelivered and not pending_cells(cells, after)
        finally:
            tracker.sweep.close(complete=complete)
    return INCOMPLETE if delivery.undelivered or untold else DONE


def _delivery(
    experiment: Experiment,
    storage: Storage,
    tracker: Tracker,
    runs: dict[str, CellRun],
    say: Callable[[str], None],
) -> Delivery:
    from orchestrator.tracking.delivery import Delivery
    from orchestrator.tracking.logged_model import warm_up

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
    for problem in problems.values():
        console.print(Text(f"its cells will fail: {problem}", style="red"), soft_wrap=True)


def _say_undelivered(console: Console, undelivered: dict[str, str]) -> None:
    for key, reason in undelivered.items():
        console.print(Text(f"not in MLflow: cell {key}: {reason}", style="red"), soft_wrap=True)
    if undelivered:
        console.print(
            "their results are in storage: zetasweep sync delivers them, with the same options, or the same run again",
            soft_wrap=True,
        )


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


def _print_comparison(
    cells: Sequence[Cell], runs: Mapping[str, CellRun], split_hashes: Mapping[DatasetSpec, str]
) -> None:
    from orchestrator.results import compare, render

    console = Console()
    console.print(render(compare(cells, runs), "table"))
    for warning in other_data(cells, runs, split_hashes):
        console.print(Text(f"warning: {warning}", style="yellow"))
