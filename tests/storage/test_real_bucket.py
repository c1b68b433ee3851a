"""A storage on a real S3 server: what is refused before anything trains, and two drivers in two processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from s3_server import proxy_before

from orchestrator.errors import UserError
from orchestrator.objects import Address
from orchestrator.records import Opened
from orchestrator.storage import Point, Storage, journal, storage_at
from orchestrator.storage import checkpoints as checkpoint

pytest.importorskip("obstore", reason="obstore is not installed: pip install zetasweep[objects]")
KEY = "0123456789abcdef"
HOLD = """
import sys
from pathlib import Path
from orchestrator.objects import Address
from orchestrator.storage import storage_at
with storage_at(Address.of(sys.argv[1]), copies_in=Path(sys.argv[2])).locked("first"):
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def storage(bucket: Address, tmp_path: Path) -> Storage:
    return storage_at(bucket, copies_in=tmp_path)


def test_it_can_be_written_to_and_nothing_is_left(storage: Storage) -> None:
    storage.prepare()
    storage.check()
    assert storage.objects.list() == []


@pytest.mark.parametrize("unknown", [("if-match", "if-none-match"), ("if-none-match",), ("if-match",)])
def test_a_server_that_does_not_know_each_condition_is_refused(
    bucket: Address, s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unknown: tuple[str, ...]
) -> None:
    with proxy_before(s3) as proxy:
        proxy.unconditional = unknown
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        storage = storage_at(bucket, copies_in=tmp_path)
        with pytest.raises(UserError, match="two sweeps could not be kept apart") as caught:
            storage.check_writable()
        assert storage.objects.list() == [], "nothing is left"
    assert "If-None-Match" in caught.value.remedy


def test_a_second_driver_is_refused_and_the_lock_of_a_killed_one_is_free(
    bucket: Address, storage: Storage, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", HOLD, str(bucket), str(tmp_path / "another")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        assert storage.is_locked()
        with pytest.raises(UserError, match=f"in use by the sweep first, process {holder.pid} on"), storage.locked("x"):
            pass
        holder.kill()
    assert not storage.is_locked()
    with storage.locked("second"):
        assert storage.is_locked()
    assert not storage.is_locked()


def test_what_worker_and_driver_keep_is_found_by_the_next(storage: Storage, bucket: Address, tmp_path: Path) -> None:
    with storage.locked("sweep"):
        work = storage.work_on(KEY)
        checkpoint.save(work.path / Point(1).file_name, {"epoch": 1})
        told: list[int] = []
        work.then(lambda: told.append(1))
        journal.begin(storage.cell(KEY))
        journal.append(storage.cell(KEY), Opened())
        assert work.is_kept(30)
        assert work.problem is None
        assert told == [1]
        work.close()
    later = storage_at(bucket, copies_in=tmp_path / "later").cell(KEY)
    assert later.points() == [Point(1)]
    assert journal.read(later) == [Opened()]
    again = storage.work_on(KEY)
    assert checkpoint.load(again.path / Point(1).file_name) == {"epoch": 1}
    again.close()
