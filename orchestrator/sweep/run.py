"""The two ways to work on a sweep: to run what is missing, and to deliver what MLflow did not take."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from orchestrator.amounts import counted
from orchestrator.costs import Estimates, Price
from orchestrator.errors import TrackingError, UserError
from orchestrator.experiment import Cell, DatasetSpec, Experiment
from orchestrator.plan import DataFound, as_decoded, other_data
from orchestrator.records import ClosingEvent, Interrupted, Outcome, Stopped, TrackedEvent
from orchestrator.results import Names, costs_of_rows, render
from orchestrator.storage import BEST, RESULT, Storage, journal
from orchestrator.sweep.interruption import Interruption
from orchestrator.sweep.output import output_to
from orchestrator.sweep.started import StartedSweep, log_kept, say_undelivered, under_way
from orchestrator.terminal import new_console, print_lines
from orchestrator.tracking import Tracker, compared, of_other_code
from orchestrator.train import with_stored
from orchestrator.waiting import waiting_for

WHY_AND_AGAIN = "zetasweep status says why, the same command with --retry trains them again"


def run_missing(
    experiment: Experiment,
    cells: Sequence[Cell],
    storage: Storage,
    tracker: Tracker,
    *,
    data: Mapping[DatasetSpec, DataFound],
    above: Sequence[str] = (),
    known: Callable[[], Estimates | None] = lambda: None,
    price: Price | None = None,
    retry: bool = False,
) -> Outcome:
    """Run the cells that are not done and print the comparison, unless it is interrupted.

    Args:
        experiment: The sweep.
        cells: All of its cells.
        storage: Where the checkpoints are.
        tracker: Of the store that holds the runs.
        data: The data sets as they are now, from `check_inputs`.
        above: Lines above the comparison.
        known: Returns what is known of how long its cells take; asked if some are trained.
        price: Of an hour; None if nobody asked.
        retry: Whether a race trains again what failed; cells of a sweep without one always are.

    Raises:
        UserError: The layout does not fit on the cluster, the cluster cannot be joined, or another sweep is at work on
            the same cells.
        SweepError: Storage does not answer any more, or another sweep has taken it over, while this one is at work.
    """
    sweep = replace(StartedSweep.of(experiment, cells, storage, tracker, retry=retry), known=known, price=price)
    if other := of_other_code(tracker.store, sweep.cells):
        new_console().print(f"note: {other}", soft_wrap=True)
    outcome = Outcome.DONE
    if sweep.pending:
        with Interruption() as interruption:
            # Ray takes seconds to import, which a sweep that has nothing to do need not pay; an installation where that
            # fails ends here, before an image is decoded or the lease is taken.
            with waiting_for("Ray to be loaded"):
                from orchestrator.sweep.driver import run_pending

            outcome = run_pending(sweep, data, interruption)
    else:
        if sweep.is_done:
            tracker.sweep.mend(experiment)
        new_console().print(_nothing_missing(sweep), soft_wrap=True)
        _make_up_for(sweep)
        if not sweep.is_done:
            outcome = Outcome.INCOMPLETE
    # Whoever interrupts wants an end, also where MLflow does not answer.
    if outcome is not Outcome.INTERRUPTED:
        print_lines(new_console(), above, style="bold")
        with under_way():
            _print_comparison(sweep, data)
    return outcome


def _nothing_missing(sweep: StartedSweep) -> str:
    """Return why nothing is trained."""
    if sweep.search is None:
        return f"nothing is missing: all {len(sweep.cells)} cells are done"
    followed, cells = sweep.search.followed, counted(len(sweep.cells), "cell")
    trained, _, of_grid = followed.epochs
    failed = [cell for cell in sweep.cells if cell.key in sweep.runs and sweep.runs[cell.key].status == "failed"]
    lost = f"; {counted(len(failed), 'cell')} failed, and came last: {WHY_AND_AGAIN}" if failed else ""
    return f"nothing is missing: the search is over, {cells}, {trained:,} epochs of the grid's {of_grid:,}{lost}"


def _make_up_for(sweep: StartedSweep) -> None:
    """Have MLflow what it lacks although nothing is left to train: models, links, and what the sweep says."""
    console, tracker = new_console(), sweep.tracker
    try:
        says_so = tracker.sweep.says(sweep.experiment, sweep.answering.current())
        has_links = not tracker.lacks_links(sweep.experiment, sweep.cells, sweep.runs)
        lacking, lost = sweep.exporting.lacking()
        if says_so and has_links and not lacking:
            sweep.exporting.tell_lost(lost, console)
            return
        sweep.open(console)
        sweep.finish(console)
    except (UserError, TrackingError) as error:
        # The table is complete all the same.
        print_lines(console, [f"MLflow: no models, links or description: {error.in_one_line}"], style="yellow")
    finally:
        sweep.tracker.sweep.close(complete=sweep.is_done)


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
    with storage.glance():
        journals = {cell: journal.read(storage.cell(cell.key)) for cell in cells}
    tracker = connect() if store_is_there or any(journals.values()) else None
    runs = tracker.cell_runs(cells) if tracker else {}
    finished = {key for key, run in runs.items() if run.status == "done"}
    journals = {cell: events for cell, events in journals.items() if cell.key not in finished}
    if tracker and storage.stores() in ([], [tracker.store.shown_uri]):
        # Finished meanwhile, from another storage: MLflow needs nothing more of it; but another store might.
        with storage.glance():
            left = [
                folder
                for folder in map(storage.cell, finished)
                if folder.exists and (folder.needless() or not folder.has(BEST))
            ]
        for folder in left:
            folder.shrink()
    waiting = {cell: events for cell, events in journals.items() if events}
    with storage.glance():
        untold = [cell for cell, events in journals.items() if not events and storage.cell(cell.key).has(RESULT)]
    if untold:
        what = f"missing in MLflow: {counted(len(untold), 'trained cell')}"
        delivers = f"{experiment.trained_by} delivers from the checkpoints, without training"
        new_console().print(f"{what}: {delivers}", soft_wrap=True)
    if tracker is None or not waiting:
        new_console().print("nothing waits to be delivered")
        return Outcome.INCOMPLETE if untold else Outcome.DONE
    undelivered = _deliver(StartedSweep(experiment, cells, storage, tracker, runs), waiting)
    return Outcome.INCOMPLETE if undelivered or untold else Outcome.DONE


def _deliver(sweep: StartedSweep, waiting: Mapping[Cell, Sequence[TrackedEvent]]) -> dict[str, str]:
    """Deliver the events that wait; return why MLflow did not take some, by key of their cells."""
    complete = False
    log = sweep.storage.new_log(sweep.experiment.name)
    with log_kept(sweep.storage, log), output_to(log) as console:
        try:
            sweep.open(console)
            with under_way(), sweep.delivery(lambda line: print_lines(console, [line])) as delivery:
                for cell, events in waiting.items():
                    for event in events:
                        delivery.deliver(cell, event)
                    if not isinstance(events[-1], ClosingEvent | Stopped):
                        delivery.tell(cell, Interrupted())
            console.print(f"delivered: {len(waiting) - len(delivery.undelivered)} of {counted(len(waiting), 'cell')}")
            say_undelivered(console, delivery)
            # With what MLflow has now: a race may be further by that.
            with under_way():
                after = StartedSweep.of(sweep.experiment, sweep.listed, sweep.storage, sweep.tracker)
                after.finish(console)
            complete = not delivery.undelivered and after.is_done
        finally:
            sweep.tracker.sweep.close(complete=complete)
    return delivery.undelivered


def _print_comparison(sweep: StartedSweep, data: Mapping[DatasetSpec, DataFound]) -> None:
    """Print what the sweep says by now."""
    console, cells = new_console(), sweep.cells
    runs = with_stored(cells, sweep.storage, sweep.tracker.cell_runs(cells))
    comparison = compared(
        sweep.experiment, cells, runs, sweep.storage, lambda: sweep.tracker, is_look=True, races=sweep.races
    )
    names, now = Names(sweep.experiment.names), as_decoded(data, sweep.experiment)
    console.print(render(comparison, "table", names=names))
    print_lines(console, costs_of_rows(comparison, cells, runs, names=names, pays=sweep.paid))
    print_lines(console, (f"warning: {warning}" for warning in other_data(cells, runs, now)), style="yellow")
