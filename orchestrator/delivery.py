"""Delivers a sweep's results to MLflow from a thread of its own, so that no training waits for it."""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator import audit
from orchestrator.records import CellRun, EpochResult
from orchestrator.train import CellResult

if TYPE_CHECKING:
    from orchestrator.cells import Cell
    from orchestrator.storage import Storage
    from orchestrator.tracking import Tracker

# About a tenth of the share of a worker on the same core.
NICENESS = 10

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Call:
    cell: Cell
    write: Callable[[], None]


class Delivery:
    """Writes what it is told, in order. Use it as a context manager; leaving it waits until everything is written.

    A cell whose writes fail is given up for this sweep and the others go on: its results are in its checkpoint, and
    the next sweep finds its run unfinished and replays them.

    Args:
        tracker: Where the results go; its sweep is open.
        warm_up: What the thread does before the first result comes.
        known: The runs that cells already have, by key.
        data_dir: Where the data sets are.
        storage: Where the checkpoints are.
        sweep: The sweep's name.
    """

    def __init__(
        self,
        tracker: Tracker,
        *,
        warm_up: Callable[[], None],
        known: dict[str, CellRun],
        data_dir: Path,
        storage: Storage,
        sweep: str,
    ) -> None:
        self._tracker, self._warm_up, self._known, self._sweep = tracker, warm_up, known, sweep
        self._data_dir, self._storage = data_dir, storage
        self._facts: dict[str, dict[str, Any]] = {}
        self._queue: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="delivery", daemon=True)
        self.undelivered: dict[str, str] = {}

    def __enter__(self) -> Delivery:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._queue.put(None)
        self._thread.join()

    def start(self, cell: Cell) -> None:
        """Open the cell's run."""
        self._put(cell, lambda: self._tracker.start_cell(cell, self._known.get(cell.key), sweep=self._sweep))

    def facts(self, cell: Cell, facts: dict[str, Any]) -> None:
        """Log what the cell runs on and with which data."""
        self._facts[cell.key] = facts
        self._put(cell, lambda: self._tracker.log_facts(cell, facts, data_dir=self._data_dir))

    def epoch(self, cell: Cell, result: EpochResult) -> None:
        """Log one epoch; with the first, the audit of the augmentation."""
        if result.epoch == 1:
            folder = self._storage.cells_dir / cell.key / audit.FOLDER
            self._put(cell, lambda: self._tracker.log_audit(cell, folder, timestamp_ms=result.timestamp_ms))
        self._put(cell, lambda: self._tracker.log_epoch(cell, result))

    def finish(self, cell: Cell, result: CellResult) -> None:
        """Log the test result and the model, and end the run; then its checkpoint shrinks to the best weights."""
        facts, checkpoint_dir = self._facts[cell.key], self._storage.cells_dir / cell.key

        def write() -> None:
            self._tracker.finish_cell(cell, result, facts, checkpoint_dir=checkpoint_dir)
            self._storage.shrink(cell.key)

        self._put(cell, write)

    def fail(self, cell: Cell, reason: str) -> None:
        """End the run as failed."""
        self._put(cell, lambda: self._tracker.fail_cell(cell, reason))

    def interrupt(self, cell: Cell) -> None:
        """End the run as interrupted."""
        self._put(cell, lambda: self._tracker.interrupt_cell(cell))

    def _put(self, cell: Cell, write: Callable[[], None]) -> None:
        self._queue.put(_Call(cell, write))

    def _run(self) -> None:
        if sys.platform == "linux":
            # Exporting a model takes seconds of a core that a worker may be training on; here a thread has its own
            # priority, elsewhere it would be the whole driver's.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        try:
            # While the workers start, and not while they train the second cell.
            self._warm_up()
        except Exception:
            logger.exception("the warm-up failed; the first model will be logged more slowly, or show why it cannot")
        while (call := self._queue.get()) is not None:
            if call.cell.key in self.undelivered:
                continue
            try:
                call.write()
            except Exception as error:
                # Whatever goes wrong with one cell's tracking must not end the sweep; it is said at the end.
                logger.exception("MLflow did not take a result of %s", call.cell.label)
                self.undelivered[call.cell.key] = (str(error).splitlines() or [type(error).__name__])[0]
