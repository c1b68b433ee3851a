"""Processes in which trainings are timed: as many, with as many threads, and as many groups of them at a time, as a
sweep would have. No Ray.
"""

from __future__ import annotations

import logging
import multiprocessing
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import NamedTuple

from orchestrator.costs import Measured
from orchestrator.folders import nearest_folder
from orchestrator.train.gpu_share import workers_on_gpu
from orchestrator.train.timed import Timing
from orchestrator.train.timed_worker import Place, Said, serve

logger = logging.getLogger(__name__)


class NotMeasured(NamedTuple):
    """Why a training could not be timed.

    Attributes:
        reason: In a line.
        lacks_memory: Whether it does not fit.
    """

    reason: str
    lacks_memory: bool = False


def measure(
    timings: Mapping[str, Timing], place: Place, *, on_progress: Callable[[int, int], None]
) -> dict[str, Measured | NotMeasured]:
    """Time trainings, one after the other; what one of them does to its processes does not hurt the others.

    Args:
        timings: By a name of each.
        place: Where.
        on_progress: Called with the number of those that are through, and of all.
    """
    found: dict[str, Measured | NotMeasured] = {}
    while left := {name: timing for name, timing in timings.items() if name not in found}:
        on_progress(len(found), len(timings))
        begun = next(iter(left))
        with _Group(left, place, searches=False) as group:
            for said in group.messages():
                begun = said.training or begun
                match said.what:
                    case "measured":
                        found[begun] = _of_one_slot(said.about, place)
                    case "refused" | "failed":
                        found[begun] = NotMeasured(said.about)
                    case "lacks memory":
                        found[begun] = NotMeasured(said.about, lacks_memory=True)
                on_progress(len(found), len(timings))
        if begun not in found:
            found[begun] = _died(group.died_of)
    return found


def _of_one_slot(measured: Measured, place: Place) -> Measured:
    """Return a measurement with the part of the power that a slot draws: a counter is of all that share the device."""
    if measured.watts is None:
        return measured
    sharing = min(place.slots, workers_on_gpu(place.resources.gpus_per_worker)) if place.on_gpu else place.slots
    return replace(measured, watts=measured.watts / sharing)


def _died(codes: frozenset[int]) -> NotMeasured:
    """Return what the end of processes says of the training: Linux kills one for which there is no memory."""
    killed = -signal.SIGKILL in codes
    text = ", ".join(f"signal {-code}" if code < 0 else f"exit code {code}" for code in sorted(codes))
    return NotMeasured(f"the process that trained it ended ({text})", lacks_memory=killed)


def search_batches(
    timings: Mapping[str, Timing], place: Place, *, on_progress: Callable[[int, int], None]
) -> dict[str, tuple[int | None, int | None]]:
    """Return of each training the largest batch of a worker that fits, and the smallest that was tried and does not."""
    alone = replace(place, slots=1, resources=place.resources.model_copy(update={"workers": 1}))
    found: dict[str, tuple[int | None, int | None]] = {}
    for number, (name, timing) in enumerate(timings.items()):
        on_progress(number, len(timings))
        fits, too_large, tried = 0, 0, 0
        with _Group({name: timing}, alone, searches=True) as group:
            for said in group.messages():
                if said.what == "tries":
                    tried = said.about
                elif said.what == "fits":
                    fits = max(fits, said.about)
                elif said.what == "too large":
                    too_large = min(too_large or said.about, said.about)
                elif said.what in ("refused", "failed"):
                    logger.warning("%s: the search ended: %s", timing.cell.model.label, said.about)
            if -signal.SIGKILL in group.died_of and tried not in (fits, too_large):
                too_large = tried
        found[name] = fits or None, too_large or None
    return found


class _Group:
    """The processes; they end with the block.

    Attributes:
        died_of: The exit codes of those that did not end well by themselves.
    """

    def __init__(self, timings: Mapping[str, Timing], place: Place, *, searches: bool) -> None:
        self._place, self._workers = place, place.resources.workers
        self._folder = Path(tempfile.mkdtemp(prefix="zetasweep-measured-", dir=nearest_folder(place.storage.root)))
        self._jobs = {
            name: (
                timing.cell.model_dump(mode="json"),
                {augment_id: augment.model_dump(mode="json") for augment_id, augment in timing.augments.items()},
            )
            for name, timing in timings.items()
        }
        self._searches = searches
        self._processes: list[SpawnProcess] = []
        self._connections: list[Connection] = []
        self.died_of: frozenset[int] = frozenset()

    def __enter__(self) -> _Group:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        # It is there as long as somebody here has it.
        self._barrier = context.Barrier(self._place.slots * self._workers)
        for number in range(self._place.slots * self._workers):
            ours, theirs = context.Pipe(duplex=False)
            slot, rank = divmod(number, self._workers)
            arguments = (self._place, slot, rank, self._jobs, self._folder, theirs, self._searches, self._barrier)
            # Not a daemon, which may have no processes of its own: what loads data may start some. It ends with this
            # one all the same (`live_with_parent`).
            process = context.Process(target=serve, args=arguments, daemon=False)
            process.start()
            theirs.close()
            self._processes.append(process)
            self._connections.append(ours)

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            if process.is_alive():
                process.kill()
            process.join()
        shutil.rmtree(self._folder, ignore_errors=True)

    def messages(self) -> Iterator[Said]:
        """Yield what the first rank of the first slot says, and errors of all, until it is through or one is gone."""
        waiting = list(self._connections)
        while self._connections[0] in waiting:
            for connection in wait(waiting):
                assert isinstance(connection, Connection)
                try:
                    said: Said = connection.recv()
                except EOFError:
                    waiting.remove(connection)
                    self._processes[self._connections.index(connection)].join()
                    self.died_of = frozenset(process.exitcode for process in self._processes if process.exitcode)
                    if self.died_of:
                        return  # those that are left may wait for it for ever
                    continue
                if said.what == "warns":
                    logger.warning("%s", said.about)
                elif connection is self._connections[0] or said.what in ("lacks memory", "failed"):
                    yield said
                    if said.what in ("lacks memory", "failed"):
                        return
