"""What MLflow has of a race: the curve of each cell in a tag, who waits and who was stopped, and what is kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest
from mlflow.entities import Run
from sweep_samples import ERM, MIXUP, make_cells
from tracked import FACTS, RESULT, epoch, save_weights

from orchestrator.experiment.cells import Cell
from orchestrator.experiment.settings import Experiment
from orchestrator.racing import Kept
from orchestrator.records import CellResult, Curve, EpochResult, Opened, Paused, Started, Stopped
from orchestrator.search import Point
from orchestrator.storage import Storage, journal
from orchestrator.tracking import kept_of
from orchestrator.tracking.curves import curve_in, curve_tag, read_curve
from orchestrator.tracking.delivery import Delivery
from orchestrator.tracking.names import CURVE, RACE, RACE_CUT, RACE_MEAN, RACE_PLACE, RACE_RUNG
from orchestrator.tracking.tracker import Tracker

A, B = make_cells(ERM, MIXUP, seeds=(0,))
# Until then the error at the epoch was read: such a run is read from its history.
EARLIER = '{"error":{"1":0.5},"loss":{"1":0.7},"epoch_s":1.5}'
STOPPED = Stopped(rung=1, place=3, mean=0.3, cut=0.1 + 0.2, timestamp_ms=9)


@pytest.fixture
def delivery(tracker: Tracker, tmp_path: Path) -> Iterator[Delivery]:
    with Delivery(
        tracker,
        warm_up=lambda: None,
        known={},
        data_dir=tmp_path,
        storage=Storage(tmp_path),
        sweep="sample",
        read_at=lambda _: (2, 4),
    ) as found:
        yield found
    assert not found.undelivered


def leg(delivery: Delivery, cell: Cell, *, until: int, event: CellResult | Paused | None = None) -> None:
    """Tell of a leg as workers do: all epochs from the first."""
    for each in (Opened(until), Started(FACTS), *map(epoch, range(1, until + 1)), event or Paused(until, until)):
        delivery.tell(cell, each)


def run_of(tracker: Tracker, cell: Cell) -> Run:
    (found,) = tracker._runs_of(cell)
    return found


def test_a_cell_has_one_run_over_all_legs_and_each_epoch_once(tracker: Tracker, tmp_path: Path) -> None:
    save_weights(tmp_path / "cells" / A.key)
    states = []
    for until, event in ((2, None), (3, None), (4, RESULT)):
        with Delivery(
            tracker,
            warm_up=lambda: None,
            known=tracker.cell_runs([A]),
            data_dir=tmp_path,
            storage=Storage(tmp_path),
            sweep="sample",
            read_at=lambda _: (2, 4),
        ) as delivery:
            leg(delivery, A, until=until, event=event)
        run = run_of(tracker, A)
        (known,) = tracker.cell_runs([A]).values()
        states.append((run.info.status, known.status, known.race, known.curve))
    two = {2: 0.25}
    assert states == [
        ("KILLED", "interrupted", "paused", Curve({"best/error": two, "best/loss": {}}, 0.75)),
        ("KILLED", "interrupted", "paused", Curve({"best/error": two, "best/loss": {}}, 0.75)),
        ("FINISHED", "done", None, Curve({"best/error": {**two, 4: 0.125}, "best/loss": {}}, 0.75)),
    ]
    rows = tracker.store.client.get_metric_history(run.info.run_id, "val/error")
    assert [(row.step, row.value) for row in rows] == [(n, 0.5 / n) for n in (1, 2, 3, 4)]
    assert not journal.read(tmp_path / "cells" / A.key)


def test_legs_of_one_driver_are_written_one_after_the_other(tracker: Tracker, tmp_path: Path) -> None:
    """The second begins while MLflow still takes the first: what is on disk of it stays."""
    held, goes_on = Event(), Event()
    store, close = tracker.pause_cell, tracker.pause_cell

    def slowly(*args: object, **options: object) -> None:
        held.set()
        assert goes_on.wait(60)
        close(*args, **options)  # type: ignore[arg-type]

    tracker.pause_cell = slowly  # type: ignore[method-assign]
    with Delivery(
        tracker, warm_up=lambda: None, known={}, data_dir=tmp_path, storage=Storage(tmp_path), sweep="sample"
    ) as delivery:
        leg(delivery, A, until=2)
        assert held.wait(60)
        tracker.pause_cell = store  # type: ignore[method-assign]
        for each in (Opened(7), Started(FACTS), epoch(1), epoch(2), epoch(3)):
            delivery.tell(A, each)
        assert delivery.left()[0] == 1
        goes_on.set()
        while delivery.left()[0]:
            pass
        assert [type(each) for each in journal.read(tmp_path / "cells" / A.key)][:2] == [Opened, Started]
        delivery.tell(A, Paused(3, 3))
    assert delivery.left()[0] == 0
    assert not journal.read(tmp_path / "cells" / A.key)
    assert run_of(tracker, A).data.metrics["epoch"] == 3


def test_who_was_stopped_says_where_and_why_until_it_goes_on(delivery: Delivery, tracker: Tracker) -> None:
    leg(delivery, A, until=2)
    delivery.tell(A, STOPPED)
    delivery.tell(B, STOPPED)
    delivery.__exit__()
    tags = run_of(tracker, A).data.tags
    assert [tags[name] for name in (RACE, RACE_RUNG, RACE_PLACE, RACE_MEAN)] == ["stopped", "1", "3", "0.3"]
    assert float(tags[RACE_CUT]) == STOPPED.cut
    assert run_of(tracker, A).info.status == "KILLED"
    (known,) = tracker.cell_runs([A, B]).values()
    assert (known.status, known.race) == ("interrupted", "stopped"), "what that means is for a race to say"
    tracker.open_cell(A, known, sweep="sample")
    tags = run_of(tracker, A).data.tags
    assert {tags[name] for name in (RACE, RACE_RUNG, RACE_PLACE, RACE_MEAN, RACE_CUT)} == {""}


@pytest.mark.parametrize("by", ["error", "auroc", "last"])
def test_a_curve_comes_back_exactly(tracker: Tracker, by: str) -> None:
    results = [
        EpochResult(n, {"val/error": 1 / (3 * n), "val/loss": 2 / (3 * n)}, timestamp_ms=1_500 * n) for n in range(1, 5)
    ]
    # The third epoch is the one that would be tested, by whatever decides.
    results[2].metrics.update({"val/error": 1 / 20, "val/auroc": 0.9})
    tag = curve_tag(results, at=(1, 4), by=by)
    assert json.loads(tag).keys() == {"best/error", "best/loss", "epoch_s"}
    error, loss = (1 / 12, 1 / 6) if by == "last" else (1 / 20, 2 / 9)
    expected = Curve({"best/error": {1: 1 / 3, 4: error}, "best/loss": {1: 2 / 3, 4: loss}}, 1.5)
    assert curve_in({CURVE: tag}) == expected
    for other in ({}, {CURVE: ""}, {CURVE: "[]"}, {CURVE: '{"later": 1}'}, {CURVE: EARLIER}):
        assert curve_in(other) is None
    tracker.open_cell(A, None, sweep="sample")
    for result in results:
        tracker.log_epoch(A, result)
    (run,) = tracker.cell_runs([A]).values()
    assert read_curve(tracker.store, run, at=(1, 4), by=by) == expected, "a run without the tag has a history"


def test_what_is_kept_is_read_from_storage_and_else_from_mlflow(
    tracker: Tracker, experiment: Experiment, tmp_path: Path
) -> None:
    def kept(folder: str) -> Kept:
        return kept_of(experiment, Storage(tmp_path / folder), tracker.store)

    assert kept("a") == Kept(sweep="sample")
    in_mlflow = Kept(sweep="sample", asked={"q": (Point("mixup", (("alpha", 0.5), ("n", 4))),)})
    tracker.sweep.log_race(json.dumps({"kept": in_mlflow.model_dump(mode="json"), "columns": []}))
    assert kept("a") == in_mlflow
    in_storage = Kept(sweep="sample", epoch_s={"place": 7.0}, asked={"r": (Point("erm"),)})
    in_storage.save(Storage(tmp_path / "a").race("sample"))
    both = in_storage.model_copy(update={"asked": in_mlflow.asked | in_storage.asked})
    assert (kept("a"), kept("b")) == (both, in_mlflow), "another machine has gone on with it"


def test_where_storage_and_mlflow_contradict_that_is_said(
    tracker: Tracker, experiment: Experiment, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    here, there = (Kept(sweep="sample", asked={"q": (Point(name),)}) for name in ("erm", "mixup"))
    here.save(Storage(tmp_path).race("sample"))
    tracker.sweep.log_race(json.dumps({"kept": there.model_dump(mode="json"), "columns": []}))
    assert kept_of(experiment, Storage(tmp_path), tracker.store) == here
    assert "differ in 1 place of what a search keeps: the file counts here; move it away" in caplog.text


def test_a_cell_that_was_lost_says_so_until_it_goes_on(tracker: Tracker) -> None:
    for is_lost in (True, False):
        tracker.open_cell(A, None, sweep="sample")
        tracker.fail_cell(A, "why", is_lost=is_lost)
        (run,) = tracker.cell_runs([A]).values()
        assert (run.status, run.is_lost) == ("failed", is_lost)


def test_a_stop_is_read_back_and_ends_what_a_killed_driver_left_open(tracker: Tracker) -> None:
    tracker.open_cell(A, None, sweep="sample")
    tracker._run_ids.clear()  # another driver
    (known,) = tracker.cell_runs([A]).values()
    tracker.stop_cell(A, STOPPED, known)
    (run,) = tracker.cell_runs([A]).values()
    assert run.stopped == replace(STOPPED, timestamp_ms=0)
    assert run_of(tracker, A).info.status == "KILLED"


def test_every_run_knows_how_many_epochs_it_was_to_have(tracker: Tracker) -> None:
    tracker.open_cell(A, None, sweep="sample")
    assert {key: run.epochs for key, run in tracker.every_cell_run().items()} == {A.key: A.train.epochs}
