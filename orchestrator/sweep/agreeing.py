"""Has all ranks of a group prepare something: they all have it, or all meet the same error at the same point.

Where a bucket or a folder of another machine is away that may come back, or a disk is full, they wait for it: a cell
that has failed for that is followed by the next one, which fails for the same.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from orchestrator.errors import AWAY, NO_ROOM, CellError, DataError, LostError, UserError
from orchestrator.objects import ObjectsError
from orchestrator.train import Request, StoppedError

# How long what failed is left alone: at first, and at most, since a try may decode images.
RETRY_AFTER_S, RETRY_AFTER_AT_MOST_S = 2.0, 16.0
POLL_EVERY_S = 2.0
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class _Problem:
    kind: type[CellError]
    text: str
    can_pass: bool = False


class Agreeing:
    """What the ranks of a group do together before they train a cell.

    Args:
        of_all: Returns on every rank what all ranks give it, by rank.
        poll: Called on each rank while it waits; it is also its sign of life.
        on_wait: Told on each rank, before each further try, what is waited for.
    """

    def __init__(
        self, of_all: Callable[[Any], list[Any]], *, poll: Callable[[], Request], on_wait: Callable[[str], object]
    ) -> None:
        self._of_all, self._poll, self._on_wait = of_all, poll, on_wait

    def on(self, prepare: Callable[[], _Value]) -> _Value:
        """Run `prepare`, which returns something, on every rank; again, where that failed and may pass.

        Raises:
            CellError: It failed on any; the group stays whole. It is a `LostError`, unless `prepare` raises a
                `CellError` itself.
            StoppedError: Nobody waits for the cell any more.
        """
        result: _Value | None = None
        pause_s = RETRY_AFTER_S
        while True:
            problem: _Problem | None = None
            if result is None:
                result, problem = _tried(prepare)
            problems = [each for each in self._of_all(problem) if each is not None]
            if not problems:
                assert result is not None
                return result
            for found in problems:
                if not found.can_pass:
                    raise found.kind(found.text)
            self._wait(problems[0].text, pause_s)
            pause_s = min(2 * pause_s, RETRY_AFTER_AT_MOST_S)

    def _wait(self, reason: str, pause_s: float) -> None:
        self._on_wait(reason)
        # By counting, so that all ranks ask each other equally often.
        for _ in range(max(1, round(pause_s / POLL_EVERY_S))):
            request = max(self._of_all(self._poll()))
            if request >= Request.STOP:
                raise StoppedError(request)
            time.sleep(min(pause_s, POLL_EVERY_S))


def _tried(prepare: Callable[[], _Value]) -> tuple[_Value | None, _Problem | None]:
    """Return what is prepared, or what went wrong."""
    try:
        return prepare(), None
    except (ObjectsError, DataError) as error:
        if error.can_pass:
            return None, _passing(error.in_one_line)
        return None, _Problem(LostError, error.in_full)
    except (UserError, CellError) as error:
        return None, _Problem(CellError if isinstance(error, CellError) else LostError, error.in_full)
    except OSError as error:
        if error.errno in (*NO_ROOM, *AWAY):
            return None, _passing(str(error))
        return None, _unexpected(error)
    except Exception as error:  # noqa: BLE001 - reported as the cell's failure, by all ranks
        return None, _unexpected(error)


def _passing(text: str) -> _Problem:
    return _Problem(LostError, f"{text}; it is tried again until it can be", can_pass=True)


def _unexpected(error: Exception) -> _Problem:
    return _Problem(LostError, f"{type(error).__name__}: {error}\n{traceback.format_exc()}")
