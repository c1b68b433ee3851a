"""Runs that are left open, doubled or incomplete, made for real in a SQLite store."""

from __future__ import annotations

import time

import pytest
from mlflow.entities import ViewType
from scene import Scene

from orchestrator.doctor.report import Report
from orchestrator.records import now_ms
from orchestrator.tracking.names import HEARTBEAT, OWNER
from orchestrator.tracking.ownership import heartbeats


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks for a sign of life of other machines' drivers for a second, not for two minutes."""
    monkeypatch.setattr("orchestrator.tracking.drivers.STALE_S", 1.0)
    monkeypatch.setattr("orchestrator.tracking.drivers.LOOK_EVERY_S", 0.1)


@pytest.mark.usefixtures("_impatient")
def test_open_runs_of_a_dead_driver_are_killed(scene: Scene) -> None:
    dead = {OWNER: "elsewhere:0badcafe:1:0123abcd", HEARTBEAT: str(int((time.time() - 600) * 1000))}
    cell = scene.add_run(scene.cells[0].key, status="RUNNING", epochs=(1,), **{OWNER: dead[OWNER]})
    without_owner = scene.add_run(scene.cells[1].key, status="RUNNING", epochs=())
    parent = scene.add_run("", status="RUNNING", epochs=(), **{"zetasweep.kind": "sweep"}, **dead)
    scene.assert_mended(cell, without_owner, parent, scene.cells[0].label, "RUNNING")
    assert {scene.client.get_run(run_id).info.status for run_id in (cell, without_owner, parent)} == {"KILLED"}


def test_runs_of_a_living_driver_are_left_alone(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its clock is two hours behind."""
    monkeypatch.setattr("orchestrator.tracking.ownership.BEAT_EVERY_S", 0.2)
    monkeypatch.setattr("orchestrator.tracking.drivers.LOOK_EVERY_S", 0.2)
    alive = {OWNER: "elsewhere:0badcafe:1:0123abcd", HEARTBEAT: str(int(time.time() * 1000))}
    sweep = scene.add_run("", status="RUNNING", epochs=(), **{"zetasweep.kind": "sweep"}, **alive)
    scene.add_run(scene.cells[0].key, status="RUNNING", epochs=(1,), **{OWNER: alive[OWNER]})
    with heartbeats(lambda: scene.client.set_tag(sweep, HEARTBEAT, str(now_ms() - 7_200_000))):
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


def test_a_run_that_a_sweep_took_up_meanwhile_is_left_alone(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = scene.add_run(scene.cells[0].key, status="FAILED", epochs=(1, 1))
    print_line = Report._print

    def take_up(report: Report, text: str, style: str = "") -> None:
        if "each epoch once" in text:
            scene.client.update_run(run_id, status="RUNNING")
        print_line(report, text, style)

    monkeypatch.setattr(Report, "_print", take_up)
    answer = scene.doctor("--fix")
    assert answer.code == 1
    assert "not mended: a sweep has taken it up meanwhile" in answer.out
    assert run_id in scene.active()
