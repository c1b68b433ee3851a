"""Made-up events of a cell, for the tests of what tells MLflow."""

from __future__ import annotations

from pathlib import Path

from orchestrator.models.registry import build_model
from orchestrator.records import CellFacts, CellResult, DatasetFacts, EpochResult
from orchestrator.storage import checkpoints as checkpoint

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
    ),
)
RESULT = CellResult(
    metrics={"test/error": 0.25, "best/error": 0.2, "best/epoch": 2.0}, timestamp_ms=3_000, first_step_ms=500
)


def epoch(number: int) -> EpochResult:
    return EpochResult(epoch=number, metrics={"val/error": 0.5 / number}, timestamp_ms=1_000 * number)


def save_weights(folder: Path) -> None:
    state = build_model("convnet", num_classes=10, num_channels=1, image_size=8).state_dict()
    checkpoint.save(folder / "best.pt", {"model": state})
