"""What figures are made of, made up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sweep_samples import DIGITS, ERM, MIXUP, make_run

from orchestrator.experiment import AugmentSpec, Cell, Comparing, DatasetSpec, Experiment, expand
from orchestrator.records import EPOCH_S, EpochResult
from orchestrator.report import Material
from orchestrator.results import compare

GRID = tuple(
    AugmentSpec(name="zeta_mixup", params={"gamma": gamma, "num_mixed": num})
    for gamma in (2.0, 2.4, 2.8)
    for num in (4, 64)
)
NUM_EPOCHS = 5


def material(
    *augments: AugmentSpec,
    datasets: Sequence[DatasetSpec] = (DIGITS,),
    models: Sequence[str] = ("convnet",),
    num_seeds: int = 5,
    comparing: Comparing | None = None,
    finished: float = 1.0,
) -> Material:
    """A sweep without predictions and images; the first `finished` of its cells are done.

    Errors fall by 0.01 from row to row, and lie within 0.002 of each other in a row.
    """
    experiment = Experiment(
        name="sample",
        dataset=tuple(datasets),
        model=tuple(models),
        augment=augments or (ERM, MIXUP, *GRID),
        seed=tuple(range(num_seeds)),
        file=Path("sample.yaml"),
        compare=comparing or Comparing(),
    )
    cells = expand(experiment)
    done = cells[: round(finished * len(cells))]
    runs = {
        cell.key: replace(
            make_run(
                cell, {"test/error": (error := error_of(experiment, cell)), "best/error": error / 2, EPOCH_S: 1.0}
            ),
            split_hash="f" * 64,
            device="cpu",
            commit="c0ffee",
        )
        for cell in done
    }
    return Material(
        experiment=experiment,
        cells=cells,
        runs=runs,
        comparison=compare(cells, runs, comparing=experiment.compare, predictions=lambda *_: None),
        predictions=lambda _: None,
        curves=lambda cell: epochs() if cell.key in runs else None,
        environment={"versions": "Python 3.11.7"},
    )


def error_of(experiment: Experiment, cell: Cell) -> float:
    """The test error of a cell; seeds are drawn so that no two rows have the same spread."""
    row = experiment.augment.index(cell.augment)
    return 0.2 - 0.01 * row + 0.001 * (((cell.seed * 7 + row * 3) % 5) - 2)


def epochs() -> list[EpochResult]:
    """Epochs of one second each, with an interruption after the second."""
    return [
        EpochResult(epoch, {"val/error": 0.5 / epoch}, 1_000 * epoch + (0 if epoch < 3 else 60_000))
        for epoch in range(1, NUM_EPOCHS + 1)
    ]
