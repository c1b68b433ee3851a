"""Whether the disks have room for what the missing cells write."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from orchestrator.amounts import bytes_text
from orchestrator.doctor.finding import Finding, Line
from orchestrator.errors import UserError
from orchestrator.experiment import Cell, Experiment
from orchestrator.folders import by_disk, nearest_folder
from orchestrator.plan import Layout, make_plan
from orchestrator.records import CellRun

# Logs, Ray's session and MLflow's uploads, beside what can be computed.
FREE_BYTES = 10**9


def examine_disk(
    experiment: Experiment, cells: Sequence[Cell], runs: Mapping[str, CellRun], placed: Layout | None
) -> Iterator[Line]:
    """Compare what is free with what the cells that are missing take at most.

    Args:
        experiment: Says where.
        cells: All.
        runs: What is known of them; without it, all count as missing.
        placed: Where they would be placed; None counts one slot.
    """
    # Of objects, what is copied while it is written goes below the caches.
    storage = experiment.storage if isinstance(experiment.storage, Path) else experiment.cache.dir
    needed = {storage: 0, experiment.cache.dir: 0, Path(tempfile.gettempdir()): 0}
    try:
        plan = make_plan(experiment, cells, runs, placed or Layout(slots=1, nodes=()))
    except UserError:
        pass  # `examine_inputs` has said it
    else:
        needed[storage] += plan.disk_peak_bytes
        needed[experiment.cache.dir] += plan.cache_bytes
    for paths in by_disk(needed):
        free = shutil.disk_usage(nearest_folder(paths[0])).free
        wanted = sum(needed[path] for path in paths) + FREE_BYTES
        needs = f"at most {bytes_text(wanted)} needed, {bytes_text(FREE_BYTES)} of it for logs and Ray's own files"
        where = f"{', '.join(map(str, paths))}: {bytes_text(free)} free, {needs}"
        yield f"disk: {where}"
        if free < wanted:
            yield Finding("the disk may become full", where, "make room, or name others with -o storage= or cache.dir=")
