"""What cannot be delivered to MLflow is said, and stops nobody else."""

from __future__ import annotations

import errno
import os
import re
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Semaphore
from typing import Any, cast

import pytest
from commands import until
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR
from sweep_samples import ERM, MIXUP, ZETA, make_cells
from tracked import FACTS

from orchestrator.experiment.cells import Cell
from orchestrator.records import CellFacts, CellResult, CellRun, EpochResult, Opened, Paused, Started
from orchestrator.storage import CellFolder, journal
from orchestrator.storage.folder import Storage
from orchestrator.tracking.delivery import MAX_REFUSALS, Delivery
from orchestrator.tracking.outbox import Outbox
from orchestrator.tracking.rows import SupersededError
from orchestrator.tracking.tracker import Tracker

EPOCH = EpochResult(epoch=1, metrics={"val/error": 0.5}, timestamp_ms=1)
RESULT = CellResult(metrics={"best/epoch": 1.0}, timestamp_ms=2)


class FlakyTracker:
    """Stands in for a store that refuses one cell: a real one cannot be made to fail for one run only."""

    def __init__(self, refused: Cell) -> None:
        self._refused = refused
        self.written: list[tuple[str, str]] = []

    def _write(self, kind: str, cell: Cell) -> None:
        if cell == self._refused and kind == "epoch":
            raise ValueError("the server refuses it\nwith details")
        self.written.append((kind, cell.augment.name))

    @property
    def store(self) -> FlakyTracker:
        return self

    def answers(self) -> bool:
        return True

    def give_up_cell(self, cell: Cell, problem: Exception) -> None:
        pass

    def open_cell(self, cell: Cell, known: CellRun | None, *, sweep: str, timestamp_ms: int) -> None:
        assert known is None
        self._write("opened", cell)

    def log_started(self, cell: Cell, facts: CellFacts, *, data_dir: Path) -> None:
        self._write("started", cell)

    def log_audit(self, cell: Cell, folder: Path, *, timestamp_ms: int) -> None:
        self._write("audit", cell)

    def log_epoch(self, cell: Cell, result: EpochResult) -> None:
        self._write("epoch", cell)

    def finish_cell(
        self, cell: Cell, result: CellResult, facts: CellFacts, *, folder: CellFolder, read_at: object
    ) -> None:
        assert facts == FACTS
        self._write("finish", cell)

    def pause_cell(self, cell: Cell, event: Paused, *, read_at: object) -> None:
        self._write("pause", cell)


class ForgetfulTracker(FlakyTracker):
    """Stands in for a store that has other numbers of an epoch, as after a training that was lost on a GPU."""

    def __init__(self) -> None:
        super().__init__(make_cells(MIXUP, seeds=(9,))[0])
        self.runs: list[dict[int, float]] = []
        self.discarded = 0

    def open_cell(self, cell: Cell, known: CellRun | None, *, sweep: str, timestamp_ms: int) -> None:
        self.runs.append({})

    def log_epoch(self, cell: Cell, result: EpochResult) -> None:
        if self.runs[-1].setdefault(result.epoch, result.metrics["train/loss"]) != result.metrics["train/loss"]:
            raise SupersededError

    def discard_cell(self, cell: Cell) -> None:
        self.discarded += 1


def make_delivery(tracker: object, folder: Path, **options: Any) -> Delivery:
    return Delivery(
        cast(Tracker, tracker),
        warm_up=lambda: None,
        known={},
        data_dir=folder,
        storage=Storage(folder),
        sweep="sample",
        **options,
    )


@pytest.mark.parametrize(("again_from", "expected"), [(1, [9.1, 9.2, 9.3]), (2, [0.1, 9.2, 9.3])])
def test_epochs_that_are_told_again_with_other_numbers_need_one_more_run(
    tmp_path: Path, again_from: int, expected: list[float]
) -> None:
    (cell,) = make_cells(ERM, seeds=(0,))
    tracker = ForgetfulTracker()
    with make_delivery(tracker, tmp_path) as delivery:
        delivery.tell(cell, Opened(1))
        delivery.tell(cell, Started(FACTS))
        for base, first, last in ((0, 1, 2), (9, again_from, 3)):
            for epoch in range(first, last + 1):
                delivery.tell(cell, EpochResult(epoch, {"train/loss": base + epoch / 10}, timestamp_ms=epoch))
        delivery.tell(cell, RESULT)
    assert not delivery.undelivered
    assert list(tracker.runs[-1].values()) == expected
    assert (len(tracker.runs), tracker.discarded) == (2, 1)


