"""The driver of a sweep: cluster, slots, delivery and progress around the cells that are missing."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from orchestrator.amounts import counted
from orchestrator.environment import ray_address
from orchestrator.errors import DataError
from orchestrator.experiment import Cell, DatasetSpec, Experiment
from orchestrator.plan import make_plan, other_data, pending_cells, plan_lines
from orchestrator.records import CellRun, ClosingEvent, Interrupted, Outcome, TrackedEvent
from orchestrator.results import compare, render
from orchestrator.storage import Storage, journal
from orchestrator.sweep.decode import decode_images
from orchestrator.sweep.interruption import Interruption
from orchestrator.sweep.output import output_to
from orchestrator.sweep.progress import Progress
from orchestrator.terminal import print_lines
from orchestrator.tracking import Delivery, Tracker, warm_up

# An interrupted sweep does not wait for an MLflow that does not answer.
INTERRUPTED_GRACE_S = 3.0
DELIVERS = "their results are in storage: zetasweep sync delivers them, with the same options, or the same run again"


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
    outcome = Outcome.DONE
    if pending_cells(cells, runs):
        with Interruption() as interruption:
            outcome = _run(_Sweep(experiment, cells, storage, tracker, runs), interruption)
    else:
        tracker.sweep.mend(experiment)
        Console().print(f"nothing is missing: all {len(cells)} cells are done")
    # Whoever interrupts wants an end, also where MLflow does not answer.
    if outcome is not Outcome.INTERRUPTED:
        _print_comparison(cells, tracker.cell_runs(cells), split_hashes)
    return outcome


@dataclass(frozen=True)
class _Sweep:
    """What a run and a delivery work with.

    Attributes:
        experiment: The sweep.
        cells: All of its cells.
        storage: Where their checkpoints and journals are.
        tracker: Of the store that holds their runs.
        runs: Those that there were at the start, by key.
    """

    experiment: Experiment
    cells: Sequence[Cell]
    storage: Storage
    tracker: Tracker
    runs: dict[str, CellRun]

    def open(self) -> None:
        """Take the lease on the sweep's run in MLflow, and remember the store."""
        self.tracker.sweep.open(self.experiment, self.runs)
        self.storage.note_store(self.tracker.store.shown_uri)

    def delivery(self, say: Callable[[str], None]) -> Delivery:
        """Return what writes to MLflow, and shows its troubles by `say`."""
        return Delivery(
            self.tracker,
            warm_up=warm_up,
            known=self.runs,
            data_dir=self.experiment.data_dir,
            storage=self.storage,
            sweep=self.experiment.name,
            say=say,
        )


def _run(sweep: _Sweep, interruption: Interruption) -> Outcome:
    outcome = Outcome.INCOMPLETE
    log = sweep.storage.new_log(sweep.experiment.name)
    with output_to(log) as console:
        console.print(f"log: {log}", soft_wrap=True)
        if ray_address() is None:
            # The workers would do it, too, each node for itself; but here a damaged image is said before they start.
            _decode(pending_cells(sweep.cells, sweep.runs), sweep.experiment, console)
        try:
            sweep.open()
            outcome = _train(sweep, interruption, console)
        finally:
            sweep.tracker.sweep.close(complete=outcome is Outcome.DONE)
    return outcome


def _train(sweep: _Sweep, interruption: Interruption, console: Console) -> Outcome:
    # Ray takes seconds to import, which a sweep that has nothing to do need not pay.
    from orchestrator.sweep.cluster import joined_or_started
    from orchestrator.sweep.tuner import run_cells

    experiment, cells, pending = sweep.experiment, sweep.cells, pending_cells(sweep.cells, sweep.runs)
    num_done, epochs = len(cells) - len(pending), sum(cell.train.epochs for cell in pending)
    with joined_or_started(experiment.resources) as layout:
        planned = plan_lines(make_plan(experiment, cells, sweep.runs, layout), experiment)
        console.print(Text("\n".join(planned), overflow="fold"))
        _warn_of_lost_storage(console, sweep.storage)
        progress = Progress(console, total=len(cells), done=num_done, epochs=epochs)
        delivery = sweep.delivery(progress.say)
        with delivery, progress:
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
        _say_undelivered(console, delivery.undelivered)
        if ending.interrupted:
            done = f"{num_done + len(ending.done)} of {counted(len(cells), 'cell')} done"
            progress.say(f"interrupted: {done}; the same command goes on", style="")
            return Outcome.INTERRUPTED
    return Outcome.INCOMPLETE if ending.failed or delivery.undelivered else Outcome.DONE


def deliver_waiting(experiment: Experiment, cells: Sequence[Cell], storage: Storage, tracker: Tracker) -> Outcome:
    """Deliver to MLflow what it did not take while the cells were trained."""
    # Before the runs: a cell that is finished meanwhile, from another storage, has no journal after that.
    journals = {cell: journal.read(storage.cell(cell.key).path) for cell in cells}
    runs = tracker.cell_runs(cells)
    finished = {key for key, run in runs.items() if run.status == "done"}
    journals = {cell: events for cell, events in journals.items() if cell.key not in finished}
    if storage.stores() in ([], [tracker.store.shown_uri]):
        # Finished meanwhile, from another storage: MLflow needs nothing more of it; but another store might.
        for key in finished:
            storage.cell(key).shrink()
    waiting = {cell: events for cell, events in journals.items() if events}
    untold = [cell for cell, events in journals.items() if not events and storage.cell(cell.key).result.exists()]
    if untold:
        what = f"missing in MLflow: {counted(len(untold), 'trained cell')}"
        Console().print(f"{what}: zetasweep run delivers from the checkpoints, without training", soft_wrap=True)
    if not waiting:
        Console().print("nothing waits to be delivered")
        return Outcome.INCOMPLETE if untold else Outcome.DONE
    undelivered = _deliver(_Sweep(experiment, cells, storage, tracker, runs), waiting)
    return Outcome.INCOMPLETE if undelivered or untold else Outcome.DONE


def _deliver(sweep: _Sweep, waiting: Mapping[Cell, Sequence[TrackedEvent]]) -> dict[str, str]:
    """Deliver the events that wait; return why MLflow did not take some, by key of their cells."""
    complete = False
    with output_to(sweep.storage.new_log(sweep.experiment.name)) as console:
        try:
            sweep.open()
            with sweep.delivery(lambda line: print_lines(console, [line])) as delivery:
                for cell, events in waiting.items():
                    for event in events:
                        delivery.deliver(cell, event)
                    if not isinstance(events[-1], ClosingEvent):
                        delivery.tell(cell, Interrupted())
            console.print(f"delivered: {len(waiting) - len(delivery.undelivered)} of {counted(len(waiting), 'cell')}")
            _say_undelivered(console, delivery.undelivered)
            after = sweep.tracker.cell_runs(sweep.cells)
            complete = not delivery.undelivered and not pending_cells(sweep.cells, after)
        finally:
            sweep.tracker.sweep.close(complete=complete)
    return delivery.undelivered


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
