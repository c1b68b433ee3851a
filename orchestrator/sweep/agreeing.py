"""Has all ranks of a group prepare something: they all have it, or all meet the same error at the same point.

Where a bucket does not answer that may answer later, they wait for it: a cell that has failed for that is followed by
the next one, which fails for the same.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from orchestrator.errors import CellError, DataError, LostError, UserError
from orchestrator.objects import ObjectsError
from orchestrator.train import Request, StoppedError

# How long what failed is left alone.
RETRY_EVERY_S = 2.0
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
            self._wait(problems[0].text)

    def _wait(self, reason: str) -> None:
        self._on_wait(reason)
        request = max(self._of_all(self._poll()))
        if request >= Request.STOP:
            raise StoppedError(request)
        time.sleep(RETRY_EVERY_S)


def _tried(prepare: Callable[[], _Value]) -> tuple[_Value | None, _Problem | None]:
    """Return what is prepared, or what went wrong."""
    try:
        return prepare(), None
    except (ObjectsError, DataError) as error:
        if error.can_pass:
            return None, _Problem(LostError, f"{error.in_one_line}; it is tried again until it can be", can_pass=True)
        return None, _Problem(LostError, error.in_full)
    except (UserError, CellError) as error:
        return None, _Problem(CellError if isinstance(error, CellError) else LostError, error.in_full)
    except Exception as error:  # noqa: BLE001 - reported as the cell's failure, by all ranks
        return None, _Problem(LostError, f"{type(error).__name__}: {error}\n{traceback.format_exc()}")
