"""Made-up events of a cell, for the tests of what tells MLflow."""

from __future__ import annotations

import socket
from dataclasses import asdict
from pathlib import Path

from orchestrator.experiment import Resources
from orchestrator.experiment.cells import Cell
from orchestrator.models.registry import build_model
from orchestrator.records import EPOCH_S, CellFacts, CellResult, DatasetFacts, EpochResult
from orchestrator.storage import CellFolder
from orchestrator.storage import checkpoints as checkpoint
from orchestrator.tracking.tracker import Tracker

FACTS = CellFacts(
    device="cpu",
    world_size=1,
    backend="torch",
    feed="resident",
    dataset=DatasetFacts(
        name="digits",
        split_hash="0" * 64,
        num_train=10,
        num_val=2,
        num_test=3,
        num_channels=1,
        image_size=8,
        class_names=tuple(str(digit) for digit in range(10)),
        mean=(0.3,),
        std=(0.4,),
        groups="none",
        unmeasured="no test image of 7",
        pixel_hash="0a1b2c3d",
    ),
    weights="24 of 26 tensors taken",
    host=socket.gethostname(),
    layout=Resources(slots=1).layout,
)
RESULT = CellResult(
    metrics={"test/error": 0.25, "best/error": 0.2, "best/epoch": 2.0}, timestamp_ms=3_000, first_step_ms=500
)


def epoch(number: int) -> EpochResult:
    metrics = {"val/error": 0.5 / number, EPOCH_S: 0.75}
    return EpochResult(epoch=number, metrics=metrics, timestamp_ms=1_000 * number)


def save_weights(folder: Path, data: DatasetFacts = FACTS.dataset) -> None:
    state = build_model("convnet", num_classes=10, num_channels=1, image_size=8).state_dict()
    checkpoint.save(folder / "best.pt", {"model": state, "epoch": 2, "data": asdict(data)})


def export(tracker: Tracker, cell: Cell, folder: Path) -> str:
    """Export the model of a cell that is finished; return its address."""
    return tracker.export_model(cell, tracker.run_id_of(cell), CellFolder(folder))


def finish(tracker: Tracker, cell: Cell, folder: Path, *, facts: CellFacts = FACTS) -> None:
    """Have a cell finished: a slot got it at 0.1 s, steps began at 0.5 s, epochs ended at 1 and 2 s, its test at 3."""
    tracker.open_cell(cell, None, sweep="sample", timestamp_ms=100)
    tracker.log_started(cell, facts, data_dir=folder)
    for number in (1, 2):
        tracker.log_epoch(cell, epoch(number))
    save_weights(folder)
    tracker.finish_cell(cell, RESULT, facts, folder=CellFolder(folder))
