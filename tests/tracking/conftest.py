"""What the tests of the tracking share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sweep_samples import DIGITS, ERM, MIXUP, make_cells

from orchestrator.experiment.cells import Cell
from orchestrator.experiment.settings import Experiment
from orchestrator.tracking.tracker import Tracker


@pytest.fixture
def cells() -> list[Cell]:
    return make_cells(ERM, MIXUP, seeds=(0,))


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    return Experiment(
        name="sample", dataset=(DIGITS,), model=("convnet",), augment=(ERM,), file=Path("x.yaml"), storage=tmp_path
    )


@pytest.fixture
def uri(tmp_path: Path, new_store: Path) -> str:
    shutil.copyfile(new_store, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture
def tracker(uri: str, tmp_path: Path, experiment: Experiment) -> Tracker:
    tracker = Tracker(uri, artifacts=tmp_path / "artifacts")
    tracker.sweep.open(experiment, {})
    return tracker
