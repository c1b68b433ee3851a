"""What a finished cell left lies in a bucket: what is wrong with that is no fault of MLflow's, nor of the cell's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, current_thread
from typing import Any

import pytest
from commands import until
from mlflow.entities import Run
from s3_server import Proxy, proxy_before
from sweep_samples import ERM, MIXUP, make_cells
from tracked import FACTS, RESULT, epoch, save_weights

from orchestrator.experiment import Cell
from orchestrator.objects import Address
from orchestrator.records import Interrupted, Opened, Paused, Started, Stopped
from orchestrator.storage import Storage, object_lock, storage_at
from orchestrator.tracking import delivery as delivering
from orchestrator.tracking.delivery import Delivery
from orchestrator.tracking.names import REASON
from orchestrator.tracking.tracker import Tracker

pytest.importorskip("obstore", reason="obstore is not installed: pip install zetasweep[objects]")


@pytest.fixture
def proxy(s3: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    monkeypatch.setattr(object_lock, "PATIENCE_S", 0.3)
    monkeypatch.setattr(delivering, "FIRST_PAUSE_S", 0.05)
    with proxy_before(s3) as proxy:
        yield proxy


@pytest.fixture
def storage(bucket: Address, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    return storage_at(bucket, copies_in=tmp_path / "copies")


def delivery_of(tracker: Tracker, storage: Storage, said: list[str]) -> Delivery:
    return Delivery(
        tracker,
        warm_up=lambda: None,
        known={},
        data_dir=storage.root,
        storage=storage,
        sweep="sample",
        say=said.append,
    )


def finished_cell(storage: Storage, cell: Cell) -> None:
    folder = storage.cell(cell.key)
    folder.path.mkdir(parents=True)
    save_weights(folder.path)
    folder.keep(folder.path / "best.pt")


def deliver(delivery: Delivery, cell: Cell) -> None:
    for event in (Opened(1), Started(FACTS), epoch(1), RESULT):
        delivery.deliver(cell, event)


def run_of(tracker: Tracker, cell: Cell) -> Run:
    return tracker.store.client.get_run(tracker.run_id_of(cell))


def test_a_bucket_that_does_not_answer_is_waited_for(
    tracker: Tracker, storage: Storage, proxy: Proxy, bucket: Address
) -> None:
    cells, said = make_cells(ERM, MIXUP, seeds=(0,)), list[str]()
    for cell in cells:
        finished_cell(storage, cell)
    with delivery_of(tracker, storage, said) as delivery:
        proxy.share = 2.0
        for cell in cells:
            deliver(delivery, cell)
        until(lambda: bool(said) and proxy.bad > 12)
        assert not delivery.undelivered
        proxy.share = 0.0
    assert not delivery.undelivered
    assert [run_of(tracker, cell).info.status for cell in cells] == ["FINISHED", "FINISHED"]
    assert said[0].startswith(f"results cannot be read: storage = {bucket}: ")
    assert said[0].endswith("training goes on, the results wait")
    assert said[-1] == "results can be read again"


def test_a_bucket_that_stays_away_leaves_the_results_for_another_day(
    tracker: Tracker, storage: Storage, proxy: Proxy
) -> None:
    (cell,), said = make_cells(ERM, seeds=(0,)), list[str]()
    finished_cell(storage, cell)
    with delivery_of(tracker, storage, said) as delivery:
        delivery.closing_grace_s = 0.5
        proxy.share = 2.0
        deliver(delivery, cell)
    assert list(delivery.undelivered) == [cell.key]
    assert not delivery.untellable
    assert run_of(tracker, cell).info.status == "RUNNING", "it is no failure"
    proxy.share = 0.0
    with delivery_of(tracker, storage, said) as delivery:
        deliver(delivery, cell)
    assert not delivery.undelivered


def test_a_bucket_that_refuses_is_named_with_what_helps_and_the_cell_is_not_lost(
    tracker: Tracker, storage: Storage, proxy: Proxy, bucket: Address
) -> None:
    (cell,), said = make_cells(ERM, seeds=(0,)), list[str]()
    finished_cell(storage, cell)
    with delivery_of(tracker, storage, said) as delivery:
        proxy.denies = True
        deliver(delivery, cell)
    assert delivery.undelivered[cell.key].startswith(f"storage = {bucket}: no permission")
    assert "list, read, write and delete" in delivery.undelivered[cell.key]
    assert not delivery.untellable
    run = run_of(tracker, cell)
    assert run.info.status == "KILLED"
    assert run.data.tags[REASON].startswith(f"its results cannot be read: storage = {bucket}: no permission")


def test_weights_that_are_lost_or_damaged_are_named_by_their_address(
    tracker: Tracker, storage: Storage, bucket: Address
) -> None:
    lost, damaged = make_cells(ERM, MIXUP, seeds=(0,))
    storage.objects.put(f"cells/{damaged.key}/best.pt", b"no weights")
    said: list[str] = []
    with delivery_of(tracker, storage, said) as delivery:
        deliver(delivery, lost)
        deliver(delivery, damaged)
    assert delivery.untellable == {lost.key, damaged.key}
    assert delivery.undelivered[lost.key].startswith(f"{bucket}/cells/{lost.key}/best.pt is not there: ")
    assert delivery.undelivered[damaged.key].startswith(
        f"{bucket}/cells/{damaged.key}/best.pt: it cannot be read (DamagedError: {bucket}/cells/{damaged.key}/best.pt: "
    )
    assert str(storage.root) not in "".join((*delivery.undelivered.values(), *said))


def test_whoever_tells_waits_for_no_bucket(tracker: Tracker, storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the loop that hands out legs: of who was stopped at a rung, also before this driver came, and of what
    follows while the thread of the delivery removes the journal of a leg."""
    here, other = make_cells(ERM, MIXUP, seeds=(0,))
    objects = storage.cell(here.key).mirror.objects  # type: ignore[union-attr]
    asked, removing, goes_on, went_on = list[tuple[str, str]](), Event(), Event(), list[bool]()

    def noting(name: str, ask: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any, **options: Any) -> Any:
            asked.append((name, current_thread().name))
            if name == "delete":
                removing.set()
                went_on.append(goes_on.wait(10))
            return ask(*arguments, **options)

        return noted

    for name in ("list", "read", "fetch", "put", "delete"):
        monkeypatch.setattr(objects, name, noting(name, getattr(objects, name)))
    with delivery_of(tracker, storage, []) as delivery:
        for event in (Opened(1), Started(FACTS), epoch(1), Paused(1, 1)):
            delivery.tell(here, event)
        until(removing.is_set)
        for cell in (here, other):
            delivery.tell(cell, Stopped(rung=1, place=3, mean=0.3, cut=0.2, timestamp_ms=9))
        delivery.tell(here, Opened(2))
        goes_on.set()
        delivery.tell(here, Interrupted())
    assert current_thread().name not in {thread for _, thread in asked}
    assert all(went_on), "whoever told waited for the removal"
    assert not delivery.undelivered
