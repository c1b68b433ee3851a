"""When it is kept what a sweep says: with the last cell of a column, and at the end."""

from __future__ import annotations

import io
from pathlib import Path
from typing import cast

from rich.console import Console
from sweep_samples import DIGITS, ERM, MIXUP, make_cells, make_run

from orchestrator.errors import TrackingError
from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.experiment.settings import Experiment
from orchestrator.records import CellRun
from orchestrator.results import Answer
from orchestrator.storage import Storage
from orchestrator.sweep.answering import Answering
from orchestrator.tracking import Tracker

SMALL = DatasetSpec.model_validate({"name": "digits", "num_train": 100})
LABELS = (DIGITS.label, SMALL.label)
CELLS = make_cells(ERM, MIXUP, seeds=(0, 1), datasets=[DIGITS, SMALL])


class KeepingTracker:
    """Stands in for a store, with what a sweep says in it."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.runs: dict[str, CellRun] = {}
        self.kept: list[Answer] = []
        self._refuses = refuses

    @property
    def store(self) -> object:
        raise TrackingError("no predictions")

    @property
    def sweep(self) -> KeepingTracker:
        return self

    def cell_runs(self, _: object) -> dict[str, CellRun]:
        return dict(self.runs)

    def log_answer(self, said: Answer) -> None:
        if self._refuses:
            raise TrackingError("no artifacts\nwith details")
        self.kept.append(said)


def of(tracker: KeepingTracker, runs: dict[str, CellRun]) -> Answering:
    experiment = Experiment(
        name="sample",
        dataset=(DIGITS, SMALL),
        model=("convnet",),
        augment=(ERM, MIXUP),
        seed=(0, 1),
        file=Path("sample.yaml"),
    )
    return Answering(experiment, lambda: CELLS, Storage(Path("nowhere")), cast(Tracker, tracker), runs)


def finish(tracker: KeepingTracker, answering: Answering, number: int) -> None:
    cell = CELLS[number]
    tracker.runs[cell.key] = make_run(cell, {"test/error": 0.1 + number / 100})
    answering.delivered(cell)


def test_it_is_kept_with_each_column_and_at_the_end() -> None:
    tracker = KeepingTracker()
    first = make_run(CELLS[0], {"test/error": 0.1})
    tracker.runs = {first.key: first}
    answering = of(tracker, dict(tracker.runs))
    numbers = {label: [n for n, cell in enumerate(CELLS) if cell.dataset.label == label] for label in LABELS}
    one, two = numbers.values()
    for number in one[1:-1]:
        finish(tracker, answering, number)
    assert not tracker.kept, "the first column lacks a cell"
    finish(tracker, answering, one[-1])
    assert len(tracker.kept) == 1
    console = Console(file=io.StringIO())
    answering.keep(console)
    assert len(tracker.kept) == 1, "it says the same"
    for number in two:
        finish(tracker, answering, number)
    answering.keep(console)
    assert len(tracker.kept) == 2


def test_a_refusal_stops_nothing_and_is_said_at_the_end() -> None:
    tracker = KeepingTracker(refuses=True)
    answering = of(tracker, {})
    for number in range(len(CELLS)):
        finish(tracker, answering, number)
    shown = Console(file=io.StringIO(), width=200)
    answering.keep(shown)
    assert "MLflow: the sweep's description is not kept: no artifacts" in cast(io.StringIO, shown.file).getvalue()