@pytest.mark.parametrize(
    ("error", "undelivered"),
    [
        (OSError("no space left on the device"), {}),
        (RuntimeError("a mistake"), {}),
        (SystemExit(1), {0: "SystemExit ended its delivery"}),
    ],
    ids=["terminal gone", "mistake", "end of the program"],
)
def test_what_fails_beside_the_writing_ends_no_delivery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, undelivered: dict[int, str]
) -> None:
    monkeypatch.setattr("orchestrator.tracking.delivery.FIRST_PAUSE_S", 0.01)
    cells = make_cells(ERM, MIXUP, seeds=(0,))
    tracker = AbsentTracker(refusals=1)

    def say(_: str) -> None:
        raise error

    with make_delivery(tracker, tmp_path, say=say) as delivery:
        for cell in cells:
            delivery.tell(cell, Opened(1))
            delivery.tell(cell, Started(FACTS))
    assert delivery.undelivered == {cells[place].key: reason for place, reason in undelivered.items()}
    assert tracker.written[-2:] == [("opened", "mixup"), ("started", "mixup")]


class SlowTracker(FlakyTracker):
    """Stands in for a store that takes a model when it is told to."""

    def __init__(self) -> None:
        super().__init__(make_cells(MIXUP, seeds=(9,))[0])
        self.takes = Semaphore(0)

    def _write(self, kind: str, cell: Cell) -> None:
        if kind == "finish":
            self.takes.acquire()
        super()._write(kind, cell)


def test_at_the_end_it_is_said_how_many_cells_are_left_and_for_how_long(tmp_path: Path, said: list[str]) -> None:
    """After 215 cells that took 18 s to train, the screen stood still for 75 s."""
    cells, tracker = make_cells(ERM, seeds=range(5)), SlowTracker()
    delivery = make_delivery(tracker, tmp_path)
    for cell in cells:
        for event in (Opened(1), Started(FACTS), RESULT):
            delivery.tell(cell, event)
    assert delivery.left() == (5, None)
    with ThreadPoolExecutor() as pool, delivery:
        leaves = pool.submit(delivery.__exit__)
        until(lambda: bool(said))
        assert said[0].startswith("delivering to MLflow: 5 cells left (0:00:0")
        tracker.takes.release(2)
        until(lambda: "3 cells left" in said[-1])
        assert re.fullmatch(r"delivering to MLflow: 3 cells left, 0:0\d:\d\d \(0:00:\d\d so far\)", said[-1])
        tracker.takes.release(3)
        leaves.result()
    assert delivery.left() == (0, 0.0)
    assert not delivery.undelivered


class FullTracker(FlakyTracker):
    """Stands in for a database on a full disk: it answers whoever only reads."""

    def __init__(self, *, refusals: int) -> None:
        super().__init__(make_cells(MIXUP, seeds=(9,))[0])
        self.refusals = refusals

    def _write(self, kind: str, cell: Cell) -> None:
        if self.refusals > 0:
            self.refusals -= 1
            raise OSError(errno.ENOSPC, "no space left on the device")
        super()._write(kind, cell)


def test_a_full_disk_is_waited_for_although_the_database_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.tracking.delivery.FIRST_PAUSE_S", 0.001)
    (cell,) = make_cells(ERM, seeds=(0,))
    tracker = FullTracker(refusals=2 * MAX_REFUSALS)
    with make_delivery(tracker, tmp_path) as delivery:
        delivery.tell(cell, Opened(1))
        delivery.tell(cell, Started(FACTS))
        delivery.tell(cell, RESULT)
    assert tracker.written == [("opened", "erm"), ("started", "erm"), ("finish", "erm")]
    assert not delivery.undelivered


def test_one_cell_without_room_holds_up_no_other(tmp_path: Path) -> None:
    """Its model is large, and the folder for temporary files small."""
    large, small = make_cells(ERM, MIXUP, seeds=(0,))

    class RoomForSmallModels(FlakyTracker):
        def finish_cell(
            self, cell: Cell, result: CellResult, facts: CellFacts, *, folder: CellFolder, read_at: object
        ) -> None:
            if cell == large:
                raise OSError(errno.ENOSPC, "a model takes 200 MB")
            super().finish_cell(cell, result, facts, folder=folder, read_at=read_at)

    tracker = RoomForSmallModels(large)
    lines: list[str] = []
    with make_delivery(tracker, tmp_path, say=lines.append) as delivery:
        for cell in (large, small):
            for event in (Opened(1), Started(FACTS), RESULT):
                delivery.tell(cell, event)
        until(lambda: ("finish", "mixup") in tracker.written)
        assert not delivery.undelivered
        delivery.closing_grace_s = 0.1
    assert [key for key, reason in delivery.undelivered.items() if "200 MB" in reason] == [large.key]
    assert len(delivery.undelivered) == 1
    assert lines[0].startswith("there is no room for a result of cell")


