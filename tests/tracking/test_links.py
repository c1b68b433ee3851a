"""Cells that another MLflow experiment has are linked into that of the sweep, in a real SQLite store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from tracked import FACTS, RESULT, epoch, export, save_weights

from orchestrator.errors import TrackingError
from orchestrator.experiment.cells import Cell
from orchestrator.experiment.settings import Experiment
from orchestrator.storage import CellFolder
from orchestrator.tracking import Ledger
from orchestrator.tracking.links import Links
from orchestrator.tracking.tracker import Tracker


def finish(tracker: Tracker, cell: Cell) -> str:
    """Have MLflow a finished run of a cell, without a model, which takes seconds; return its id."""
    tracker.open_cell(cell, None, sweep="sample")
    tracker.log_epoch(cell, epoch(1))
    run_id = tracker.cell_runs([cell])[cell.key].run_id
    assert run_id is not None
    tracker.store.client.set_terminated(run_id)
    return run_id


def renamed(experiment: Experiment, name: str = "renamed") -> Experiment:
    return experiment.model_copy(update={"name": name})


def link_into(uri: str, experiment: Experiment, cells: Sequence[Cell]) -> int:
    """What a later driver does, of a sweep with another name."""
    # With a folder of its own, as in storage: a shared store is waited for.
    tracker = Tracker(uri, artifacts=experiment.storage / "artifacts")
    runs = tracker.cell_runs(cells)
    tracker.sweep.open(experiment, runs)
    made = tracker.link(experiment, cells, runs)
    tracker.sweep.close(complete=True)
    return made


def links_in(uri: str, name: str) -> list[Run]:
    client = MlflowClient(uri)
    known = client.get_experiment_by_name(name)
    assert known is not None
    return list(client.search_runs([known.experiment_id], "tags.`zetasweep.kind` = 'link'"))


def test_a_link_has_what_a_table_shows(
    tracker: Tracker, uri: str, cells: list[Cell], experiment: Experiment, tmp_path: Path
) -> None:
    save_weights(tmp_path / "cell")
    tracker.open_cell(cells[0], None, sweep="sample")
    tracker.log_started(cells[0], FACTS, data_dir=tmp_path)
    tracker.log_epoch(cells[0], epoch(1))
    tracker.log_epoch(cells[0], epoch(2))
    tracker.finish_cell(cells[0], RESULT, FACTS, folder=CellFolder(tmp_path / "cell"))
    export(tracker, cells[0], tmp_path / "cell")
    tracker.open_cell(cells[1], None, sweep="sample")
    run_id = tracker.cell_runs(cells)[cells[0].key].run_id
    assert run_id is not None
    assert tracker.lacks_links(renamed(experiment), cells, tracker.cell_runs(cells))
    assert link_into(uri, renamed(experiment), cells) == 1, "what is not finished has no link"
    client = MlflowClient(uri)
    linked = client.get_run(run_id)
    (link,) = links_in(uri, "renamed")
    assert link.data.params == linked.data.params
    assert link.data.metrics == linked.data.metrics
    assert link.info.status == "FINISHED"
    assert (link.info.start_time, link.info.end_time) == (linked.info.start_time, linked.info.end_time)
    for name in ("mlflow.runName", "zetasweep.cell", "zetasweep.split_hash", "zetasweep.model_uri"):
        assert link.data.tags[name] == linked.data.tags[name]
    assert link.data.tags["zetasweep.linked_run"] == run_id
    parent = client.get_run(link.data.tags["mlflow.parentRunId"])
    assert parent.data.tags["zetasweep.sweep"] == "renamed"
    note = link.data.tags["mlflow.note.content"]
    assert f"[run {run_id}](#/experiments/{linked.info.experiment_id}/runs/{run_id})" in note
    assert "sample" in note


def test_the_note_of_a_link_shows_the_name_of_the_other_experiment_as_it_is(
    uri: str, cells: list[Cell], experiment: Experiment
) -> None:
    tracker = Tracker(uri, artifacts=experiment.storage / "artifacts")
    tracker.sweep.open(renamed(experiment, "*a* <b>"), {})
    finish(tracker, cells[0])
    tracker.sweep.close(complete=True)
    assert link_into(uri, experiment, cells) == 1
    (link,) = links_in(uri, "sample")
    note = link.data.tags["mlflow.note.content"]
    assert note.startswith(r"Trained by another sweep, in the experiment \*a\* &lt;b&gt;: [run ")


def test_a_link_is_made_once_and_is_no_run_of_the_cell(
    tracker: Tracker, uri: str, cells: list[Cell], experiment: Experiment
) -> None:
    run_id = finish(tracker, cells[0])
    tracker.sweep.close(complete=True)
    assert link_into(uri, renamed(experiment), cells) == 1
    assert link_into(uri, renamed(experiment), cells) == 0
    again = Tracker(uri)
    runs = again.cell_runs(cells)
    assert not again.lacks_links(renamed(experiment), cells, runs)
    assert [(run.run_id, run.experiment) for run in runs.values()] == [(run_id, "sample")]
    found = Ledger(again.store, say=print).examine()
    assert (found.left_open, found.doubled) == ([], [])
    # At home there is nothing to link.
    assert not again.lacks_links(experiment, cells, runs)


def test_the_keys_are_read_as_often_whatever_the_number_of_links(
    tracker: Tracker, uri: str, cells: list[Cell], experiment: Experiment
) -> None:
    num_read = 0

    class Counted(list[str]):
        def __iter__(self) -> Iterator[str]:
            nonlocal num_read
            num_read += 1
            return super().__iter__()

    for cell in cells:
        finish(tracker, cell)
    tracker.sweep.close(complete=True)
    counts = []
    for some in (cells[:1], cells):
        link_into(uri, renamed(experiment), some)
        links = Links(
            tracker.store, home="renamed", keys=Counted(cell.key for cell in some), runs=tracker.cell_runs(some)
        )
        assert not links.is_needed()
        counts.append(num_read - sum(counts))
    assert counts[0] == counts[1]


def test_a_half_made_link_and_one_that_leads_nowhere_are_replaced(
    tracker: Tracker, uri: str, cells: list[Cell], experiment: Experiment
) -> None:
    first = finish(tracker, cells[0])
    assert link_into(uri, renamed(experiment), cells) == 1
    client = MlflowClient(uri)
    (link,) = links_in(uri, "renamed")
    client.update_run(link.info.run_id, status="RUNNING")
    assert link_into(uri, renamed(experiment), cells) == 1
    (link,) = links_in(uri, "renamed")
    assert link.info.status == "FINISHED"
    client.delete_run(first)
    second = finish(tracker, cells[0])
    assert link_into(uri, renamed(experiment), cells) == 1
    (link,) = links_in(uri, "renamed")
    assert link.data.tags["zetasweep.linked_run"] == second
    client.delete_run(second)
    assert link_into(uri, renamed(experiment), cells) == 0
    assert links_in(uri, "renamed") == []


@pytest.mark.usefixtures("tracker")
def test_links_of_other_cells_stay(uri: str, cells: list[Cell], experiment: Experiment, tmp_path: Path) -> None:
    tracker = Tracker(uri, artifacts=tmp_path / "artifacts")
    tracker.sweep.open(experiment, {})
    for cell in cells:
        finish(tracker, cell)
    tracker.sweep.close(complete=True)
    assert link_into(uri, renamed(experiment), cells) == 2
    assert link_into(uri, renamed(experiment), cells[:1]) == 0
    assert len(links_in(uri, "renamed")) == 2


def test_of_two_good_links_one_stays(tracker: Tracker, uri: str, cells: list[Cell], experiment: Experiment) -> None:
    """As two drivers may have made them at the same time."""
    finish(tracker, cells[0])
    assert link_into(uri, renamed(experiment), cells) == 1
    client = MlflowClient(uri)
    (first,) = links_in(uri, "renamed")
    client.delete_run(first.info.run_id)
    assert link_into(uri, renamed(experiment), cells) == 1
    client.restore_run(first.info.run_id)
    assert len(links_in(uri, "renamed")) == 2
    later = Tracker(uri)
    assert later.lacks_links(renamed(experiment), cells, later.cell_runs(cells))
    assert link_into(uri, renamed(experiment), cells) == 0
    assert len(links_in(uri, "renamed")) == 1
    assert not later.lacks_links(renamed(experiment), cells, later.cell_runs(cells))


# What a driver writes for a needless link and a missing one.
WRITES = ("delete_run", "create_run", "log_batch", "set_terminated")


@pytest.mark.parametrize("lost_before", range(len(WRITES)), ids=WRITES)
def test_who_lost_the_sweep_writes_no_more(
    tracker: Tracker,
    uri: str,
    cells: list[Cell],
    experiment: Experiment,
    monkeypatch: pytest.MonkeyPatch,
    lost_before: int,
) -> None:
    """Whichever write comes next: with each of them minutes may pass."""
    finish(tracker, cells[0])
    assert link_into(uri, renamed(experiment), cells) == 1
    (half_made,) = links_in(uri, "renamed")
    tracker.store.client.update_run(half_made.info.run_id, status="RUNNING")
    driver = Tracker(uri, artifacts=experiment.storage / "artifacts")
    runs = driver.cell_runs(cells)
    driver.sweep.open(renamed(experiment), runs)
    written: list[str] = []

    def noting(name: str, write: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any, **options: Any) -> Any:
            written.append(name)
            done = write(*arguments, **options)
            driver.sweep._lost = name == WRITES[lost_before - 1]
            return done

        return noted

    driver.sweep._lost = lost_before == 0
    for name in WRITES:
        monkeypatch.setattr(driver.store.client, name, noting(name, getattr(driver.store.client, name)))
    with pytest.raises(TrackingError, match="another sweep took over"):
        driver.link(renamed(experiment), cells, runs)
    assert [name for name in WRITES if name in written] == list(WRITES[:lost_before])
    monkeypatch.undo()
    driver.sweep._lost = False
    driver.sweep.close(complete=False)
