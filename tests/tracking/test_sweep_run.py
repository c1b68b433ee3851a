"""The run of a sweep in a real SQLite store: who holds it, and what is left of it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from tracked import epoch

from orchestrator import process_names
from orchestrator.errors import TrackingError, UserError
from orchestrator.experiment.cells import Cell
from orchestrator.experiment.settings import Experiment
from orchestrator.records import now_ms
from orchestrator.tracking import drivers, ownership, sweep_run
from orchestrator.tracking.names import HEARTBEAT, OWNER
from orchestrator.tracking.tracker import Tracker


@contextmanager
def two_drivers(uri: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Tracker, Tracker]]:
    """Two processes with a store in common; the first one is this."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        monkeypatch.setattr(process_names.os, "getpid", lambda: other.pid)
        second = Tracker(uri, artifacts=folder / "artifacts")
        monkeypatch.undo()
        yield Tracker(uri, artifacts=folder / "artifacts"), second
        other.kill()


def test_the_parent_of_a_sweep_is_found_again(tracker: Tracker, uri: str, experiment: Experiment) -> None:
    tracker.sweep.close(complete=False)
    again = Tracker(uri)
    again.sweep.open(experiment, {})
    again.sweep.close(complete=True)
    client = MlflowClient(uri)
    known = client.get_experiment_by_name("sample")
    assert known is not None
    (parent,) = client.search_runs([known.experiment_id])
    assert parent.info.status == "FINISHED"


@pytest.mark.usefixtures("tracker")
def test_a_deleted_experiment_is_refused_with_the_way_back(uri: str, experiment: Experiment) -> None:
    client = MlflowClient(uri)
    known = client.get_experiment_by_name("sample")
    assert known is not None
    client.delete_experiment(known.experiment_id)
    with pytest.raises(UserError, match="restore"):
        Tracker(uri).sweep.open(experiment, {})