def test_a_delivery_that_has_ended_has_delivered_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (cell,) = make_cells(ERM, seeds=(0,))
    lines: list[str] = []

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Outbox, "next", fail)
    with make_delivery(FlakyTracker(cell), tmp_path, say=lines.append) as delivery:
        for event in (Opened(1), Started(FACTS), RESULT):
            delivery.tell(cell, event)
    assert list(delivery.undelivered) == [cell.key]
    assert lines == ["the delivery to MLflow has ended: MemoryError; the results wait on disk"]


def test_an_interrupted_delivery_ends_with_what_is_being_written(tmp_path: Path) -> None:
    cells, tracker = make_cells(ERM, seeds=range(3)), SlowTracker()
    delivery = make_delivery(tracker, tmp_path)
    for cell in cells:
        for event in (Opened(1), Started(FACTS), RESULT):
            delivery.tell(cell, event)

    def interrupt() -> None:
        until(lambda: len(tracker.written) == 2 and delivery._closing.is_set())
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.3)
        tracker.takes.release(3)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # where a shell has it ignored
    try:
        with ThreadPoolExecutor() as pool, pytest.raises(KeyboardInterrupt), delivery:
            pool.submit(interrupt)
    finally:
        signal.signal(signal.SIGINT, before)
    assert [kind for kind, _ in tracker.written] == ["opened", "started", "finish"]
    assert list(delivery.undelivered) == [cell.key for cell in cells[1:]]


def fail() -> None:
    raise OSError("no space left on the device")


@pytest.mark.parametrize("warm_up", [lambda: None, fail], ids=["warmed up", "warm-up failed"])
def test_one_cell_that_is_refused_harms_no_other(tmp_path: Path, warm_up: Callable[[], None]) -> None:
    refused, other = make_cells(ERM, MIXUP, seeds=(0,))
    tracker, delivered = FlakyTracker(refused), list[Cell]()
    storage = Storage(tmp_path)
    for cell in (refused, other):
        (storage.cells_dir / cell.key).mkdir(parents=True)
        (storage.cells_dir / cell.key / "result.pt").touch()
    delivery = Delivery(
        cast(Tracker, tracker),
        warm_up=warm_up,
        known={},
        data_dir=tmp_path,
        storage=storage,
        sweep="sample",
        delivered=lambda cell, _: delivered.append(cell),
    )
    with delivery:
        for cell in (refused, other):
            delivery.tell(cell, Opened(1))
            delivery.tell(cell, Started(FACTS))
            delivery.tell(cell, EPOCH)
            delivery.tell(cell, RESULT)
    assert tracker.written == [
        ("opened", "erm"),
        ("started", "erm"),
        ("audit", "erm"),
        ("opened", "mixup"),
        ("started", "mixup"),
        ("audit", "mixup"),
        ("epoch", "mixup"),
        ("finish", "mixup"),
    ]
    assert delivered == [other]
    assert delivery.undelivered == {refused.key: "the server refuses it"}
    # What is not in MLflow stays on disk, complete.
    assert (storage.cells_dir / refused.key / "result.pt").exists()
    assert not (storage.cells_dir / other.key / "result.pt").exists()


class UnwillingTracker(FlakyTracker):
    """Stands in for a store that answers, but has an error of its own for the results of one cell."""

    def __init__(self, refused: Cell, *, refusals: float, kind: str = "finish") -> None:
        super().__init__(make_cells(MIXUP, seeds=(9,))[0])
        self._unwanted, self.refusals, self._kind = refused, refusals, kind
        self.given_up: list[tuple[str, str]] = []

    def _write(self, kind: str, cell: Cell) -> None:
        if cell == self._unwanted and kind == self._kind and self.refusals > 0:
            self.refusals -= 1
            raise MlflowException("internal error", INTERNAL_ERROR)
        super()._write(kind, cell)

    def give_up_cell(self, cell: Cell, problem: Exception) -> None:
        self.given_up.append((cell.augment.name, str(problem)))


