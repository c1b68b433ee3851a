"""What is wrong with results in a bucket is named by their address: the copy is gone when somebody looks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from bucket_machines import ADDRESS, Machines
from sweep_samples import ERM, make_cells

from orchestrator.doctor.files import examine_storage
from orchestrator.doctor.finding import Finding
from orchestrator.errors import UserError
from orchestrator.objects import Address, BucketObjects
from orchestrator.opened import Opened
from orchestrator.records import EpochResult
from orchestrator.results import predictions_of_cell
from orchestrator.storage import CellFolder, Storage, journal
from orchestrator.storage.checkpoints import Checkpoints
from orchestrator.train.trained_network import best_learner, explaining

(CELL,) = make_cells(ERM, seeds=(0,))
PLACE = f"{ADDRESS}/cells/{CELL.key}"
SEARCHED = """
name: small
dataset: digits
model: convnet
augment: [erm, {mixup: {alpha: {uniform: [0.1, 1.0]}}}]
seed: [0, 1]
train: {epochs: 16}
search: {sampler: random, num_samples: 6, race: ladder}
"""


def test_the_folder_of_a_cell_says_where_it_lies(machines: Machines, tmp_path: Path) -> None:
    cell = machines.another().cell(CELL.key)
    assert (cell.shown(), cell.shown("best.pt")) == (PLACE, f"{PLACE}/best.pt")
    assert cell.with_best_here().shown() == PLACE
    assert cell.in_words(OSError(f"{cell.path}/best.pt: gone")) == f"{PLACE}/best.pt: gone"
    folder = Storage(tmp_path / "runs").cell(CELL.key)
    assert (folder.shown(), folder.shown("best.pt")) == (str(folder.path), str(folder.best))
    assert folder.in_words(folder.best) == str(folder.best)


def test_a_doctor_names_what_is_damaged_and_what_waits(machines: Machines) -> None:
    storage = machines.another()
    for name in ("00001-00000000.pt", "predictions.npz"):
        machines.objects.put(f"cells/{CELL.key}/{name}", b"not what was written")
    folder = storage.cell(CELL.key)
    journal.begin(folder)
    journal.append(folder, EpochResult(epoch=1, metrics={}, timestamp_ms=1))
    assert storage.mirror.flush(10) == []
    lines = list(examine_storage(storage, {CELL.key: CELL}, tracked=set[str](), finished=set[str](), only_store=True))
    wheres = {line.what: line.where for line in lines if isinstance(line, Finding)}
    assert wheres.keys() == {
        "results that MLflow does not have yet",
        "a damaged checkpoint",
        "damaged predictions",
    }
    assert all(where.startswith(PLACE) for where in wheres.values()), wheres
    assert str(storage.root) not in str(wheres)


def leave_out_predictions(cell: CellFolder) -> None:
    assert predictions_of_cell(cell) is None


def leave_out_checkpoint(cell: CellFolder) -> None:
    assert Checkpoints(cell).load(cell.best) is None


def leave_out_journal(cell: CellFolder) -> None:
    assert journal.read(cell) == []


@pytest.mark.parametrize(
    ("name", "look"),
    [
        ("predictions.npz", leave_out_predictions),
        ("best.pt", leave_out_checkpoint),
        ("delivery.jsonl", leave_out_journal),
    ],
)
def test_what_is_left_out_is_named(
    name: str, look: Callable[[CellFolder], None], machines: Machines, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    machines.objects.put(f"cells/{CELL.key}/{name}", b"not what was written\n")
    look(machines.another().cell(CELL.key))
    (said,) = caplog.messages
    assert said.startswith(f"{PLACE}/{name}")


def test_weights_that_nothing_can_predict_with_are_named(machines: Machines) -> None:
    cell = machines.another().cell(CELL.key)
    with pytest.raises(UserError, match=f"{PLACE}/best.pt is not there"), explaining(CELL, cell):
        best_learner(CELL, None, cell)  # type: ignore[arg-type]
    machines.objects.put(f"cells/{CELL.key}/best.pt", b"not what was written")
    with pytest.raises(UserError, match=f"^{PLACE}/best.pt: damaged"), explaining(CELL, cell):
        best_learner(CELL, None, cell)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=f"^{PLACE}/best.pt: no convnet can predict with it"), explaining(CELL, cell):
        raise RuntimeError("of another network")


@pytest.mark.parametrize("kind", ["confirm", "race"])
def test_what_is_kept_of_a_sweep_is_named(kind: str, bucket: Address, tmp_path: Path) -> None:
    BucketObjects(bucket, named="storage").put(f"{kind}/small.json", b"{}")
    (tmp_path / "small.yaml").write_text(SEARCHED)
    overrides = (f"storage={bucket}", "tracking.uri=http://127.0.0.1:9", f"cache.dir={tmp_path}")
    with pytest.raises(UserError) as refused:
        Opened(str(tmp_path / "small.yaml"), overrides)
    assert str(refused.value).startswith(f"{bucket}/{kind}/small.json: no")
