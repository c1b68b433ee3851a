"""Which models come out of a sweep, and what is done with them: ``predict``, ``select --register`` and ``doctor``."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import Answer, Call
from mlflow import MlflowClient
from PIL import Image
from tracked import FACTS, RESULT, epoch, save_weights

from orchestrator.errors import TrackingError
from orchestrator.experiment.cells import Cell, expand
from orchestrator.experiment.load import load_experiment
from orchestrator.records import Opened, Started
from orchestrator.storage import Choice, Confirmation, RankedRow, Storage, journal
from orchestrator.storage import checkpoints as checkpoint
from orchestrator.tracking import Tracker

EXPERIMENT = """
name: small
dataset: digits
model: convnet
augment: [erm, {mixup: {alpha: 1.0}}]
seed: [0, 1]
train: {epochs: 2}
"""
# By validation seed 1 is the better one.
ERRORS = {0: 0.3, 1: 0.2}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(f"{EXPERIMENT}storage: {tmp_path / 'runs'}\n")
    return path


@pytest.fixture
def cells(file: Path, tmp_path: Path, new_store: Path) -> list[Cell]:
    """All of them trained, and not told to MLflow yet."""
    cells = expand(load_experiment(file))
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mlflow.db").write_bytes(new_store.read_bytes())
    for cell in cells:
        folder = tmp_path / "runs" / "cells" / cell.key
        save_weights(folder)
        checkpoint.save(folder / "result.pt", {})
        journal.begin(folder)
        metrics = {"test/error": 0.25, "best/error": ERRORS[cell.seed], "best/epoch": 2.0}
        result = dataclasses.replace(RESULT, metrics=metrics)
        for event in (Opened(), Started(FACTS), epoch(1), epoch(2), result):
            journal.append(folder, event)
    return cells


def with_model(file: Path) -> set[str]:
    """The labels of the cells of which MLflow has the model, each once."""
    client = MlflowClient(f"sqlite:///{file.parent / 'runs' / 'mlflow.db'}")
    known = client.get_experiment_by_name("small")
    assert known is not None
    runs = client.search_runs([known.experiment_id], "tags.`zetasweep.kind` = 'cell'")
    tagged = [run for run in runs if "zetasweep.model_uri" in run.data.tags]
    models = client.search_logged_models([known.experiment_id])
    assert len(models) == len(tagged)
    assert all(run.info.status == "FINISHED" for run in runs)
    return {f"{run.data.params['augment']} {run.data.params['seed']}" for run in tagged}


def well(answer: Answer) -> str:
    assert answer.code == 0, answer.out + answer.err
    return " ".join(answer.out.split())


def test_what_was_not_exported_the_next_run_exports(
    call: Call, file: Path, cells: list[Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its driver died between the last seed and the export, or MLflow did not take the model."""

    def refuse(*_: object) -> str:
        raise TrackingError("MLflow does not take the model")

    with monkeypatch.context() as patch:
        patch.setattr(Tracker, "export_model", refuse)
        said = call("sync", file).out
    for cell in cells:
        assert (f"no model of cell {cell.key}" in said) == (cell.seed == 1)
    assert with_model(file) == set()
    looked = call("doctor", file)
    assert "a model that MLflow does not have yet" in looked.out
    assert "exporting 2 models that it lacks" in well(call("run", file))
    assert with_model(file) == {"erm 1", "mixup 1"}
    assert "exporting" not in well(call("run", file))
    assert "not have yet" not in call("doctor", file).out


def test_a_model_whose_weights_are_gone_is_named(call: Call, file: Path, cells: list[Cell]) -> None:
    """By ``run`` and by ``doctor``, which is no fault: it may have been trained with another storage."""
    well(call("sync", file, "-o", "tracking.models=none"))
    lost = next(cell for cell in cells if cell.augment.name == "erm" and cell.seed == 1)
    shutil.rmtree(file.parent / "runs" / "cells" / lost.key)
    for said in (well(call("run", file)), well(call("run", file))):
        assert f"MLflow: no model of 1 configuration: the best weights are not in {file.parent}" in said
        assert lost.key in said
    assert with_model(file) == {"mixup 1"}
    looked = call("doctor", file)
    assert (looked.code, f"of cell {lost.key}" in looked.out) == (0, True), looked.out
    assert "note: finished cells without a folder here" in looked.out
    assert f"cells: 1 of 4: {lost.key}" in looked.out
    assert "  remedy:  none is needed" in looked.out
    assert "\n           else bring the folders back" in looked.out
    assert "note: a model that MLflow does not have and cannot get" in looked.out


