"""What finished cells took of the devices, as far as their runs say it without being asked for every epoch."""

from __future__ import annotations

from orchestrator.experiment import Cell
from orchestrator.records import CellRun

IMAGES_PER_S = "train/images_per_s"


def worker_seconds(cell: Cell, run: CellRun | None) -> float | None:
    """Return for how long the workers of a finished cell were at work, together; None if that is not known.

    From its first step to the end of its test. Of one that was interrupted the run knows when the process that
    finished it began: then it is at least what all epochs take at the speed of the last one, without validation.
    """
    if run is None or not run.has_result:
        return None
    known = []
    if run.first_step_ms is not None and run.ended_ms is not None:
        known.append((run.ended_ms - run.first_step_ms) / 1000)
    images_per_s, images = run.metrics.get(IMAGES_PER_S), run.num_images.get("train")
    if images_per_s and images:
        known.append(cell.train.epochs * images / images_per_s)
    return max(known) * cell.workers if known else None
