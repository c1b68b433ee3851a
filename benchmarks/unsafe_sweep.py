"""A sweep that keeps nothing: ``zetasweep run`` without checkpoints and MLflow, for `safety_cost`.

::

    python benchmarks/unsafe_sweep.py EXPERIMENT OUT

The slot, its workers, the mailbox and the training loop are those of every sweep. Where the loop saves, the weights of
the best epoch are kept in memory, since the test needs them; what would go to MLflow is dropped, but for the first step
and the end of each cell, in Unix milliseconds: they go to OUT, as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from rich.console import Console

from orchestrator.costs import TimeLeft
from orchestrator.environment import prepare_program
from orchestrator.experiment.cells import Cell, expand
from orchestrator.experiment.load import load_experiment
from orchestrator.racing import Course, to_the_end
from orchestrator.records import CellResult, Failed, TrackedEvent
from orchestrator.sweep import tuner as sweep
from orchestrator.sweep.cluster import joined_or_started
from orchestrator.sweep.interruption import Interruption
from orchestrator.sweep.output import output_to
from orchestrator.sweep.progress import Progress
from orchestrator.sweep.slot import Slot

if TYPE_CHECKING:
    from orchestrator.storage.cell_folder import CellFolder, Point
    from orchestrator.tracking.delivery import Delivery


def main() -> None:
    """Run the experiment."""
    file, out = map(Path, sys.argv[1:])
    prepare_program()
    experiment = load_experiment(file)
    cells, storage, ends = expand(experiment), experiment.kept_in, Ends()
    storage.prepare()
    replace(sweep, Slot=UnsafeSlot)
    with (
        output_to(storage.new_log(experiment.name)) as console,
        Interruption() as interruption,
        storage.scratch() as scratch,
        joined_or_started(experiment.resources) as layout,
        Progress(console, total=len(cells), done=0, left=TimeLeft(cells, slots=layout.slots)) as progress,
    ):
        outcome = sweep.run_course(
            Course({}, to_the_end(cells)),
            experiment=experiment,
            storage=storage,
            scratch=scratch,
            layout=layout,
            proof=None,
            slots=layout.slots,
            is_open=False,
            delivery=cast("Delivery", ends),
            progress=progress,
            interruption=interruption,
        )
    if len(outcome.done) != len(cells):
        sys.exit("error: not every cell was trained")
    if kept := [cell.label for cell in cells if storage.cell(cell.key).best.exists()]:
        sys.exit(f"error: {kept[0]} is on the disk: this would be a sweep that keeps everything")
    out.write_text(json.dumps(ends.found), encoding="utf-8")


def replace(module: ModuleType, **ours: object) -> None:
    """Put ours in place of what a module has under these names.

    Raises:
        AttributeError: It has not: this benchmark measures nothing any more.
    """
    for name, value in ours.items():
        getattr(module, name)
        setattr(module, name, value)


class Ends:
    """Takes what a sweep tells its delivery, and remembers when each cell began and ended."""

    def __init__(self) -> None:
        self.found: list[tuple[int | None, int]] = []

    def tell(self, cell: Cell, event: TrackedEvent) -> None:
        """Remember the times of a result, and say why a cell failed."""
        if isinstance(event, CellResult):
            self.found.append((event.first_step_ms, event.timestamp_ms))
        elif isinstance(event, Failed):
            Console(stderr=True).print(event.reason)


class UnsafeSlot(Slot):
    """A slot whose workers save nothing."""

    def _start(self) -> None:
        from orchestrator.sweep import group

        # In the slot's own process: Ray Train sends the function from here to the workers.
        replace(group, work=work_unsafely)
        super()._start()


def work_unsafely(config: dict[str, Any]) -> None:
    """Train cells as every worker does, with checkpoints that stay in memory."""
    from orchestrator.sweep import worker
    from orchestrator.train import cell as train

    replace(train, Checkpoints=InMemory)
    worker.work(config)


class InMemory:
    """In place of `orchestrator.storage.checkpoints.Checkpoints`: keeps a copy of the state of the best epoch."""

    def __init__(self, folder: CellFolder) -> None:
        self.folder = folder
        self._best: tuple[Path, dict[str, Any]] | None = None

    def save(self, point: Point, state: dict[str, Any], *, best_epoch: int | None) -> None:
        """Keep it, if it is the best."""
        if point.epoch == best_epoch:
            # The state holds the tensors that the next step changes.
            model = {name: tensor.detach().clone() for name, tensor in state["model"].items()}
            self._best = (self.folder.point(point), {"model": model})

    def load(self, path: Path) -> dict[str, Any] | None:
        """Return what was kept as this file."""
        return self._best[1] if self._best is not None and self._best[0] == path else None

    def newest_first(self) -> Iterator[tuple[Point, dict[str, Any]]]:
        """There is nothing to go on from."""
        return iter(())

    def finish(self, best: dict[str, Any], result: dict[str, Any]) -> None:
        """Drop it."""

    def forget_points(self) -> None:
        """Drop it."""

    def remove_temporaries(self) -> None:
        """There is nothing to remove."""


if __name__ == "__main__":
    main()
