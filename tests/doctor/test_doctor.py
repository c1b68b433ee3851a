"""Everything that ``zetasweep doctor`` finds, made for real: runs in a SQLite store, files in a folder of results."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import mlflow
import pytest
import sqlalchemy
import torch
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from commands import Answer, Call
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, ViewType
from mlflow.store.tracking.dbmodels.initial_models import Base

from orchestrator.doctor import environment as environment_check
from orchestrator.doctor import examine as doctor
from orchestrator.doctor.nodes import clock_offset
from orchestrator.experiment.cells import Cell, expand
from orchestrator.experiment.load import load_experiment
from orchestrator.storage import checkpoints as checkpoint
from orchestrator.storage.cell_folder import Point
from orchestrator.storage.folder import Storage
from orchestrator.sweep.probe import Exchange
from orchestrator.tracking import database as schema
from orchestrator.tracking.ownership import HEARTBEAT, OWNER

MINE = """
name: mine
dataset: digits
model: convnet
augment: [erm, {mixup: {alpha: 1.0}}]
train: {epochs: 2, batch_size_per_worker: 32}
"""
STRANGER = "0123456789abcdef"
A_WEEK_S = 7 * 24 * 3600
MIGRATIONS = Path(mlflow.__file__).parent / "store" / "db_migrations"


class Scene:
    """An experiment with its folder of results and MLflow store, and the doctor who is called to it."""

    def __init__(self, folder: Path, call: Call, new_store: Path) -> None:
        self.file = folder / "mine.yaml"
        self.file.write_text(MINE)
        self.storage = Storage(folder / "runs")
        self.storage.prepare()
        self.cells: list[Cell] = expand(load_experiment(self.file, ()))
        self._call, self._new_store = call, new_store

    @property
    def client(self) -> MlflowClient:
        if not self.storage.database.exists():
            shutil.copyfile(self._new_store, self.storage.database)
        return MlflowClient(f"sqlite:///{self.storage.database}")

    def doctor(self, *options: str) -> Answer:
        answer = self._call("doctor", self.file, *options)
        assert "Traceback" not in answer.out + answer.err
        return answer

    def add_run(self, key: str, *, status: str = "FINISHED", epochs: tuple[int, ...] = (1, 2), **tags: str) -> str:
        """Make the run of a cell as a sweep does, of two planned epochs, and return its ID."""
        known = self.client.get_experiment_by_name("mine")
        experiment_id = known.experiment_id if known else self.client.create_experiment("mine")
        kind = {"zetasweep.kind": "cell", "zetasweep.cell": key, "mlflow.runName": f"run of {key}"}
        run_id = self.client.create_run(experiment_id, tags={**kind, **tags}).info.run_id
        rows = [Metric("epoch", float(epoch), 1_000 + row, epoch) for row, epoch in enumerate(epochs)]
        self.storage.note_store(f"sqlite:///{self.storage.database}")
        self.client.log_batch(run_id, metrics=rows, params=[Param("train.epochs", "2")])
        if status != "RUNNING":
            self.client.set_terminated(run_id, status)
        return run_id

    def add_file(self, key: str, name: str, *, age_s: float = A_WEEK_S) -> Path:
        """Write a checkpoint, and make it and its folder look old."""
        path = self.storage.cells_dir / key / name
        checkpoint.save(path, {"model": torch.arange(1000.0)})
        then = time.time() - age_s
        for changed in (path, path.parent):
            os.utime(changed, (then, then))
        return path

    def active(self) -> set[str]:
        found = self.client.search_runs([entry.experiment_id for entry in self.client.search_experiments()])
        return {run.info.run_id for run in found}

    def assert_mended(self, *said: str) -> Answer:
        """Look, mend and look again: found, mended, gone."""
        looked = self.doctor()
        assert looked.code == 1, looked.out + looked.err
        for text in said:
            assert text in looked.out
        assert "mended" not in looked.out
        mended = self.doctor("--fix")
        assert mended.code == 0, mended.out + mended.err
        assert ": mended" in mended.out
        self.assert_well()
        return mended

    def assert_well(self) -> None:
        answer = self.doctor()
        assert answer.code == 0, answer.out + answer.err
        assert answer.out.endswith("nothing is wrong\n")


@pytest.fixture
def scene(tmp_path: Path, call: Call, new_store: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    yield Scene(tmp_path, call, new_store)
    mlflow.set_tracking_uri(None)


def test_nothing_is_there_yet(scene: Scene) -> None:
    shutil.rmtree(scene.storage.root)
    for options in ((), ("--fix",)):
        answer = scene.doctor(*options)
        assert (answer.code, answer.out.splitlines()[-1]) == (0, "nothing is wrong")
        for shown in ("torch", "GPUs:", "Ray:", "MLflow:", "disk:"):
            assert shown in answer.out
    assert not scene.storage.root.exists()


def test_all_is_well(scene: Scene) -> None:
    key = scene.cells[0].key
    run_id = scene.add_run(key)
    path = scene.add_file(key, "best.pt")
    scene.assert_well()
    assert scene.doctor("--fix").code == 0
    assert (scene.active(), path.exists()) == ({run_id}, True)


def test_wrong_input(scene: Scene) -> None:
    scene.file.write_text(MINE.replace("digits", "digit"))
    answer = scene.doctor()
    assert answer.code == 2
    assert "digits" in answer.err


def test_open_runs_of_a_dead_driver_are_killed(scene: Scene) -> None:
    dead = {OWNER: "elsewhere:0badcafe:1:0123abcd", HEARTBEAT: str(int((time.time() - 600) * 1000))}
    cell = scene.add_run(scene.cells[0].key, status="RUNNING", epochs=(1,), **{OWNER: dead[OWNER]})
    unsigned = scene.add_run(scene.cells[1].key, status="RUNNING", epochs=())
    parent = scene.add_run("", status="RUNNING", epochs=(), **{"zetasweep.kind": "sweep"}, **dead)
    scene.assert_mended(cell, unsigned, parent, scene.cells[0].label, "RUNNING")
    assert {scene.client.get_run(run_id).info.status for run_id in (cell, unsigned, parent)} == {"KILLED"}


def test_runs_of_a_living_driver_are_left_alone(scene: Scene) -> None:
    alive = {OWNER: "elsewhere:0badcafe:1:0123abcd", HEARTBEAT: str(int(time.time() * 1000))}
    scene.add_run("", status="RUNNING", epochs=(), **{"zetasweep.kind": "sweep"}, **alive)
    scene.add_run(scene.cells[0].key, status="RUNNING", epochs=(1,), **{OWNER: alive[OWNER]})
    scene.assert_well()
    # A second run of its cell cannot be judged before it has ended.
    second = scene.add_run(scene.cells[0].key, status="KILLED", epochs=(1,))
    answer = scene.doctor("--fix")
    assert answer.code == 1
    assert "a sweep is at work in this store" in answer.out
    assert second in scene.active()


@pytest.mark.parametrize(
    ("others", "kept"),
    [
        ([("KILLED", (1,)), ("FINISHED", (1, 2)), ("RUNNING", (1,))], 1),
        ([("KILLED", (1,)), ("FAILED", (1, 2))], 1),
        ([("KILLED", (1,)), ("KILLED", (1,))], 0),
        # One that is finished but has an epoch twice is the worse one.
        ([("FINISHED", (1, 2, 2)), ("FINISHED", (1, 2))], 1),
    ],
)
def test_of_several_runs_of_a_cell_the_best_is_kept(
    scene: Scene, others: list[tuple[str, tuple[int, ...]]], kept: int
) -> None:
    runs = [scene.add_run(scene.cells[0].key, status=status, epochs=epochs) for status, epochs in others]
    answer = scene.assert_mended("more than one run of the same cell", *(run for run in runs if run != runs[kept]))
    assert scene.active() == {runs[kept]}
    assert "mlflow runs restore --run-id" in answer.out
    deleted = next(run for run in runs if run != runs[kept])
    scene.client.restore_run(deleted)
    assert deleted in scene.active()


@pytest.mark.parametrize(
    ("status", "epochs", "said"),
    [
        ("FINISHED", (1, 2, 2), "epoch 2 twice"),
        ("FINISHED", (2,), "epoch 1 missing"),
        ("FINISHED", (), "epoch 1, 2 missing"),
        ("FAILED", (1, 1), "epoch 1 twice"),
    ],
)
def test_a_run_without_each_epoch_once_is_deleted(
    scene: Scene, status: str, epochs: tuple[int, ...], said: str
) -> None:
    run_id = scene.add_run(scene.cells[0].key, status=status, epochs=epochs)
    scene.assert_mended(run_id, said)
    assert scene.active() == set()
    everything = scene.client.search_runs(["1"], run_view_type=ViewType.DELETED_ONLY)
    assert [run.info.run_id for run in everything] == [run_id]


def test_an_unfinished_run_may_lack_epochs(scene: Scene) -> None:
    scene.add_run(scene.cells[0].key, status="FAILED", epochs=(1,))
    scene.assert_well()


def test_the_checkpoints_of_a_deleted_run_are_not_orphaned(scene: Scene) -> None:
    scene.add_run(STRANGER, epochs=(1, 2, 2))
    path = scene.add_file(STRANGER, "best.pt")
    scene.assert_mended("epoch 2 twice")
    assert path.exists()


def test_orphaned_checkpoints_are_removed(scene: Scene) -> None:
    scene.add_run(scene.cells[0].key)
    mine = scene.add_file(scene.cells[1].key, Point(1).file_name)
    stranger = scene.add_file(STRANGER, Point(1).file_name)
    scene.assert_mended(str(stranger.parent), "kB")
    assert (mine.exists(), stranger.parent.exists()) == (True, False)
    assert [path.name for path in scene.storage.cells_dir.iterdir()] == [mine.parent.name]


@pytest.mark.parametrize(
    ("spare", "code", "said"),
    [
        (lambda folder: (folder / "notes.txt").write_text("mine"), 1, "notes.txt"),
        (lambda folder: (folder / "delivery.jsonl").write_text("{}\n"), 0, "zetasweep sync"),
        (lambda folder: (folder / "result.pt").write_bytes(b"it"), 0, "zetasweep sync"),
        (lambda folder: os.utime(folder), 0, "perhaps it is trained"),
    ],
    ids=["a file of the user", "not delivered", "a result", "fresh"],
)
def test_what_may_be_wanted_is_not_removed(scene: Scene, spare: Callable[[Path], object], code: int, said: str) -> None:
    scene.add_run(scene.cells[0].key)
    folder = scene.add_file(STRANGER, Point(1).file_name).parent
    spare(folder)
    before = sorted(folder.iterdir())
    answer = scene.doctor("--fix")
    assert (answer.code, sorted(folder.iterdir())) == (code, before), answer.out
    assert said in answer.out


def test_a_store_without_runs_does_not_make_orphans(scene: Scene) -> None:
    path = scene.add_file(STRANGER, Point(1).file_name)
    scene.assert_well()
    scene.client.create_experiment("another")
    scene.assert_well()
    assert path.exists()


def test_what_another_store_may_know_is_not_removed(scene: Scene) -> None:
    scene.add_run(scene.cells[0].key)
    path = scene.add_file(STRANGER, Point(1).file_name)
    scene.storage.note_store("http://server:5000")
    answer = scene.doctor("--fix")
    assert answer.code == 0, answer.out
    assert "http://server:5000): see for yourself" in answer.out
    assert path.exists()


def test_a_run_that_a_sweep_took_up_meanwhile_is_left_alone(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = scene.add_run(scene.cells[0].key, status="FAILED", epochs=(1, 1))
    print_line = doctor.Report._print

    def take_up(report: doctor.Report, text: str, style: str = "") -> None:
        if "each epoch once" in text:
            scene.client.update_run(run_id, status="RUNNING")
        print_line(report, text, style)

    monkeypatch.setattr(doctor.Report, "_print", take_up)
    answer = scene.doctor("--fix")
    assert answer.code == 1
    assert "not mended: a sweep has taken it up meanwhile" in answer.out
    assert run_id in scene.active()


def test_what_is_not_a_cell_is_left_alone(scene: Scene, tmp_path: Path) -> None:
    scene.add_run(scene.cells[0].key)
    elsewhere = scene.add_file(STRANGER, Point(1).file_name).parent.rename(tmp_path / "elsewhere")
    (scene.storage.cells_dir / STRANGER).symlink_to(elsewhere)
    (scene.storage.cells_dir / "README").write_text("mine")
    (scene.storage.root / "ray-notes").mkdir()
    scene.assert_well()
    assert scene.doctor("--fix").code == 0
    assert len(list(elsewhere.iterdir())) == 1


def test_a_finished_cell_keeps_its_best_weights_only(scene: Scene) -> None:
    key = scene.cells[0].key
    scene.add_run(key)
    best = scene.add_file(key, "best.pt")
    for name in (Point(2).file_name, Point(1, 7).file_name, "result.pt"):
        scene.add_file(key, name)
    (best.parent / "audit").mkdir()
    (best.parent / "audit" / "audit.json").write_text("{}")
    (best.parent / "delivery.jsonl").write_text('{"kind": "start", "body": {}}\n')
    scene.assert_mended(Point(2).file_name, Point(1, 7).file_name, "result.pt", "audit", "delivery.jsonl")
    assert [path.name for path in best.parent.iterdir()] == ["best.pt"]


def test_what_waits_for_another_store_is_not_removed(scene: Scene) -> None:
    key = scene.cells[0].key
    scene.add_run(key)
    waiting = scene.add_file(key, "result.pt")
    scene.storage.note_store("http://elsewhere:5000")
    answer = scene.doctor("--fix")
    assert answer.code == 0, answer.out
    assert "results of a finished cell that may wait for another MLflow store" in answer.out
    assert "http://elsewhere:5000" in answer.out
    assert waiting.exists()


def test_a_damaged_checkpoint_is_removed(scene: Scene) -> None:
    scene.add_run(scene.cells[0].key, status="KILLED", epochs=(1,))
    good, damaged = (scene.add_file(scene.cells[0].key, Point(epoch).file_name) for epoch in (1, 2))
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    scene.assert_mended(str(damaged), "a damaged checkpoint")
    assert (good.exists(), damaged.exists()) == (True, False)


def test_files_of_the_user_beside_checkpoints_are_left_alone(scene: Scene) -> None:
    scene.add_run(scene.cells[0].key, status="KILLED", epochs=(1,))
    folder = scene.add_file(scene.cells[0].key, Point(1).file_name).parent
    torch.save(torch.nn.Linear(1, 1), folder / "mine.pt")
    (folder / "old.pt").write_bytes(b"no checkpoint")
    scene.assert_well()
    assert scene.doctor("--fix").code == 0
    assert {path.name for path in folder.iterdir()} == {Point(1).file_name, "mine.pt", "old.pt"}


def test_results_that_wait_are_told(scene: Scene) -> None:
    key = scene.cells[0].key
    scene.add_run(key, status="KILLED", epochs=(1,))
    scene.add_file(key, Point(1).file_name).with_name("delivery.jsonl").write_text('{"kind": "start", "body": {}}\n')
    answer = scene.doctor("--fix")
    assert answer.code == 0
    assert "zetasweep sync" in answer.out


def test_what_killed_processes_leave_is_removed(scene: Scene) -> None:
    kept = scene.add_file(scene.cells[0].key, Point(1).file_name)
    host = socket.gethostname()
    gone = kept.with_name(f".best.pt.{host}.4194305.tmp")
    old = kept.with_name(".best.pt.elsewhere.example.1.tmp")
    alive = kept.with_name(f".best.pt.{host}.{os.getpid()}.tmp")
    for path in (gone, old, alive):
        path.write_bytes(b"part")
    os.utime(old, (0, 0))
    scratch = scene.storage.root / "ray-abcd_123"
    (scratch / "session").mkdir(parents=True)
    scene.storage.holder.write_text(json.dumps({"sweep": "mine", "pid": 1}))
    scene.assert_mended(str(gone), str(old), str(scratch), str(scene.storage.holder))
    assert not any(path.exists() for path in (gone, old, scratch, scene.storage.holder))
    assert (kept.exists(), alive.exists()) == (True, True)


def test_a_sweep_at_work_is_not_disturbed(scene: Scene) -> None:
    run_id = scene.add_run(scene.cells[0].key, status="RUNNING", epochs=(1,))
    scratch = scene.storage.root / "ray-abcd_123"
    scratch.mkdir()
    with scene.storage.locked("mine"):
        answer = scene.doctor()
        assert answer.code == 0, answer.out
        assert "a sweep is at work" in answer.out
        assert str(os.getpid()) in answer.out
        refused = scene.doctor("--fix")
        assert refused.code == 2
        assert "in use by the sweep mine" in refused.err
    assert scratch.exists()
    assert scene.client.get_run(run_id).info.status == "RUNNING"


def make_old_store(database: Path) -> str:
    """Make a database with one experiment as an earlier MLflow did, and return its revision."""
    uri = f"sqlite:///{database}"
    revisions = [script.revision for script in ScriptDirectory(MIGRATIONS).walk_revisions()]
    Base.metadata.create_all(sqlalchemy.create_engine(uri))
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("sqlalchemy.url", uri)
    command.upgrade(config, revisions[20])
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("insert into experiments (name, lifecycle_stage) values ('of old', 'active')")
        connection.commit()
    return revisions[20]


def revision_of(database: Path) -> str:
    with closing(sqlite3.connect(database)) as connection:
        return str(connection.execute("select version_num from alembic_version").fetchone()[0])


def test_a_database_of_an_older_mlflow_is_migrated(scene: Scene, call: Call) -> None:
    database = scene.storage.database
    old = make_old_store(database)
    content = database.read_bytes()
    refused = call("status", scene.file)
    assert refused.code == 2
    assert "zetasweep doctor" in refused.err
    assert "--fix" in refused.err
    assert database.read_bytes() == content
    scene.assert_mended(str(database), old)
    assert revision_of(database) != old
    backup = database.with_name(f"mlflow.db.{old}.bak")
    assert revision_of(backup) == old
    assert {path.name for path in scene.storage.root.iterdir()} - {".lock"} == {database.name, backup.name}
    assert scene.client.get_experiment_by_name("of old") is not None
    assert call("status", scene.file).code == 1


def test_a_database_that_somebody_writes_to_is_not_migrated(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    database = scene.storage.database
    old = make_old_store(database)

    def interfere(*_: object, **__: object) -> None:
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("insert into experiments (name, lifecycle_stage) values ('newer', 'active')")
            connection.commit()

    monkeypatch.setattr(schema, "_upgrade", interfere)
    answer = scene.doctor("--fix")
    assert answer.code == 1
    assert "a server or a sweep writes to it" in answer.out
    assert revision_of(database) == old
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("select count(*) from experiments where name = 'newer'").fetchone() == (1,)


def test_a_migration_that_fails_changes_nothing(scene: Scene) -> None:
    database = scene.storage.database
    old = make_old_store(database)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("drop table experiments")
    content = database.read_bytes()
    answer = scene.doctor("--fix")
    assert answer.code == 1
    assert "not mended" in answer.out
    assert (database.read_bytes(), revision_of(database)) == (content, old)
    assert {path.name for path in scene.storage.root.iterdir()} - {".lock"} == {database.name}


def test_a_database_of_a_newer_mlflow_is_told(scene: Scene, call: Call) -> None:
    scene.add_run(scene.cells[0].key)
    with closing(sqlite3.connect(scene.storage.database)) as connection:
        connection.execute("update alembic_version set version_num = 'ffffffffffff'")
        connection.commit()
    answer = scene.doctor("--fix")
    assert answer.code == 1
    assert "newer MLflow" in answer.out
    assert "pip install --upgrade mlflow" in answer.out
    refused = call("status", scene.file)
    assert refused.code == 2
    assert "newer MLflow" in refused.err


def test_a_database_that_is_none_is_told(scene: Scene) -> None:
    scene.storage.database.write_bytes(b"not a database at all, but long enough to be read as one" * 20)
    answer = scene.doctor("--fix")
    assert answer.code == 1
    assert str(scene.storage.database) in answer.out


def test_mlflow_that_nobody_answers(scene: Scene) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    path = scene.add_file(STRANGER, Point(1).file_name)
    answer = scene.doctor("--fix", "-o", f"tracking.uri=http://127.0.0.1:{port}")
    assert answer.code == 1
    assert f"http://127.0.0.1:{port}: MLflow does not answer" in answer.out
    assert path.exists()


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("tracking.uri=sqlite:////no/such/x.db", "/no/such is no folder"),
        ("resources={workers: 1, gpus_per_worker: 99}", "99 GPUs"),
        ("resources={workers: 40}", "40 workers"),
        ("dataset=cifar10", "cifar10"),
        ("train.batch_size_per_worker=9999", "9999"),
    ],
)
def test_what_run_would_refuse_is_found(scene: Scene, override: str, said: str) -> None:
    answer = scene.doctor("-o", override, "-o", "data_dir=data")
    assert answer.code == 1, answer.out + answer.err
    assert said in answer.out


def test_storage_that_cannot_be_written(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "a_file").write_text("")
    answer = scene.doctor("-o", "storage=a_file/below")
    assert answer.code == 1
    assert str(tmp_path / "a_file" / "below") in answer.out


def test_versions_that_do_not_suit(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs = [
        "Requires-Python: >=4",
        "Requires-Dist: numpy<1",
        "Requires-Dist: nosuchpackage>=2",
        "Requires-Dist: click",
    ]
    info = tmp_path / "installed" / "zetasweep-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", "Name: zetasweep", "Version: 1.0", *needs, ""]))
    monkeypatch.syspath_prepend(info.parent)
    answer = scene.doctor("--fix")
    assert answer.code == 1
    for said in ("install Python >=4", "install numpy <1", "nosuchpackage missing"):
        assert said in answer.out
    assert "install click" not in answer.out


def test_a_disk_that_is_too_small(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment_check, "FREE_BYTES", 10**18)
    answer = scene.doctor("--fix")
    assert answer.code == 1
    assert "the disk may become full" in answer.out


def test_a_cluster_that_nobody_answers(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    answer = scene.doctor()
    assert answer.code == 1
    assert "RAY_ADDRESS = 127.0.0.1:1" in answer.out


def test_the_quickest_exchange_says_how_late_it_is() -> None:
    slow = Exchange(sent_s=100.0, remote_s=109.0, received_s=104.0)
    quick = Exchange(sent_s=110.0, remote_s=115.25, received_s=110.5)
    assert clock_offset([slow, quick]) == (5.0, 0.25)
    behind = Exchange(sent_s=10.0, remote_s=7.0, received_s=10.0)
    assert clock_offset([behind, quick, slow]) == (-3.0, 0.0)
