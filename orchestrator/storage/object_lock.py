"""The lock of a storage that is kept as objects: one object, which is written only if nobody else has meanwhile.

Whoever holds it changes it every `BEAT_EVERY_S`. Who wants it and cannot see the holder's process watches for
`STALE_S`: where nothing changes, the holder is dead, and is replaced. No two machines' clocks are compared. A holder
that has not changed it for `HOLDS_S` does so before it writes anything else, and writes nothing if it was replaced.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from orchestrator.errors import UserError
from orchestrator.objects import Objects, ObjectsError
from orchestrator.process_names import is_alive_here, lasting_clock, this_process
from orchestrator.waiting import waiting_for

NAME = "lock.json"
BEAT_EVERY_S, STALE_S, LOOK_EVERY_S = 10.0, 60.0, 2.0
# What is written then must have arrived before others may take the lock: a request is tried again for 25 s at most, and
# its last try may last 15 s (`orchestrator.objects.bucket`; what is larger than one request is named by its content,
# or needs no lock).
HOLDS_S, PATIENCE_S = 20.0, 25.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Holder:
    """Who holds the lock, as it says itself.

    Attributes:
        token: Of this holding alone.
        process: See `orchestrator.process_names.this_process`.
        about: What it does, since when and where, for people.
        beaten_at: When it showed that it lives, by its own clock, in seconds since 1970.
    """

    token: str
    process: str
    about: Mapping[str, str]
    beaten_at: float

    @property
    def in_words(self) -> str:
        """Who it is, for people."""
        about = self.about
        return f"the sweep {about['sweep']}, process {about['pid']} on {about['host']}, since {about['since']}"

    @property
    def seems_alive(self) -> bool:
        """Whether it looks alive; only to show something, since it may be by another machine's clock."""
        seen = is_alive_here(self.process)
        return seen if seen is not None else time.time() - self.beaten_at < STALE_S


class ObjectLock:
    """The lock, as one process wants and holds it.

    Args:
        objects: Where it is.
        about: What is said of the holder: ``sweep``, ``host``, ``pid``, ``since``.
        clock: Seconds, which go on while the machine sleeps.

    Attributes:
        token: What the lock says while this process holds it.
    """

    def __init__(
        self, objects: Objects, about: Mapping[str, str], *, clock: Callable[[], float] = lasting_clock
    ) -> None:
        self._objects, self._about, self._clock = objects, dict(about), clock
        self.token = uuid.uuid4().hex
        self._version: str | None = None
        self._beats = 0
        self._beaten_at = 0.0
        self._seen: tuple[str, float] | None = None
        self._alone = threading.Lock()

    def take(self) -> None:
        """Take the lock; where the holder may be dead, it is watched first.

        Raises:
            UserError: Another process holds it; says who.
            ObjectsError: It cannot be asked.
        """
        with waiting_for(f"the lock of {self._objects.shown}: it is looked whether its holder lives"):
            while not self.try_to_take():
                time.sleep(LOOK_EVERY_S)

    def try_to_take(self) -> bool:
        """Take the lock if it is free, or was not seen to change for `STALE_S`; else note how it is now.

        Returns:
            Whether this process has it now; False as long as nothing is known of the holder.

        Raises:
            UserError: Another process holds it, and lives.
        """
        began_at = self._clock()
        found = self._objects.read(NAME)
        if found is None:
            return self._is_taken(self._objects.create(NAME, self._content()), began_at)
        content, version = found
        holder = _holder(content)
        alive = holder is not None and is_alive_here(holder.process)
        if self._seen is None:
            self._seen = version, began_at
        changed, unchanged_s = version != self._seen[0], began_at - self._seen[1]
        if holder is not None and (alive or changed):
            raise UserError(
                f"storage = {self._objects.shown}: in use by {holder.in_words}",
                remedy="wait for it or end it; another sweep can run with -o storage=ANOTHER_PLACE\n"
                f"if its machine is gone, this clears within {STALE_S:.0f} s",
            )
        if holder is None or alive is False or unchanged_s >= STALE_S:
            return self._is_taken(self._objects.replace(NAME, self._content(), version=version), began_at)
        return False

    def beat(self) -> None:
        """Show that this process lives; where it was replaced meanwhile, it is known from then on.

        Raises:
            ObjectsError: Nobody knows: it could not be asked.
        """
        with self._alone:
            if self._version is None:
                return
            began_at = self._clock()
            version = self._objects.replace(NAME, self._content(), version=self._version)
            if version is None and (found := self._objects.read(NAME)) is not None:
                # The answer to an earlier beat may have been lost, after all tries.
                holder = _holder(found[0])
                if holder is not None and holder.token == self.token:
                    version = self._objects.replace(NAME, self._content(), version=found[1])
            self._version, self._beaten_at = version, began_at

    def is_lost(self, *, ask: bool = False) -> bool:
        """Return whether another process has taken the lock from this one, as far as is known, or can be asked now."""
        if ask:
            with suppress(ObjectsError):
                self.beat()
        return self._version is None

    def confirm(self) -> None:
        """Make sure that this process holds the lock; costs nothing while it beats.

        Raises:
            ObjectsError: Another process has it, or it cannot be asked.
        """
        while self._version is not None and self._clock() - self._beaten_at >= HOLDS_S:
            self.beat()  # again, if it took as long as that
        if self._version is None:
            raise lost(self._objects)

    def release(self) -> None:
        """Give the lock back, if this process still has it."""
        with self._alone:
            # Whether or not it is taken: who gives it back writes nothing more.
            version, self._version = self._version, None
            if version is not None:
                self._objects.replace(NAME, json.dumps({"free": self.token}).encode(), version=version)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock while the block lasts, with a thread that beats.

        Raises:
            UserError: Another process holds it.
        """
        self.take()
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(BEAT_EVERY_S):
                try:
                    self.beat()
                except Exception:
                    # Whatever it is, the next write meets it, too.
                    logger.exception("the lock could not be renewed")

        thread = threading.Thread(target=beat, name="lock", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            try:
                self.release()
            except ObjectsError as error:
                logger.warning("%s; the lock stays, and clears within %.0f s", error.in_one_line, STALE_S)

    def _is_taken(self, version: str | None, began_at: float) -> bool:
        self._version, self._beaten_at = version, began_at
        return version is not None

    def _content(self) -> bytes:
        """Return what no other holder writes, and this one never twice."""
        self._beats += 1
        body = {
            "token": self.token,
            "process": this_process(),
            "about": self._about,
            "beat": self._beats,
            "beaten_at": time.time(),
        }
        return json.dumps(body).encode()


def holder_of(objects: Objects) -> Holder | None:
    """Return who holds the lock, as it says; None if nobody does."""
    found = objects.read(NAME)
    return _holder(found[0]) if found is not None else None


def lost(objects: Objects) -> ObjectsError:
    """Return the error of who writes without the lock."""
    return ObjectsError(
        f"storage = {objects.shown}: another sweep has taken it over, since this one gave no sign of life",
        remedy="see which one; the same command waits for it, or goes on",
    )


def _holder(content: bytes) -> Holder | None:
    try:
        body = json.loads(content)
        return Holder(body["token"], body["process"], body["about"], body["beaten_at"])
    except (ValueError, KeyError, TypeError):
        return None  # it was given back, or is none of ours: nobody can hold it so