def test_a_model_is_exported_when_it_is_asked_for(call: Call, file: Path, cells: list[Cell], tmp_path: Path) -> None:
    well(call("sync", file, "-o", "tracking.models=none"))
    photos = tmp_path / "photos"
    (photos / "inside").mkdir(parents=True)
    for name, value in (("a.png", 20), ("inside/b.PNG", 200)):
        Image.fromarray(np.full((20, 30, 3), value, dtype=np.uint8)).save(photos / name, "PNG")
    (photos / "broken [1].jpg").write_bytes(b"no image")
    (photos / "notes.txt").write_text("no image, and not named like one")

    answer = call("predict", cells[0].key[:6], photos, "--experiment", file, "--format", "json")
    assert answer.code == 1, "one cannot be read"
    assert "broken [1].jpg cannot be read as an image" in answer.err
    rows = json.loads(answer.out)
    assert [Path(row["file"]).name for row in rows] == ["a.png", "broken [1].jpg", "b.PNG"]
    said = rows[0]
    assert said["probability"] == max(said["probabilities"].values()) == said["probabilities"][said["class"]]
    assert list(said["probabilities"]) == list(FACTS.dataset.class_names)
    assert with_model(file) == {"erm 0"}

    assert "registered as mine, version 1, alias 'best'" in well(
        call("select", file, "-o", "augment=erm", "--register", "mine")
    )
    assert with_model(file) == {"erm 0", "erm 1"}
    client = MlflowClient(f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}")
    described = client.get_model_version("mine", "1").description or ""
    for text in ("convnet, erm", "25.00 ± 7.07 %", "n=2", "seed=1", "Classes: 0, 1, 2", "8 x 8 pixels, grey"):
        assert text in described

    output = tmp_path / "said.csv"
    well(call("predict", "mine", photos / "a.png", "--experiment", file, "--output", output))
    (row,) = csv.DictReader(output.open())
    assert row["class"] in FACTS.dataset.class_names
    assert float(row["probability"]) == float(row[f"probability/{row['class']}"])
    for name in ("mine/1", "mine@best", "models:/mine/1"):
        assert "a.png" in well(call("predict", name, photos / "a.png", "--experiment", file))

    begins = cells[0].key[:6]
    client.create_registered_model(begins)
    either = call("predict", begins, photos / "a.png", "--experiment", file)
    assert f"{begins}: a registered model is called so, and the key of a cell begins so: {cells[0].key}" in either.err
    assert "a.png" in well(call("predict", cells[0].key, photos / "a.png", "--experiment", file))
    without = call("predict", f"models:/{begins}", photos / "a.png", "--experiment", file)
    assert without.code == either.code == 2
    assert "has this name, and no version of it any more" in without.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["mine", "absent.png"], "absent.png: no such file or folder"),
        (["mine", "."], "no image lies there"),
        (["mine", "small.yaml"], "mine: which MLflow has it, is not said"),
        (["mine", "small.yaml", "--output", "said.md"], "said.md: its ending says no format that there is"),
        (["mine", "small.yaml", "-o", "seed=1"], "-o seed=1: of which experiment, is not said"),
        (["CONFIRMED", "small.yaml", "--experiment", "small.yaml"], "seed=1000003): MLflow does not have it finished"),
        (["mine", "small.yaml", "--experiment", "small.yaml"], "mine: no cell is called so, and nothing is in MLflow"),
        (["KEY", "small.yaml", "--experiment", "small.yaml"], "MLflow does not have it finished"),
    ],
)
def test_what_cannot_be_predicted_is_said(
    call: Call, file: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(file.parent)
    cell = expand(load_experiment(file))[0]
    row = RankedRow(row=cell.augment.label, configuration=cell.config_key, mean=0.1, cells=(), num_planned=1)
    choice = Choice(
        **{"dataset": "digits", "model": "convnet", "number": 1, "chosen_at": "2026-11-29 18:00", "top": 1},
        **{"metric": "best/error", "against": (), "taken": (row,), "passed_over": (), "seeds": (1_000_003,)},
    )
    Confirmation(sweep="small", choices=(choice,)).save(Storage(file.parent / "runs").confirmation("small"))
    keys = {"KEY": cell.key, "CONFIRMED": cell.model_copy(update={"seed": 1_000_003}).key}
    answer = call("predict", *(keys.get(argument, argument) for argument in arguments))
    assert answer.code == 2, answer.out
    assert said in answer.err
    assert "Traceback" not in answer.err
