"""What a shell has trained, and MLflow lacks, is known to whoever looks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import Answer, Call

from orchestrator.experiment.cells import Cell, expand
from orchestrator.experiment.load import load_experiment
from orchestrator.storage import CellFolder
from orchestrator.train import __main__ as train_cli
from orchestrator.train import printed

EXPERIMENT = """
name: by-hand
dataset: {digits: {num_train: 300}}
model: convnet
augment: [erm, {mixup: {alpha: 1.0}}, {mixup: {alpha: 0.5}}]
train: {epochs: 2, batch_size_per_worker: 32}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    path = tmp_path / "by-hand.yaml"
    path.write_text(f"{EXPERIMENT}storage: {tmp_path / 'runs'}\n")
    return path


@pytest.fixture
def cells(file: Path) -> list[Cell]:
    """Of the experiment, the first of them trained and the second begun."""
    cells = expand(load_experiment(file))
    assert train_cli.main([str(file), "--cell", cells[0].key]) == 0

    def pull_the_plug(*_: object, **__: object) -> str:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched:
        # An epoch is told once its checkpoint is on disk.
        patched.setattr(printed, "_epoch_line", pull_the_plug)
        assert train_cli.main([str(file), "--cell", cells[1].key]) == 130
    return cells


def lines(answer: Answer) -> list[str]:
    assert "Traceback" not in answer.out + answer.err
    return [" ".join(line.split()) for line in answer.out.splitlines()]


def test_every_command_knows_them(call: Call, file: Path, cells: list[Cell], tmp_path: Path) -> None:
    shown = lines(status := call("status", file))
    assert status.code == 1, "MLflow lacks them"
    (trained,) = [line for line in shown if line.startswith("erm 0 trained 2/2 ")]
    assert trained.endswith(" %")
    assert "mixup(alpha=1.0) 0 interrupted 1/2" in shown
    assert f"- interrupted: {cells[1].label} (cell {cells[1].key}): its checkpoint is in storage: the same command" in (
        " ".join(shown)
    )
    assert (
        "- trained: MLflow lacks the results of 1 cell, which are in storage: zetasweep run delivers them, without"
        in (" ".join(shown))
    )
    assert shown[-1] == "3 cells: 1 trained, 1 interrupted, 1 missing"

    planned = lines(call("plan", file))
    assert "cells: 3: 0 done, 1 trained and to be delivered, 2 to run, 2 epochs each" in planned

    compared = call("compare", file, "--format", "markdown")
    assert compared.code == 1
    (row,) = [line for line in lines(compared) if line.startswith("| erm |")]
    assert row.endswith("n=1 |"), "its value is there"
    assert "Not in MLflow yet: 1 of 3 cells" in compared.out

    plotted = call("plot", "learning-curves", file, "--output", tmp_path / "curves.json")
    assert plotted.code == 1, plotted.err
    assert list(json.loads((tmp_path / "curves.json").read_text())["data"]["rows"]["erm"]) == ["1", "2"]

    selected = " ".join(lines(call("select", file)))
    assert f"(cell {cells[0].key}, not in MLflow yet: zetasweep run delivers it)" in selected
    refused = call("select", file, "--register", "mine")
    assert refused.code == 2
    assert "zetasweep run" in refused.err
    assert not (tmp_path / "runs" / "mlflow.db").exists()


def test_a_damaged_result_is_not_taken_for_one(call: Call, file: Path, cells: list[Cell], tmp_path: Path) -> None:
    result = CellFolder(tmp_path / "runs" / "cells" / cells[0].key).result
    result.write_bytes(result.read_bytes()[:-100])
    shown = " ".join(lines(call("status", file)))
    assert f"- interrupted: {cells[0].label} (cell {cells[0].key}): {result}: damaged (" in shown
    assert result.exists(), "who only looks removes nothing"
