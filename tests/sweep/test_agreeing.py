"""What the ranks of a group prepare together: all have it, or meet the same; a bucket that is away is waited for."""

from __future__ import annotations

import errno
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from orchestrator.errors import CellError, DataError, LostError, UserError
from orchestrator.objects import ObjectsError
from orchestrator.sweep import agreeing
from orchestrator.sweep.agreeing import Agreeing
from orchestrator.train import Request, StoppedError

AWAY = ObjectsError("storage = s3://b: the server does not answer", remedy="start it", can_pass=True)


class Group:
    """Two ranks, which are threads.

    Attributes:
        waits: What each rank was told that it waits for.
        polls: How often each was asked what is requested of it, which is its sign of life.
        request: What is requested of rank 0, once it has been asked three times.
    """

    def __init__(self) -> None:
        self.waits: tuple[list[str], list[str]] = ([], [])
        self.polls = [0, 0]
        self.request = Request.GO_ON
        self._given: list[Any] = [None, None]
        self._meet = Barrier(2, timeout=10)

    def of(self, prepare: Callable[[int], object]) -> list[object]:
        """Return what each rank has in the end, or the error that it meets."""
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(lambda rank: self._on(rank, prepare), range(2)))

    def _on(self, rank: int, prepare: Callable[[int], object]) -> object:
        def of_all(value: Any) -> list[Any]:
            self._given[rank] = value
            self._meet.wait()
            given = [*self._given]
            self._meet.wait()
            return given

        def poll() -> Request:
            self.polls[rank] += 1
            return self.request if rank == 0 and self.polls[rank] >= 3 else Request.GO_ON

        try:
            return Agreeing(of_all, poll=poll, on_wait=self.waits[rank].append).on(lambda: prepare(rank))
        except (CellError, StoppedError) as error:
            return error


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> Group:
    for name in ("RETRY_AFTER_S", "RETRY_AFTER_AT_MOST_S", "POLL_EVERY_S"):
        monkeypatch.setattr(agreeing, name, 0.001)
    return Group()


@pytest.mark.parametrize(
    "away",
    [
        AWAY,
        DataError("data_dir = s3://b: no answer", remedy="start it", can_pass=True),
        OSError(errno.ESTALE, "Stale file handle: start it"),
        OSError(errno.ENOSPC, "No space left on device: start it"),
    ],
)
def test_a_bucket_that_is_away_is_waited_for_on_all_ranks(group: Group, away: Exception) -> None:
    """It would be away for the next cell, too. What one rank has is not prepared again."""
    tries = [0, 0]

    def prepare(rank: int) -> str:
        tries[rank] += 1
        if rank == 1 and tries[1] <= 4:
            raise away
        return f"of rank {rank}"

    assert group.of(prepare) == ["of rank 0", "of rank 1"]
    assert (tries, group.polls) == ([1, 5], [4, 4])
    assert group.waits[0] == group.waits[1]
    assert len(group.waits[0]) == 4
    assert group.waits[0][0].endswith(": start it; it is tried again until it can be")


def test_what_is_away_for_long_is_tried_less_often(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    """A try may decode images; between tries each rank shows that it lives, as often as before."""
    monkeypatch.setattr(agreeing, "RETRY_AFTER_AT_MOST_S", 0.008)
    tries = [0, 0]

    def prepare(rank: int) -> str:
        tries[rank] += 1
        if rank == 1 and tries[1] <= 5:
            raise AWAY
        return f"of rank {rank}"

    assert group.of(prepare) == ["of rank 0", "of rank 1"]
    assert group.polls == [1 + 2 + 4 + 8 + 8] * 2


@pytest.mark.parametrize("request_", [Request.STOP, Request.LEAVE])
def test_who_waits_for_a_bucket_heeds_what_is_requested(group: Group, request_: Request) -> None:
    def prepare(_: int) -> None:
        raise AWAY

    group.request = request_
    found = group.of(prepare)
    assert [(type(each), each.request) for each in found if isinstance(each, StoppedError)] == [
        (StoppedError, request_)
    ] * 2
    assert group.polls == [3, 3]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ObjectsError("storage = s3://b: no permission", remedy="give it"), LostError),
        (UserError("no such weights", remedy="give it"), LostError),
        (CellError("too few images", remedy="give it"), CellError),
        (ValueError("give it"), LostError),
        (OSError(errno.EACCES, "give it"), LostError),
    ],
)
def test_what_does_not_pass_is_met_by_all_at_once(group: Group, error: Exception, kind: type[CellError]) -> None:
    """Also where another rank could wait."""

    def prepare(rank: int) -> None:
        raise AWAY if rank == 0 else error

    found = group.of(prepare)
    assert [type(each) for each in found] == [kind] * 2
    assert all("give it" in str(each) for each in found)
    assert group.waits == ([], [])
