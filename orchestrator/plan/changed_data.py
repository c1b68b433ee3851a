"""Whether finished cells saw the images that are there now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from orchestrator.amounts import counted
from orchestrator.experiment import Cell, DatasetSpec, Experiment
from orchestrator.plan.images import pixel_hash_of
from orchestrator.plan.inputs import DataFound
from orchestrator.records import ANEW, CellRun

_REMEDY = f"restore them, or {ANEW}"


def as_decoded(data: Mapping[DatasetSpec, DataFound], experiment: Experiment) -> dict[DatasetSpec, DataFound]:
    """Return `data` with the hash of the pixels of those that have been decoded since."""
    return {
        spec: now if now.pixel_hash is not None else replace(now, pixel_hash=pixel_hash_of(spec, experiment))
        for spec, now in data.items()
    }


def other_data(
    cells: Sequence[Cell], runs: Mapping[str, CellRun], data: Mapping[DatasetSpec, DataFound]
) -> Iterator[str]:
    """Yield a warning for each data set that finished cells saw with other names, labels or pixels than it has now.

    Where the images that are there now have not been decoded, it says that their pixels are not compared.

    Args:
        cells: All cells of the experiment.
        runs: Their tracked runs.
        data: What `check_inputs` returned.
    """
    seen: dict[DatasetSpec, list[CellRun]] = {}
    for cell in cells:
        if (run := runs.get(cell.key)) is not None and run.has_result:
            seen.setdefault(cell.dataset, []).append(run)
    for spec, now in data.items():
        other: list[CellRun] = []
        same: list[CellRun] = []
        for run in seen.get(spec, ()):
            differs = now.split_hash is not None and run.split_hash not in (None, now.split_hash)
            (other if differs else same).append(run)
        if other:
            yield f"{_finished(other, spec)} saw other images or labels than are there now: {_REMEDY}"
        known = [run for run in same if run.pixel_hash is not None]
        if now.pixel_hash is None and known:
            yield (
                f"whether {_finished(known, spec)} saw the pixels that are there now is not known: these images are "
                "not decoded on this machine; zetasweep data prepare does so"
            )
        elif changed := [run for run in known if run.pixel_hash != now.pixel_hash]:
            yield f"{_finished(changed, spec)} saw other pixels under the same names than are there now: {_REMEDY}"


def _finished(runs: Sequence[CellRun], spec: DatasetSpec) -> str:
    return f"{counted(len(runs), 'finished cell')} of {spec.label}"