@pytest.mark.parametrize(
    ("refusals", "grace_s", "undelivered"),
    [(2, 60.0, False), (MAX_REFUSALS + 1, 60.0, True), (float("inf"), 0.0, True)],
    ids=["taken later", "never taken", "the sweep is interrupted"],
)
def test_a_cell_that_mlflow_refuses_although_it_answers_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusals: float, grace_s: float, undelivered: bool
) -> None:
    monkeypatch.setattr("orchestrator.tracking.delivery.FIRST_PAUSE_S", 0.05)
    refused, *others = make_cells(ERM, MIXUP, ZETA, seeds=(0,))
    tracker, said = UnwillingTracker(refused, refusals=refusals), list[str]()
    delivery = make_delivery(tracker, tmp_path, say=said.append)
    delivery.closing_grace_s = grace_s
    with delivery:
        for cell in (refused, *others):
            for event in (Opened(1), Started(FACTS), RESULT):
                delivery.tell(cell, event)
    finished = [name for kind, name in tracker.written if kind == "finish"]
    assert finished == ["mixup", "zeta_mixup", *([] if undelivered else ["erm"])]
    assert delivery.undelivered == ({refused.key: "internal error"} if undelivered else {})
    assert len(journal.read(tmp_path / "cells" / refused.key)) == (3 if undelivered else 0)
    assert tracker.given_up == ([("erm", "internal error")] if undelivered else [])
    assert len(said) <= 1
    assert all("the other cells go on" in line for line in said)


def test_what_is_told_of_a_cell_that_is_held_back_keeps_its_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.tracking.delivery.FIRST_PAUSE_S", 0.05)
    held, other = make_cells(ERM, MIXUP, seeds=(0,))
    tracker = UnwillingTracker(held, refusals=1)
    with make_delivery(tracker, tmp_path) as delivery:
        for cell in (held, other):
            delivery.tell(cell, Opened(1))
            delivery.tell(cell, Started(FACTS))
        delivery.tell(held, RESULT)
        delivery.tell(held, Opened(2))
        delivery.tell(held, Started(FACTS))
        delivery.tell(other, RESULT)
    of_held = [kind for kind, name in tracker.written if name == "erm"]
    assert of_held == ["opened", "started", "finish", "opened", "started"]


def test_a_cell_of_a_race_whose_next_leg_ends_while_it_is_held_back_is_delivered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of the first leg is written while that of the second waits behind it: both are, and nothing is left."""
    monkeypatch.setattr("orchestrator.tracking.delivery.FIRST_PAUSE_S", 0.05)
    held, other = make_cells(ERM, MIXUP, seeds=(0,))
    tracker = UnwillingTracker(held, refusals=1, kind="pause")
    with make_delivery(tracker, tmp_path) as delivery:
        for until_epoch, begun_at in ((1, 1), (2, 2)):
            delivery.tell(held, Opened(begun_at))
            delivery.tell(held, Started(FACTS))
            delivery.tell(held, Paused(until_epoch, begun_at))
        for event in (Opened(1), Started(FACTS), RESULT):
            delivery.tell(other, event)
    of_held = [kind for kind, name in tracker.written if name == "erm"]
    assert of_held == ["opened", "started", "pause"] * 2
    assert not delivery.undelivered
    assert delivery.left()[0] == 0


class AbsentTracker(FlakyTracker):
    """Stands in for a store that does not answer for a while, and not at all before that."""

    def __init__(self, *, refusals: int) -> None:
        super().__init__(make_cells(MIXUP, seeds=(9,))[0])
        self.refusals = refusals

    def answers(self) -> bool:
        return False

    def _write(self, kind: str, cell: Cell) -> None:
        if self.refusals > 0:
            self.refusals -= 1
            raise ConnectionError("nobody answers")
        super()._write(kind, cell)


@pytest.mark.parametrize("refusals", [3, 10**9], ids=["comes back", "stays away"])
def test_while_nobody_answers_everything_waits_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusals: int
) -> None:
    monkeypatch.setattr("orchestrator.tracking.delivery.FIRST_PAUSE_S", 0.01)
    cells = make_cells(ERM, MIXUP, seeds=(0,))
    tracker, said = AbsentTracker(refusals=refusals), list[str]()
    delivery = make_delivery(tracker, tmp_path, say=said.append)
    delivery.closing_grace_s = 1.0
    with delivery:
        for cell in cells:
            delivery.tell(cell, Opened(1))
            delivery.tell(cell, Started(FACTS))
            delivery.tell(cell, RESULT)
    waiting = {cell.key: journal.read(tmp_path / "cells" / cell.key) for cell in cells}
    if refusals == 3:
        assert tracker.written == [
            (kind, name) for name in ("erm", "mixup") for kind in ("opened", "started", "finish")
        ]
        assert not delivery.undelivered
        assert waiting == {cell.key: [] for cell in cells}
        assert ["does not take" in said[0], "takes results again" in said[-1]] == [True, True]
    else:
        assert delivery.undelivered == {cell.key: "nobody answers" for cell in cells}
        assert waiting == {cell.key: [Opened(1), Started(FACTS), RESULT] for cell in cells}
        assert len(said) == 1
