"""Waiting for space: a training on a full disk is worth more than one that has failed."""

from __future__ import annotations

import time
from collections.abc import Callable

from orchestrator.errors import NO_ROOM
from orchestrator.storage import CellFolder
from orchestrator.train.ranks import Ranks
from orchestrator.train.requests import Request, Requests, StoppedError

# How often a training that waits for space tries again.
RETRY_EVERY_S = 2.0


class PatientWriter:
    """Writes on rank 0; all ranks wait while its disk is full.

    Args:
        folder: Where it writes, for the message: the disk that is full is that of the copy, if it is one.
        ranks: Of the training.
        requests: Listened to while it waits.
        on_full_disk: Told on rank 0, before each further try, that the training waits.
    """

    def __init__(
        self, folder: CellFolder, *, ranks: Ranks, requests: Requests, on_full_disk: Callable[[str], None]
    ) -> None:
        self._folder, self._ranks, self._requests, self._on_full_disk = folder, ranks, requests, on_full_disk

    def write(self, write: Callable[[], None]) -> None:
        """Call `write` on rank 0 until the disk has room; called by all ranks.

        Raises:
            StoppedError: The training is to end, although it could not be saved.
        """
        while (problem := self._ranks.from_rank_0(self._tried(write) if self._ranks.rank == 0 else None)) is not None:
            if self._ranks.rank == 0:
                self._on_full_disk(problem)
            request = self._requests.now()
            if request >= Request.STOP:
                raise StoppedError(request, is_saved=False)
            time.sleep(RETRY_EVERY_S)

    def _tried(self, write: Callable[[], None]) -> str | None:
        """Write and return None, or what to tell the user if there is no space for it."""
        try:
            write()
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            # The error names a file only where one could not even be made.
            place = str(self._folder.path)
            if self._folder.address:
                place += f", below cache.dir, where the files of {self._folder.shown()} are written first,"
            return f"the disk of {place} is full ({error.strerror}): training waits until there is space again"
        return None
