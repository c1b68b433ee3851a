"""What a run of a sweep and a later delivery share: the lease, the delivery to MLflow, and what it did not take."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from rich.console import Console

from orchestrator.amounts import counted
from orchestrator.costs import Estimates, Price, money_of
from orchestrator.errors import SweepError, TrackingError, UserError, first_line
from orchestrator.experiment import Cell, Experiment
from orchestrator.plan import pending_cells
from orchestrator.racing import Course, read_at, to_the_end
from orchestrator.records import CellResult, CellRun, Paused
from orchestrator.results import Raced, races_of
from orchestrator.storage import Storage
from orchestrator.sweep.answering import Answering
from orchestrator.sweep.exporting import Exporting
from orchestrator.sweep.searching import Searching
from orchestrator.terminal import print_lines
from orchestrator.tracking import Delivery, Tracker, warm_up

logger = logging.getLogger(__name__)

# A leg of a search that was lost, e.g. with three workers: without it its rung is not decided.
TRIES_OF_LOST = 2
DELIVERS = "their results are in storage: zetasweep sync delivers them, with the same options, or the same run again"


@dataclass(frozen=True)
class StartedSweep:
    """What a run of a sweep and a delivery of what waits work with.

    Attributes:
        experiment: The sweep.
        listed: All cells that the file means; of a search those that are known from the start.
        storage: Where their checkpoints and journals are.
        tracker: Of the store that holds their runs.
        runs: Those that there were at the start, by key.
        search: Of the sweep, if it has one.
        known: Returns what is known of how long its cells take; asked if some are trained.
        price: Of an hour; None if nobody asked.
    """

    experiment: Experiment
    listed: Sequence[Cell]
    storage: Storage
    tracker: Tracker
    runs: dict[str, CellRun]
    search: Searching | None = None
    known: Callable[[], Estimates | None] = lambda: None
    price: Price | None = None

    @classmethod
    def of(
        cls, experiment: Experiment, cells: Sequence[Cell], storage: Storage, tracker: Tracker, *, retry: bool = False
    ) -> StartedSweep:
        """Return a sweep as MLflow has it now; see `Searching` for `retry`.

        Raises:
            UserError: See `Searching`.
            TrackingError: MLflow does not answer.
        """
        search = Searching(experiment, storage, tracker, retry=retry) if experiment.search is not None else None
        if search is None:
            return cls(experiment, cells, storage, tracker, tracker.cell_runs(cells))
        runs = {cell.key: search.runs[cell.key] for cell in search.followed.cells if cell.key in search.runs}
        return cls(experiment, cells, storage, tracker, runs, search)

    @property
    def cells(self) -> Sequence[Cell]:
        """All of its cells that are known now."""
        return self.listed if self.search is None else self.search.followed.cells

    @property
    def races(self) -> tuple[Raced, ...]:
        """The searches of its columns, as far as they are now."""
        return () if self.search is None else races_of(self.search.followed)

    @property
    def pending(self) -> list[Cell]:
        """Those that are to be trained now."""
        if self.search is None:
            return pending_cells(self.listed, self.runs)
        return [leg.cell for leg in self.search.followed.legs]

    @property
    def is_over(self) -> bool:
        """Whether nothing is left that would be trained, as far as it is known what has been."""
        return self.search is None or self.search.followed.is_over

    @property
    def is_done(self) -> bool:
        """Whether nothing was left at the start, and no cell had failed: one of a race is not tried again."""
        failed = (cell.key in self.runs and self.runs[cell.key].status == "failed" for cell in self.cells)
        return not self.pending and self.is_over and not any(failed)

    def done_after(self, done: Collection[str], *, trained: int) -> str:
        """Return in words how much is done: with the cells that were done in the meantime, or of a search the epochs
        that are trained now."""
        if self.search is not None:
            before, _, of_grid = self.search.followed.epochs
            return f"{max(trained, before):,} epochs of the grid's {of_grid:,} are trained"
        num_before = len(self.listed) - len(self.pending)
        return f"{num_before + len(done)} of {counted(len(self.listed), 'cell')} done"

    def course(self) -> Course:
        """Return what is to be trained, now and then."""
        if self.search is None:
            return Course(self.runs, to_the_end(self.pending))
        # It may ask for cells that other sweeps have trained.
        return Course(self.search.runs, self.search.advance, read_at=self.search.read_at, tries_of_lost=TRIES_OF_LOST)

    def open(self, console: Console) -> None:
        """Take the lease on the sweep's run in MLflow, remember the store, and say where its artifacts go."""
        self.tracker.sweep.open(self.experiment, self.runs)
        self.storage.note_store(self.tracker.store.shown_uri)
        for line, style in self.tracker.sweep.describe_artifacts(self.experiment):
            print_lines(console, [line], style=style)
        try:
            self.tracker.sweep.keep_view(self.experiment, self.cells)
        except TrackingError as error:
            print_lines(console, [f"MLflow: its UI has no view of the sweep: {error.in_one_line}"], style="yellow")

    @property
    def pays(self) -> Callable[[float], float] | None:
        """What returns the cost of so many seconds of a worker now; None if nobody asked."""
        price = self.price
        return None if price is None else lambda worker_s: price.of(worker_s, self.experiment.resources)

    @property
    def paid(self) -> Callable[[float, CellRun | None], float] | None:
        """What returns what so many seconds of a worker have cost a run, with what it had then; None likewise."""
        price = self.price
        return None if price is None else lambda s, run: money_of(price, s, run, self.experiment.resources)

    @cached_property
    def answering(self) -> Answering:
        """What keeps what the sweep says; it is `open` whenever something is kept."""
        return Answering(
            self.experiment, lambda: self.cells, self.storage, self.tracker, self.runs, races=lambda: self.races
        )

    @cached_property
    def exporting(self) -> Exporting:
        """What exports the models; it is `open` whenever one is exported."""
        return Exporting(self.experiment, lambda: self.cells, self.storage, self.tracker, self.runs)

    def finish(self, console: Console) -> None:
        """Have MLflow all that it has beside the cells: models, links, and what the sweep says; it is `open`."""
        self.exporting.make_up_for(console)
        self.link(console)
        self.log_race(console)
        self.answering.keep(console)

    def link(self, console: Console) -> None:
        """Link MLflow's experiment to the finished runs that lie in another one, and say so; it is `open`."""
        home = self.experiment.tracked_in
        try:
            runs = self.tracker.cell_runs(self.cells)
            if not self.tracker.lacks_links(self.experiment, self.cells, runs):
                return
            print_lines(console, [f"MLflow: linking {home} to finished cells that lie in other experiments ..."])
            made = self.tracker.link(self.experiment, self.cells, runs)
            print_lines(console, [f"MLflow: {counted(made, 'link')} made; zetasweep status names the cells"])
        except TrackingError as error:
            # The next run makes those that are missing.
            print_lines(console, [f"MLflow: not all links were made: {error.in_one_line}"], style="yellow")

    def log_race(self, console: Console) -> None:
        """Have MLflow what a search has decided, and say what is in the way; it is `open`."""
        try:
            if self.search is not None:
                self.search.log()
        except TrackingError as error:
            print_lines(console, [f"MLflow: not all decisions are kept: {error.in_one_line}"], style="yellow")

    def delivery(self, say: Callable[[str], None]) -> Delivery:
        """Return what writes to MLflow, and shows its troubles by `say`."""
        return Delivery(
            self.tracker,
            warm_up=warm_up if self.experiment.tracking.models != "none" else lambda: None,
            known=self.runs,
            data_dir=self.experiment.data_in,
            storage=self.storage,
            sweep=self.experiment.name,
            say=say,
            delivered=self._delivered,
            read_at=lambda cell: read_at(cell.train.epochs, self.experiment.search),
        )

    def _delivered(self, cell: Cell, event: CellResult | Paused) -> None:
        if isinstance(event, CellResult):
            self.exporting.delivered(cell, event)
            self.answering.delivered(cell)
        if self.search is not None:
            self.search.try_to_log()


def say_undelivered(console: Console, delivery: Delivery) -> None:
    """Name the cells that are not in MLflow, why, and what delivers those that MLflow did not take."""
    lines = [f"not in MLflow: cell {key}: {reason}" for key, reason in delivery.undelivered.items()]
    print_lines(console, lines, style="red")
    if delivery.undelivered.keys() - delivery.untellable:
        console.print(DELIVERS, soft_wrap=True)


@contextmanager
def under_way() -> Iterator[None]:
    """Have what goes wrong in the block, once a sweep is at work, be no mistake of the user's, who is told of those
    before anything is started.

    Raises:
        SweepError: In place of a UserError, e.g. of a bucket that does not answer, or was taken over.
    """
    try:
        yield
    except UserError as error:
        raise SweepError(error.args[0], allowed=error.allowed, remedy=error.remedy) from error


@contextmanager
def log_kept(storage: Storage, log: Path) -> Iterator[None]:
    """Have the log of a sweep be kept with its results when the block ends, where it does not lie there already."""
    try:
        yield
    finally:
        try:
            storage.keep_log(log)
        except OSError as error:
            logger.warning("the log stays in %s: %s", log, first_line(error))
