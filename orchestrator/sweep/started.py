"""What a run of a sweep and a later delivery share: the lease, the delivery to MLflow, and what it did not take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console

from orchestrator.amounts import counted
from orchestrator.errors import TrackingError
from orchestrator.experiment import Cell, Experiment
from orchestrator.records import CellRun
from orchestrator.storage import Storage
from orchestrator.terminal import print_lines
from orchestrator.tracking import Delivery, Tracker, warm_up

DELIVERS = "their results are in storage: zetasweep sync delivers them, with the same options, or the same run again"


@dataclass(frozen=True)
class StartedSweep:
    """What a run of a sweep and a delivery of what waits work with.

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

    def open(self, console: Console) -> None:
        """Take the lease on the sweep's run in MLflow, remember the store, and say where its artifacts go."""
        self.tracker.sweep.open(self.experiment, self.runs)
        self.storage.note_store(self.tracker.store.shown_uri)
        for line, style in self.tracker.sweep.describe_artifacts(self.experiment):
            print_lines(console, [line], style=style)

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


def say_undelivered(console: Console, delivery: Delivery) -> None:
    """Name the cells that are not in MLflow, why, and what delivers those that MLflow did not take."""
    lines = [f"not in MLflow: cell {key}: {reason}" for key, reason in delivery.undelivered.items()]
    print_lines(console, lines, style="red")
    if delivery.undelivered.keys() - delivery.untellable:
        console.print(DELIVERS, soft_wrap=True)
