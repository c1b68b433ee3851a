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
    log, lost_at = _Log(server, job, show), None
    with watched(lambda: None if log.shown else f"waiting for {job} to begin"):
        while True:
            try:
                server.state(job)  # who names no job is told so
                lost_at = None
                asyncio.run(log.show_the_rest())
                if (state := server.state(job)).is_over:
                    return state
                time.sleep(LOOK_EVERY_S)
            except ClusterError as error:
                lost_at = time.monotonic() if lost_at is None else lost_at
                if time.monotonic() - lost_at > LOST_FOR_S:
                    raise
                logger.warning("the connection is lost, and tried again: %s", error.in_one_line)
                time.sleep(TRY_EVERY_S)


def stop(server: JobServer, job: str) -> Ended:
    """Tell a job to stop, wait until it has, and return how it ended.

    Raises:
        UserError: There is no such job.
        ClusterError: The server does not answer any more.
    """
    state = server.state(job)
    if not state.is_over:
        server.stop(job)
    with waiting_for(f"{job} to save what it trains"):
        while not state.is_over:
            time.sleep(LOOK_EVERY_S)
            state = server.state(job)
    return state


def last_word(log: str) -> str | None:
    """Return what the driver of a sweep said when it had saved all; None if it did not come to that."""
    lines = (line.strip() for line in reversed(log.splitlines()))
    return next((line for line in lines if line.startswith(_SAVED) and line.endswith(_SAVED_ENDS)), None)


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
