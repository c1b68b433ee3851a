"""What waits for MLflow is on disk, whatever ends the process that wrote it."""

from __future__ import annotations

import resource
import signal
from pathlib import Path

from orchestrator.storage import journal
from orchestrator.storage.journal import Told

TOLD = [Told("start"), Told("facts", {"device": "cpu"}), Told("epoch", {"epoch": 1, "metrics": {"val/error": 0.5}})]


def test_what_was_told_comes_back_in_order(tmp_path: Path) -> None:
    folder = tmp_path / "cells" / "key"
    assert journal.read(folder) == []
    journal.begin(folder)
    for told in TOLD:
        journal.append(folder, told)
    assert journal.read(folder) == TOLD
    journal.begin(folder)
    assert journal.read(folder) == []
    journal.remove(folder)
    journal.remove(folder)
    assert list(folder.iterdir()) == []


def test_a_line_that_a_killed_writer_left_is_left_out(tmp_path: Path) -> None:
    journal.begin(tmp_path)
    for told in TOLD:
        journal.append(tmp_path, told)
    file = tmp_path / journal.FILE
    file.write_bytes(file.read_bytes()[:-9])
    assert journal.read(tmp_path) == TOLD[:-1]


def test_what_has_a_gap_is_forgotten(tmp_path: Path) -> None:
    """Delivered later, the cell would be finished without the epoch that did not fit."""
    journal.begin(tmp_path)
    journal.append(tmp_path, TOLD[0])
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / journal.FILE).stat().st_size + 9, limit[1]))
        journal.append(tmp_path, TOLD[1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)
    journal.append(tmp_path, TOLD[2])
    assert journal.read(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_takes_nothing_ends_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    journal.begin(blocked)
    journal.append(blocked, TOLD[0])
