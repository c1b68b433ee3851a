"""Follows a job from here: its log as it grows, how it ends, and what became of it when it was told to stop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from orchestrator.errors import ClusterError
from orchestrator.jobs.server import Ended, JobServer
from orchestrator.waiting import waiting_for, watched

# Between two looks at a job.
LOOK_EVERY_S = 1.0
# How long a connection that was lost is tried again: a network that comes back, a laptop that was closed.
LOST_FOR_S, TRY_EVERY_S = 300.0, 5.0
# What the driver says last of a sweep that was told to end (`orchestrator.sweep.saving`).
_SAVED, _SAVED_ENDS = "interrupted: ", "the same command goes on"

logger = logging.getLogger(__name__)


def follow(server: JobServer, job: str, show: Callable[[str], None]) -> Ended:
    """Show what a job prints until it is over, and return how it ended.

    Args:
        server: Where it is.
        job: Its name.
        show: Takes the log, piece by piece.

    Raises:
        UserError: There is no such job.
        ClusterError: The connection is lost, for longer than a network that comes back.
    """
    log, patience = _Log(server, job, show), _Patience()
    with watched(lambda: None if log.shown else f"waiting for {job} to begin"):
        while True:
            with patience:
                server.state(job)  # who names no job is told so
                patience.renew()
                asyncio.run(log.show_the_rest())
                if (state := server.state(job)).is_over:
                    return state
                time.sleep(LOOK_EVERY_S)


def stop(server: JobServer, job: str) -> Ended:
    """Tell a job to stop, wait until it has, and return how it ended.

    Raises:
        UserError: There is no such job.
        ClusterError: The server does not answer any more, for longer than a network that comes back.
    """
    is_told, patience = False, _Patience()
    with waiting_for(f"{job} to save what it trains"):
        while True:
            with patience:
                state = server.state(job)
                patience.renew()
                if state.is_over:
                    return state
                if not is_told:
                    server.stop(job)
                    is_told = True
                time.sleep(LOOK_EVERY_S)


def last_word_of(server: JobServer, job: str) -> str | None:
    """Return what the driver of a job that is over said when it had saved all; raises like `stop`."""
    patience = _Patience()
    while True:
        with patience:
            return last_word(server.log(job))


def last_word(log: str) -> str | None:
    """Return what the driver of a sweep said when it had saved all; None if it did not come to that."""
    lines = (line.strip() for line in reversed(log.splitlines()))
    return next((line for line in lines if line.startswith(_SAVED) and line.endswith(_SAVED_ENDS)), None)


class _Patience:
    """Lets a connection be lost in its block, waits a moment and goes on, until that has been so for too long."""

    def __init__(self) -> None:
        self._lost_at: float | None = None

    def renew(self) -> None:
        """Note that the connection is there."""
        self._lost_at = None

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> bool:
        if not isinstance(error, ClusterError):
            return False
        self._lost_at = time.monotonic() if self._lost_at is None else self._lost_at
        if time.monotonic() - self._lost_at > LOST_FOR_S:
            return False
        logger.warning("the connection is lost, and tried again: %s", error.in_one_line)
        time.sleep(TRY_EVERY_S)
        return True


class _Log:
    """A log that is shown once, however often it is read from its first letter.

    Attributes:
        shown: How many letters of it are shown.
    """

    def __init__(self, server: JobServer, job: str, show: Callable[[str], None]) -> None:
        self._server, self._job, self._show = server, job, show
        self.shown = 0

    async def show_the_rest(self) -> None:
        """Show what was not shown yet, until the job has ended.

        Raises:
            ClusterError: The connection is lost; also if it is not, and what was there a while ago does not come by it.
        """
        passed = there = 0
        async for text in self._server.log_as_it_grows(self._job):
            if not text:
                if passed < there:
                    raise ClusterError(f"{self._server.address.url}: nothing of the log comes any more")
                there = len(self._server.log(self._job))
                if passed >= there and self._server.state(self._job).is_over:
                    return
            new = text[max(0, self.shown - passed) :]
            passed += len(text)
            self.shown = max(self.shown, passed)
            if new:
                self._show(new)
