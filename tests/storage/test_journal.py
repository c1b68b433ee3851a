"""What waits for MLflow is on disk, whatever ends the process that wrote it."""

from __future__ import annotations

import json
import resource
import signal
from pathlib import Path
from typing import get_args

import pytest
from tracked import FACTS, RESULT, epoch

from orchestrator.records import Failed, Interrupted, Opened, Paused, Started, Stopped, TrackedEvent
from orchestrator.storage import journal
from orchestrator.storage.cell_folder import CellFolder

EVENTS: list[TrackedEvent] = [
    Opened(1_000),
    Started(FACTS),
    epoch(1),
    Paused(epoch=1, timestamp_ms=1_000),
    Stopped(rung=1, place=3, mean=0.3, cut=0.2, timestamp_ms=2_000),
    Failed("out of memory"),
    Interrupted(),
    RESULT,
]
# What they are on disk, in every version.
LINES = [
    '{"kind": "start", "body": {"timestamp_ms": 1000}}',
    '{"kind": "facts", "body": {"device": "cpu", "world_size": 1, "backend": "torch", "feed": "resident", "dataset": '
    '{"name": "digits", "split_hash": "' + "0" * 64 + '", "num_train": 10, "num_val": 2, "num_test": 3, '
    '"num_channels": 1, "image_size": 8, "class_names": ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"], '
    '"mean": [0.3], "std": [0.4], "groups": "none", "unreadable": [], "unmeasured": "no test image of 7", '
    '"pixel_hash": "0a1b2c3d"}, '
    '"weights": "24 of 26 tensors taken", ' + f'"host": "{FACTS.host}", "layout": {json.dumps(FACTS.layout)}}}}}',
    '{"kind": "epoch", "body": {"epoch": 1, "metrics": {"val/error": 0.5, "train/epoch_s": 0.75}, '
    '"timestamp_ms": 1000}}',
    '{"kind": "paused", "body": {"epoch": 1, "timestamp_ms": 1000}}',
    '{"kind": "stopped", "body": {"rung": 1, "place": 3, "mean": 0.3, "cut": 0.2, "timestamp_ms": 2000}}',
    '{"kind": "failed", "body": {"reason": "out of memory"}}',
    '{"kind": "interrupted", "body": {}}',
    '{"kind": "done", "body": {"metrics": {"test/error": 0.25, "best/error": 0.2, "best/epoch": 2.0}, '
    '"timestamp_ms": 3000, "first_step_ms": 500}}',
]


def test_what_was_told_comes_back_in_order(tmp_path: Path) -> None:
    folder = tmp_path / "cells" / "key"
    assert journal.read(folder) == []
    journal.begin(folder)
    assert set(map(type, EVENTS)) == set(get_args(TrackedEvent)), "each event that is kept has a line here"
    for event in EVENTS:
        journal.append(folder, event)
    assert CellFolder(folder).journal.read_text().splitlines() == LINES
    assert journal.read(folder) == EVENTS
    journal.begin(folder)
    assert journal.read(folder) == []
    journal.remove(folder)
    journal.remove(folder)
    assert list(folder.iterdir()) == []


def test_a_start_of_an_earlier_version_has_no_time(tmp_path: Path) -> None:
    CellFolder(tmp_path).journal.write_text('{"kind": "start", "body": {}}\n')
    assert journal.read(tmp_path) == [Opened()]


def test_facts_of_an_earlier_version_have_no_groups(tmp_path: Path) -> None:
    known, _, later = LINES[1].partition(', "groups"')
    assert later
    line = known + "}}}"
    CellFolder(tmp_path).journal.write_text(line + "\n")
    (started,) = journal.read(tmp_path)
    assert isinstance(started, Started)
    assert started.facts.dataset.groups is None
    assert started.facts.dataset.unmeasured is None
    assert started.facts.weights == started.facts.host == ""
    assert started.facts.layout is None


def test_a_line_that_a_killed_writer_left_is_left_out(tmp_path: Path) -> None:
    CellFolder(tmp_path).journal.write_text("\n".join([LINES[0], LINES[-1][:-9]]))
    assert journal.read(tmp_path) == EVENTS[:1]


@pytest.mark.parametrize(
    "line", [LINES[-1][:-9], "{}", "[]", '{"kind": "later", "body": {}}', LINES[0][:-2] + ', "b": 1}}']
)
def test_what_has_a_line_that_cannot_be_understood_is_not_delivered(tmp_path: Path, line: str) -> None:
    """E.g. of a later version: what is delivered must not have gaps."""
    CellFolder(tmp_path).journal.write_text("\n".join([LINES[0], line, LINES[1]]))
    assert journal.read(tmp_path) == []


def test_what_has_a_gap_is_forgotten(tmp_path: Path) -> None:
    """Delivered later, the cell would be finished without the epoch that did not fit."""
    journal.begin(tmp_path)
    journal.append(tmp_path, EVENTS[0])
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (CellFolder(tmp_path).journal.stat().st_size + 9, limit[1]))
        journal.append(tmp_path, EVENTS[1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)
    journal.append(tmp_path, EVENTS[2])
    assert journal.read(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_takes_nothing_ends_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    journal.begin(blocked)
    journal.append(blocked, EVENTS[0])
