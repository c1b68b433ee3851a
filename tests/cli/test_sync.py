"""What MLflow did not take while the cells were trained is delivered later, without training anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Call
from mlflow import MlflowClient
from tracked import FACTS, RESULT, epoch, save_weights

from orchestrator.experiment.cells import Cell, expand
from orchestrator.experiment.load import load_experiment
from orchestrator.models.registry import build_model
from orchestrator.records import Opened, Started, TrackedEvent
from orchestrator.storage import checkpoints as checkpoint
from orchestrator.storage import journal

EXPERIMENT = """
name: small
dataset: digits
model: convnet
augment: [erm, {mixup: {alpha: 1.0}}]
train: {epochs: 2}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(f"{EXPERIMENT}storage: {tmp_path / 'runs'}\n")
    return path


@pytest.fixture
def cells(file: Path) -> list[Cell]:
    return expand(load_experiment(file))


def leave(folder: Path, *last: TrackedEvent) -> None:
    """What a sweep leaves of a cell that MLflow did not take."""
    save_weights(folder)
    checkpoint.save(folder / "result.pt", {})
    journal.begin(folder)
    for event in (Opened(), Started(FACTS), epoch(1), epoch(2), *last):
        journal.append(folder, event)


def test_delivers_what_waits_once(call: Call, file: Path, cells: list[Cell], tmp_path: Path) -> None:
    finished, killed = (tmp_path / "runs" / "cells" / cell.key for cell in cells)
    leave(finished, RESULT)
    leave(killed)
    answer = call("sync", file)
    assert answer.code == 0, answer.out + answer.err
    assert "delivered: 2 of 2 cells" in answer.out
    client = MlflowClient(f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    runs = {
        run.data.tags["zetasweep.cell"]: run
        for run in client.search_runs([experiment.experiment_id], "tags.`zetasweep.kind` = 'cell'")
    }
    assert [runs[cell.key].info.status for cell in cells] == ["FINISHED", "KILLED"]
    for run in runs.values():
        assert [row.step for row in client.get_metric_history(run.info.run_id, "val/error")] == [1, 2]
    assert [path.name for path in finished.iterdir()] == ["best.pt"]
    assert sorted(path.name for path in killed.iterdir()) == ["best.pt", "result.pt"]
    assert "nothing waits" in call("sync", file).out


def test_a_cell_that_was_finished_elsewhere_stays_finished(
    call: Call, file: Path, cells: list[Cell], tmp_path: Path
) -> None:
    """Its driver died here; another storage with the same MLflow store finished it."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    here, elsewhere = tmp_path / "runs", tmp_path / "others"
    for storage, last in ((here, ()), (elsewhere, (RESULT,))):
        leave(storage / "cells" / cells[0].key, *last)
    options = ("-o", f"tracking.uri={uri}", "-o")
    assert call("sync", file, *options, f"storage={elsewhere}").code == 0
    answer = call("sync", file, *options, f"storage={here}")
    assert (answer.code, answer.out) == (0, "nothing waits to be delivered\n"), answer.err
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "tags.`zetasweep.kind` = 'cell'")
    assert [run.info.status for run in runs] == ["FINISHED"]
    assert [path.name for path in (here / "cells" / cells[0].key).iterdir()] == ["best.pt"]


def test_a_cell_that_cannot_be_delivered_stays(call: Call, file: Path, cells: list[Cell], tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "cells" / cells[0].key
    leave(folder, RESULT)
    (folder / "best.pt").unlink()
    answer = call("sync", file)
    assert answer.code == 1
    assert f"not in MLflow: cell {cells[0].key}" in answer.out
    assert "Traceback" not in answer.out
    assert len(journal.read(folder)) == 5


def test_what_another_store_waits_for_stays(call: Call, file: Path, cells: list[Cell], tmp_path: Path) -> None:
    storage, uris = tmp_path / "runs", [f"sqlite:///{tmp_path / name}.db" for name in "ab"]
    folder = storage / "cells" / cells[0].key
    for uri in uris:
        leave(folder, RESULT)
        assert call("sync", file, "-o", f"tracking.uri={uri}").code == 0
    leave(folder, RESULT)
    # The first store has the cell; who knows what the results wait for.
    answer = call("sync", file, "-o", f"tracking.uri={uris[0]}")
    assert (answer.code, answer.out) == (0, "nothing waits to be delivered\n")
    assert (folder / "result.pt").exists()
    assert len(journal.read(folder)) == 5


def test_a_trained_cell_that_was_never_told_is_said(call: Call, file: Path, cells: list[Cell], tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "cells" / cells[0].key
    leave(folder)
    journal.remove(folder)
    answer = call("sync", file)
    assert answer.code == 1
    assert answer.out == (
        "missing in MLflow: 1 trained cell: zetasweep run delivers from the checkpoints, without training\n"
        "nothing waits to be delivered\n"
    )


def unfit(folder: Path) -> None:
    state = build_model("convnet", num_classes=12, num_channels=1, image_size=8).state_dict()
    checkpoint.save(folder / "best.pt", {"model": state})


# What a cell's folder can have in the place of its best weights, and what is to be said of it.
SPOILED: list[tuple[Callable[[Path], object], str]] = [
    (unfit, "its weights are not those of convnet as it is here (size mismatch for "),
    (lambda folder: (folder / "best.pt").unlink(), "best.pt is not there"),
    (lambda folder: (folder / "best.pt").write_bytes(b"PK\x03\x04"), "best.pt: damaged"),
    (lambda folder: checkpoint.save(folder / "best.pt", {"weights": {}}), "no convnet can be made of it"),
]


def test_a_cell_that_cannot_be_told_holds_up_no_other_and_nobody_blames_mlflow(
    call: Call, file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.write_text(file.read_text().replace("{alpha: 1.0}", "{alpha: [1.0, 2.0, 3.0, 4.0]}"))
    keys = [cell.key for cell in expand(load_experiment(file))]
    *spoiled, sound = (tmp_path / "runs" / "cells" / key for key in keys)
    for folder in (*spoiled, sound):
        leave(folder, RESULT)
    for folder, (spoil, _) in zip(spoiled, SPOILED, strict=True):
        spoil(folder)
    answer = call("sync", file)
    assert answer.code == 1
    # Each was tried once, and not until MLflow might take it.
    assert len([record for record in caplog.records if record.name == "orchestrator.tracking.delivery"]) == 4
    assert "MLflow does not take" not in answer.out
    assert "zetasweep sync delivers them" not in answer.out
    assert "delivered: 1 of 5 cells" in answer.out
    assert [path.name for path in sound.iterdir()] == ["best.pt"]
    shown, looked = " ".join(call("status", file).out.split()), call("doctor", file)
    assert "1 done, 4 failed" in " ".join(shown.split())
    assert looked.code == 1
    for folder, (_, said) in zip(spoiled, SPOILED, strict=True):
        assert f"cannot be told to MLflow: cell {folder.name} " in answer.out
        assert len(journal.read(folder)) == 5
        for text in (answer.out, shown, looked.out):
            assert said in text
        assert str(folder) in looked.out
