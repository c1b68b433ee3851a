"""Real cells with made-up runs, for the tests of what reads finished sweeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.experiment.augment_spec import AugmentSpec
from orchestrator.experiment.cells import Cell, expand
from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.experiment.settings import Experiment
from orchestrator.records import CellRun, CellStatus

ERM = AugmentSpec(name="erm")
MIXUP = AugmentSpec(name="mixup", params={"alpha": 1.0})
ZETA = AugmentSpec(name="zeta_mixup", params={"gamma": 2.8, "num_mixed": 4})
ZETA_BATCH = AugmentSpec(name="zeta_mixup", params={"gamma": 2.8, "num_mixed": 64})
DIGITS = DatasetSpec.model_validate({"name": "digits"})


def make_cells(
    *augments: AugmentSpec,
    seeds: Sequence[int] = (0, 1, 2),
    datasets: Sequence[DatasetSpec] = (DIGITS,),
    models: Sequence[str] = ("convnet",),
) -> list[Cell]:
    experiment = Experiment(
        name="sample",
        dataset=tuple(datasets),
        model=tuple(models),
        augment=augments,
        seed=tuple(seeds),
        file=Path("sample.yaml"),
    )
    return expand(experiment)


def make_run(
    cell: Cell,
    metrics: Mapping[str, float],
    *,
    status: CellStatus = "done",
    epoch: int | None = 5,
    reason: str | None = None,
) -> CellRun:
    return CellRun(
        key=cell.key,
        status=status,
        run_id=f"run-{cell.augment.label}-{cell.seed}",
        metrics=dict(metrics),
        epoch=epoch,
        epochs=5,
        reason=reason,
        model_uri=f"models:/m-{cell.key}" if status == "done" else None,
    )


def runs_with(
    cells: Sequence[Cell], values: Mapping[AugmentSpec, Sequence[float]], *, metric: str = "test/error"
) -> dict[str, CellRun]:
    """Finished runs: for each augmentation its values by position of the seed; cells beyond the values have no run."""
    seeds = list(dict.fromkeys(cell.seed for cell in cells))
    runs = {}
    for cell in cells:
        position = seeds.index(cell.seed)
        if position < len(values.get(cell.augment, ())):
            runs[cell.key] = make_run(cell, {metric: values[cell.augment][position]})
    return runs


def trained_with(cells: Sequence[Cell], *, workers: int = 1, **settings: object) -> list[Cell]:
    """The same cells with other settings of ``train``."""
    return [
        cell.model_copy(update={"train": cell.train.model_copy(update=settings), "workers": workers}) for cell in cells
    ]