def test_the_parent_of_a_killed_driver_is_mended(
    uri: str, experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with two_drivers(uri, tmp_path, monkeypatch) as (survivor, killed):
        killed.sweep.open(experiment, {})
    (run,) = killed.sweep._found(experiment)
    assert run.info.status == "RUNNING"
    survivor.sweep.mend(experiment)
    (run,) = killed.sweep._found(experiment)
    assert run.info.status == "FINISHED"


def test_who_would_have_it_refused_is_known_without_writing(
    uri: str, experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with two_drivers(uri, tmp_path, monkeypatch) as (looking, other):
        assert looking.sweep.driver_at_work(experiment, {}) is None
        assert MlflowClient(uri).get_experiment_by_name("sample") is None
        other.sweep.open(experiment, {})
        found = looking.sweep.driver_at_work(experiment, {})
        assert found is not None
        assert found == process_names.described(other.sweep.owner)
        with pytest.raises(UserError, match=found):
            looking.sweep.open(experiment, {})
        other.sweep.close(complete=False)
        assert looking.sweep.driver_at_work(experiment, {}) is None


def test_credentials_in_the_uri_are_not_written_down(tmp_path: Path, experiment: Experiment, tracker: Tracker) -> None:
    secret = experiment.model_copy(
        update={"tracking": experiment.tracking.model_copy(update={"uri": "http://me:hunter2@host"})}
    )
    tracker.sweep.open(secret, {})
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"hunter2" not in written


def test_of_two_sweeps_that_start_at_once_one_goes_on(
    uri: str, experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both found no parent and made one; the first to have made its own goes on, and one parent is left."""
    monkeypatch.setattr(sweep_run, "LEASE_SETTLES_S", 0)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        monkeypatch.setattr(process_names.os, "getpid", lambda: other.pid)
        first = Tracker(uri, artifacts=tmp_path / "artifacts")
        monkeypatch.undo()
        second = Tracker(uri, artifacts=tmp_path / "artifacts")
        monkeypatch.setattr(second.sweep, "_earlier", lambda _: None)
        monkeypatch.setattr(second.sweep, "_refuse_second_owner", lambda *_: None)
        first.sweep.open(experiment, {})
        with pytest.raises(UserError, match=f"starts, too: process {other.pid} on "):
            second.sweep.open(experiment, {})
        second.sweep.close(complete=False)
        (parent,) = first.sweep._found(experiment)
        assert (parent.info.status, parent.data.tags[OWNER]) == ("RUNNING", first.sweep.owner)
        other.kill()


def test_artifacts_that_cannot_be_written_are_said(uri: str, experiment: Experiment, tmp_path: Path) -> None:
    """Where MLflow has the experiment already: its place cannot be changed any more."""
    tracker = Tracker(uri, artifacts=tmp_path / "artifacts")
    tracker.store.client.create_experiment("sample", artifact_location=(tmp_path / "artifacts").as_uri())
    (tmp_path / "artifacts").write_text("in the way")
    with pytest.raises(TrackingError, match="artifacts cannot be written"):
        tracker.sweep.open(experiment, {})
    tracker.sweep.close(complete=False)
    assert [run.info.status for run in tracker.sweep._found(experiment)] == ["KILLED"]


def test_a_second_driver_is_told_who_is_at_work(
    tracker: Tracker, uri: str, cells: list[Cell], experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker.open_cell(cells[0], None, sweep="sample")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        monkeypatch.setattr(process_names.os, "getpid", lambda: other.pid)
        second = Tracker(uri, artifacts=Path("/nowhere"))
        monkeypatch.undo()
        runs = second.cell_runs(cells)
        assert runs[cells[0].key].status == "running"
        with pytest.raises(UserError, match=f"at work: process {os.getpid()} on "):
            second.sweep.open(experiment, runs)
        # Another sweep that has one of the cells, too.
        renamed = experiment.model_copy(update={"name": "another"})
        with pytest.raises(UserError, match=f"at work: process {os.getpid()} on "):
            second.sweep.open(renamed, runs)
        tracker.interrupt_cell(cells[0])
        tracker.sweep.close(complete=False)
        second.sweep.open(experiment, second.cell_runs(cells))
        other.kill()


def test_a_sweep_that_has_nothing_to_write_gives_heartbeats_until_it_is_closed(
    uri: str, experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One upload may take longer than it takes others to think that the sweep is dead."""
    monkeypatch.setattr(ownership, "BEAT_EVERY_S", 0.05)
    tracker = Tracker(uri, artifacts=tmp_path / "artifacts")
    tracker.sweep.open(experiment, {})

    def heartbeats_in_a_while() -> int:
        found = set()
        for _ in range(20):
            (parent,) = tracker.sweep._found(experiment)
            found.add(parent.data.tags[HEARTBEAT])
            time.sleep(0.05)
        return len(found)

    assert heartbeats_in_a_while() > 2
    tracker.sweep.close(complete=False)
    time.sleep(0.5)
    assert heartbeats_in_a_while() == 1


def test_a_driver_that_was_killed_holds_nothing(
    uri: str, cells: list[Cell], experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        monkeypatch.setattr(process_names.os, "getpid", lambda: other.pid)
        killed = Tracker(uri, artifacts=tmp_path / "artifacts")
        monkeypatch.undo()
        killed.sweep.open(experiment, {})
        killed.open_cell(cells[0], None, sweep="sample")
        other.kill()
    survivor = Tracker(uri, artifacts=tmp_path / "artifacts")
    runs = survivor.cell_runs(cells)
    assert runs[cells[0].key].status == "interrupted"
    survivor.sweep.open(experiment, runs)


def test_a_sweep_at_work_is_not_ended_by_one_that_has_nothing_to_do(
    uri: str, experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their seeds differ: what the second asks for is done, the first has others to train."""
    with two_drivers(uri, tmp_path, monkeypatch) as (first, second):
        first.sweep.open(experiment, {})
        second.sweep.mend(experiment)
        (run,) = first.sweep._found(experiment)
        assert run.info.status == "RUNNING"
        first.sweep.close(complete=True)


def test_a_driver_that_was_taken_for_dead_writes_nothing_more(
    uri: str, cells: list[Cell], experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with two_drivers(uri, tmp_path, monkeypatch) as (first, second):
        first.sweep.open(experiment, {})
        first.open_cell(cells[0], None, sweep="sample")
        first.log_epoch(cells[0], epoch(1))
        # Out of reach for so long that another thinks it is dead.
        first.sweep._beaten_at -= ownership.STALE_S
        monkeypatch.setattr(second.sweep, "_refuse_second_owner", lambda *_: None)
        second.sweep.open(experiment, {})
        for write in (
            lambda: first.log_epoch(cells[0], epoch(2)),
            lambda: first.open_cell(cells[1], None, sweep="sample"),
            lambda: first.interrupt_cell(cells[0]),
        ):
            with pytest.raises(TrackingError, match="another sweep took over"):
                write()
        first.sweep._beat()
        first.sweep.close(complete=False)
        (run,) = second.sweep._found(experiment)
        assert (run.info.status, run.data.tags[OWNER]) == ("RUNNING", second.sweep.owner)
        second.sweep.close(complete=False)


@pytest.mark.parametrize("off_s", [-7200, 7200])
def test_a_driver_of_another_machine_is_told_whose_clock_is_off(
    uri: str, experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, off_s: int
) -> None:
    """Two hours, which NTP would mend; the second sees that the first is at work all the same."""
    monkeypatch.setattr(ownership, "BEAT_EVERY_S", 0.1)
    monkeypatch.setattr(drivers, "LOOK_EVERY_S", 0.1)
    monkeypatch.setattr(sweep_run, "now_ms", lambda: now_ms() + 1000 * off_s)
    first, second = Tracker(uri, artifacts=tmp_path / "artifacts"), Tracker(uri, artifacts=tmp_path / "artifacts")
    first.sweep.owner = "elsewhere:0badcafe:1:0123abcd"
    first.sweep.open(experiment, {})
    said: list[str] = []
    with pytest.raises(UserError, match="at work: process 1 on elsewhere"):
        second.sweep.open(experiment, {}, say=said.append)
    assert "looking for a sign of life" in said[0]
    first.sweep.close(complete=False)
    second.sweep.open(experiment, {}, say=pytest.fail)
    second.sweep.close(complete=False)


@pytest.mark.parametrize("off_s", [-7200, 7200])
def test_a_driver_of_another_machine_that_died_is_replaced_whatever_its_clock_said(
    uri: str, experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, off_s: int
) -> None:
    monkeypatch.setattr(drivers, "LOOK_EVERY_S", 0.1)
    monkeypatch.setattr(drivers, "STALE_S", 0.5)
    monkeypatch.setattr(sweep_run, "now_ms", lambda: now_ms() + 1000 * off_s)
    first, second = Tracker(uri, artifacts=tmp_path / "artifacts"), Tracker(uri, artifacts=tmp_path / "artifacts")
    first.sweep.owner = "elsewhere:0badcafe:1:0123abcd"
    first.sweep.open(experiment, {})
    first.sweep._at_work.close()
    second.sweep.open(experiment, {})
    (run,) = second.sweep._found(experiment)
    assert run.data.tags[OWNER] == second.sweep.owner
    second.sweep.close(complete=False)


def test_who_lost_its_runs_notices_with_its_next_heartbeat(
    uri: str, cells: list[Cell], experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its own clock it was never silent, e.g. in a machine that was paused from outside."""
    with two_drivers(uri, tmp_path, monkeypatch) as (first, second):
        first.sweep.open(experiment, {})
        first.open_cell(cells[0], None, sweep="sample")
        monkeypatch.setattr(second.sweep, "_refuse_second_owner", lambda *_: None)
        second.sweep.open(experiment, {})
        first.sweep._beat()
        with pytest.raises(TrackingError, match="another sweep took over"):
            first.log_epoch(cells[0], epoch(1))
        second.sweep.close(complete=False)


def test_who_is_silent_for_half_as_long_as_others_wait_looks_before_it_writes(
    uri: str, cells: list[Cell], experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with two_drivers(uri, tmp_path, monkeypatch) as (first, second):
        first.sweep.open(experiment, {})
        first.open_cell(cells[0], None, sweep="sample")
        first.sweep._beaten_at -= ownership.STALE_S / 2 + 1
        monkeypatch.setattr(second.sweep, "_refuse_second_owner", lambda *_: None)
        second.sweep.open(experiment, {})
        with pytest.raises(TrackingError, match="another sweep took over"):
            first.log_epoch(cells[0], epoch(1))
        second.sweep.close(complete=False)


def test_what_is_kept_of_a_sweep_is_not_taken_while_mlflow_is_away(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its heartbeats were lost, too: who has not been heard of asks before it writes, and that is not answered."""

    def fail(_: str) -> None:
        raise MlflowException("nobody answers")

    tracker.sweep._beaten_at -= ownership.STALE_S
    monkeypatch.setattr(tracker.sweep._client, "get_run", fail)
    with pytest.raises(TrackingError, match=r"does not take the race .*nobody answers"):
        tracker.sweep.log_race("{}")


def test_a_cell_that_was_taken_meanwhile_is_left_alone_and_the_others_go_on(
    uri: str, cells: list[Cell], experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    renamed = experiment.model_copy(update={"name": "another"})
    with two_drivers(uri, tmp_path, monkeypatch) as (first, second):
        first.sweep.open(experiment, {})
        for cell in cells:
            first.open_cell(cell, None, sweep="sample")
        first.sweep._beaten_at -= ownership.STALE_S
        monkeypatch.setattr(second, "_refuse_taken_run", lambda _: None)
        second.sweep.open(renamed, {})
        second.open_cell(cells[0], None, sweep="another")
        first.log_epoch(cells[1], epoch(1))
        with pytest.raises(TrackingError, match="another sweep took run"):
            first.log_epoch(cells[0], epoch(1))
        first.sweep.close(complete=False)
        second.sweep.close(complete=False)


def test_who_came_between_two_questions_is_told_of_and_not_a_traceback(
    uri: str, experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = Tracker(uri, artifacts=tmp_path / "artifacts")
    monkeypatch.setattr(sweep_run, "LEASE_SETTLES_S", 0)
    monkeypatch.setattr(tracker.store.drivers, "not_known_dead", frozenset)
    with pytest.raises(UserError, match="a sweep of the same cells starts, too\n"):
        tracker.sweep.open(experiment, {})
