"""A database that was written by an older MLflow, by a newer one, or by none."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import mlflow
import pytest
import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from commands import Call
from mlflow.store.tracking.dbmodels.initial_models import Base
from scene import Scene

from orchestrator.tracking import database as schema

MIGRATIONS = Path(mlflow.__file__).parent / "store" / "db_migrations"


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
