"""The two ways to work on a sweep: to run what is missing, and to deliver what MLflow did not take."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from orchestrator.amounts import counted
from orchestrator.errors import TrackingError, UserError
from orchestrator.experiment import Cell, DatasetSpec, Experiment
from orchestrator.plan import DataFound, other_data, pending_cells
from orchestrator.records import CellRun, ClosingEvent, Interrupted, Outcome, TrackedEvent
from orchestrator.results import compare, render
from orchestrator.storage import Storage, journal
from orchestrator.sweep.interruption import Interruption
from orchestrator.sweep.output import output_to
from orchestrator.sweep.started import StartedSweep, say_undelivered
from orchestrator.terminal import new_console, print_lines
from orchestrator.tracking import Tracker
from orchestrator.train import with_stored
from orchestrator.waiting import waiting_for


def run_missing(
    experiment: Experiment,
    cells: Sequence[Cell],
    storage: Storage,
    tracker: Tracker,
    *,
    data: Mapping[DatasetSpec, DataFound],
) -> Outcome:
    """Run the cells that are not done and print the comparison, unless it is interrupted.

    Args:
        experiment: The sweep.
        cells: All of its cells.
        storage: Where the checkpoints are.
        tracker: Of the store that holds the runs.
        data: The data sets as they are now, from `check_inputs`.

    Raises:
        UserError: The layout does not fit on the cluster, the cluster cannot be joined, or another sweep is at work on
            the same cells.
    """
    runs = tracker.cell_runs(cells)
    outcome = Outcome.DONE
    if pending_cells(cells, runs):
        with Interruption() as interruption:
            # Ray takes seconds to import, which a sweep that has nothing to do need not pay; an installation where that
            # fails ends here, before an image is decoded or the lease is taken.
            with waiting_for("Ray to be loaded"):
                from orchestrator.sweep.driver import run_pending

            outcome = run_pending(StartedSweep(experiment, cells, storage, tracker, runs), data, interruption)
    else:
        tracker.sweep.mend(experiment)
        new_console().print(f"nothing is missing: all {len(cells)} cells are done")
        if tracker.lacks_links(experiment, cells, runs):
            _link(StartedSweep(experiment, cells, storage, tracker, runs))
    # Whoever interrupts wants an end, also where MLflow does not answer.
    if outcome is not Outcome.INTERRUPTED:
        _print_comparison(experiment, cells, with_stored(cells, storage, tracker.cell_runs(cells)), data)
    return outcome


def _link(sweep: StartedSweep) -> None:
    """Link MLflow's experiment to the cells, all done, that lie in another one."""
    console = new_console()
    try:
        sweep.open(console)
        sweep.link(console)
    except (UserError, TrackingError) as error:
        # The table is complete all the same.
        print_lines(console, [f"MLflow: no links were made: {error.in_one_line}"], style="yellow")
    finally:
        sweep.tracker.sweep.close(complete=True)


def deliver_waiting(
    experiment: Experiment,
    cells: Sequence[Cell],
    storage: Storage,
    connect: Callable[[], Tracker],
    *,
    store_is_there: bool,
) -> Outcome:
    """Deliver to MLflow what it did not take while the cells were trained.

    Args:
        experiment: The sweep.
        cells: All of its cells.
        storage: Where their results are.
        connect: Opens the MLflow store, which makes one that is not there yet: only if something is to be delivered.
        store_is_there: Whether it is there.
    """
    # Before the runs: a cell that is finished meanwhile, from another storage, has no journal after that.
    journals = {cell: journal.read(storage.cell(cell.key).path) for cell in cells}
    tracker = connect() if store_is_there or any(journals.values()) else None
    runs = tracker.cell_runs(cells) if tracker else {}
    finished = {key for key, run in runs.items() if run.status == "done"}
    journals = {cell: events for cell, events in journals.items() if cell.key not in finished}
    if tracker and storage.stores() in ([], [tracker.store.shown_uri]):
        # Finished meanwhile, from another storage: MLflow needs nothing more of it; but another store might.
        for key in finished:
            storage.cell(key).shrink()
    waiting = {cell: events for cell, events in journals.items() if events}
    untold = [cell for cell, events in journals.items() if not events and storage.cell(cell.key).result.exists()]
    if untold:
        what = f"missing in MLflow: {counted(len(untold), 'trained cell')}"
        new_console().print(f"{what}: zetasweep run delivers from the checkpoints, without training", soft_wrap=True)
    if tracker is None or not waiting:
        new_console().print("nothing waits to be delivered")
        return Outcome.INCOMPLETE if untold else Outcome.DONE
    undelivered = _deliver(StartedSweep(experiment, cells, storage, tracker, runs), waiting)
    return Outcome.INCOMPLETE if undelivered or untold else Outcome.DONE


def _deliver(sweep: StartedSweep, waiting: Mapping[Cell, Sequence[TrackedEvent]]) -> dict[str, str]:
    """Deliver the events that wait; return why MLflow did not take some, by key of their cells."""
    complete = False
    with output_to(sweep.storage.new_log(sweep.experiment.name)) as console:
        try:
            sweep.open(console)
            with sweep.delivery(lambda line: print_lines(console, [line])) as delivery:
                for cell, events in waiting.items():
                    for event in events:
                        delivery.deliver(cell, event)
                    if not isinstance(events[-1], ClosingEvent):
                        delivery.tell(cell, Interrupted())
            console.print(f"delivered: {len(waiting) - len(delivery.undelivered)} of {counted(len(waiting), 'cell')}")
            say_undelivered(console, delivery)
            sweep.link(console)
            after = sweep.tracker.cell_runs(sweep.cells)
            complete = not delivery.undelivered and not pending_cells(sweep.cells, after)
        finally:
            sweep.tracker.sweep.close(complete=complete)
    return delivery.undelivered


def _print_comparison(
    experiment: Experiment, cells: Sequence[Cell], runs: Mapping[str, CellRun], data: Mapping[DatasetSpec, DataFound]
) -> None:
    console = new_console()
    console.print(render(compare(cells, runs, comparing=experiment.compare), "table"))
    print_lines(console, (f"warning: {warning}" for warning in other_data(cells, runs, data)), style="yellow")
