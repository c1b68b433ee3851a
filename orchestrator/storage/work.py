"""Where a training writes: the cell's folder itself, or a copy of it that a thread beside the training uploads.

The thread looks at the folder again and again, so that nobody who writes there has to know of it. What is new is put
first, in the order in which it is needed, and only then is removed what is gone here: at any moment there is a training
that can go on. What was written and replaced between two looks is never put. A training removes a checkpoint where it
has another: a copy without any was removed by somebody else, and nothing is concluded from that.
"""

from __future__ import annotations

import logging
import math
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, TypeVar

from orchestrator.objects import Found, Objects, ObjectsError
from orchestrator.storage.atomic import is_temporary

# How often the folder is looked at, and how long what fails is left alone.
LOOK_EVERY_S, PAUSE_S = 0.25, 5.0
# Fetched at a time.
AT_A_TIME = 4
_Answer = TypeVar("_Answer")

logger = logging.getLogger(__name__)


class Work(Protocol):
    """A folder that a training writes to, and goes on from."""

    @property
    def path(self) -> Path:
        """The folder; it need not be there."""
        ...

    @property
    def problem(self) -> str | None:
        """Why nothing more will be kept, in full; None as long as it is, or may be again."""
        ...

    def then(self, act: Callable[[], object]) -> None:
        """Do something once all that was written by now is kept; in the order in which it was said.

        What goes wrong in it is raised by it, or by what is asked next.
        """
        ...

    def is_kept(self, timeout_s: float) -> bool:
        """Wait, no longer than that; return whether all that was written before the first call since is kept.

        It is also over where there is a `problem`; see `then` for what it raises.
        """
        ...

    def close(self) -> None:
        """End it; what is not kept by now is given up."""
        ...


class DirectWork:
    """A folder that is kept as it is.

    Args:
        path: It.
    """

    problem: str | None = None

    def __init__(self, path: Path) -> None:
        self.path = path

    def then(self, act: Callable[[], object]) -> None:
        """Do it now."""
        act()

    def is_kept(self, timeout_s: float) -> bool:
        """Return that it is."""
        return True

    def close(self) -> None:
        """Do nothing."""


class CopiedWork:
    """A copy of objects.

    Args:
        objects: Where they are.
        folder: The name of the cell's folder there.
        path: Where the copy goes; what is there is removed.
        guard: Called before each request that changes something; raises `ObjectsError` if this sweep has no right to
            any more.
        patience_s: How long whoever waits until all is kept puts up with objects that cannot be written.
        on_sign_of_life: Called again and again while it is fetched.

    Raises:
        ObjectsError: It cannot be fetched.
    """

    def __init__(
        self,
        objects: Objects,
        folder: str,
        path: Path,
        *,
        guard: Callable[[], None],
        patience_s: float = math.inf,
        on_sign_of_life: Callable[[], None] = lambda: None,
    ) -> None:
        self.path = path
        self.problem: str | None = None
        self._objects, self._folder, self._guard, self._patience_s = objects, folder, guard, patience_s
        self._known: dict[str, tuple[int, ...]] = {}
        self._changed = threading.Condition()
        self._asked = self._done = 0
        self._acts: list[Callable[[], object]] = []
        self._waits_for: int | None = None
        self._waits_since = 0.0
        self._trouble_since: float | None = None
        self._failed: Exception | None = None
        self._closed, self._said_trouble = threading.Event(), False
        shutil.rmtree(path, ignore_errors=True)
        self._fetch(on_sign_of_life)
        self._thread = threading.Thread(target=self._run, name="upload", daemon=True)
        self._thread.start()

    def then(self, act: Callable[[], object]) -> None:
        """See `Work`."""
        with self._changed:
            self._raise_failed()
            self._acts.append(act)
            self._asked += 1
            self._changed.notify_all()

    def is_kept(self, timeout_s: float) -> bool:
        """See `Work`."""
        with self._changed:
            if self._waits_for is None:
                self._asked += 1
                self._waits_for, self._waits_since = self._asked, time.monotonic()
                self._changed.notify_all()
            wanted = self._waits_for
            kept = self._changed.wait_for(lambda: self._done >= wanted or self.problem is not None, timeout_s)
            self._raise_failed()
            if kept:
                self._waits_for = None
            return kept

    def close(self) -> None:
        """See `Work`."""
        with self._changed:
            self._closed.set()
            self._changed.notify_all()
        self._thread.join(1.0)  # a request may be under way
        shutil.rmtree(self.path, ignore_errors=True)

    def _fetch(self, on_sign_of_life: Callable[[], None]) -> None:
        """Fetch what a training goes on from: the checkpoints."""

        def fetch(each: Found) -> None:
            self._objects.fetch(each.name, self.path / each.name.removeprefix(f"{self._folder}/"))

        def done(*under_way: Future[_Answer]) -> list[_Answer]:
            while not all(each.done() for each in under_way):
                on_sign_of_life()
                time.sleep(0.1)
            return [each.result() for each in under_way]

        with ThreadPoolExecutor(AT_A_TIME) as pool:
            (found,) = done(pool.submit(self._objects.list, self._folder))
            done(*(pool.submit(fetch, each) for each in found if each.name.endswith(".pt")))
        self._known = _scan(self.path)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed.is_set() or self._asked > self._done, LOOK_EVERY_S)
                wanted, acts = self._asked, [*self._acts]
            if self._closed.is_set():
                return
            try:
                if not self._put_changed():
                    continue  # something was removed meanwhile: it is looked again
                self._say_passed()
            except ObjectsError as error:
                self._say_trouble(error)
                if not error.can_pass or self._has_waited():
                    self._end(error.in_full)
                    return
                with self._changed:
                    self._changed.wait_for(self._closed.is_set, PAUSE_S)
                continue
            except Exception as error:
                # Nobody else notices the end of a thread.
                logger.exception("the upload of %s ended", self._folder)
                self._end(f"{self._objects.shown}: the upload of {self._folder} ended: {type(error).__name__}: {error}")
                return
            try:
                for act in acts:
                    act()
            except Exception as error:  # noqa: BLE001 - it crosses a thread: whoever asks next raises it
                self._end(f"{type(error).__name__}: {error}", failed=error)
                return
            with self._changed:
                del self._acts[: len(acts)]
                self._done = wanted
                self._changed.notify_all()

    def _put_changed(self) -> bool:
        """Have the objects be what is here; return False if that has changed too much meanwhile.

        Raises:
            ObjectsError: They cannot be written, or somebody has removed the copy.
        """
        here = _scan(self.path)
        if self._closed.is_set():
            return False  # what was seen may be what goes with it
        if self._known and not self.path.is_dir():
            raise ObjectsError(
                f"{self.path} is gone: somebody has removed the copy in which {self._folder} was trained",
                remedy=f"leave the folder of cache.dir alone while a sweep runs; {self._objects.shown} has what was "
                "put, and zetasweep run goes on from that",
            )
        changed = [name for name in sorted(here, key=_order) if self._known.get(name) != here[name]]
        gone = self._removed(here, self._known)
        for name in changed:
            if self._closed.is_set():
                return False
            self._guard()
            try:
                self._objects.put(f"{self._folder}/{name}", self.path / name)
            except FileNotFoundError:
                return False
            self._known[name] = here[name]
            self._trouble_since = None
        if gone:
            self._guard()
            # Last of all, once more: who removes a copy may have been at it.
            gone = self._removed(_scan(self.path), gone)
            self._objects.delete([f"{self._folder}/{name}" for name in gone])
            for name in gone:
                del self._known[name]
        return True

    def _removed(self, here: Mapping[str, object], names: Iterable[str]) -> list[str]:
        """Return which names the training has removed, by what is here."""
        goes_on = any(name.endswith(".pt") for name in here)
        return [name for name in names if name not in here] if goes_on and not self._closed.is_set() else []

    def _has_waited(self) -> bool:
        """Return whether somebody waits, and there has been trouble for longer than he puts up with."""
        with self._changed:
            if self._waits_for is None or self._trouble_since is None:
                return False
            return time.monotonic() - max(self._trouble_since, self._waits_since) > self._patience_s

    def _raise_failed(self) -> None:
        if self._failed is not None:
            raise self._failed

    def _end(self, problem: str, *, failed: Exception | None = None) -> None:
        with self._changed:
            self.problem, self._failed = problem, failed
            self._changed.notify_all()

    def _say_trouble(self, error: ObjectsError) -> None:
        if not error.can_pass:
            return  # whoever asks says it
        if not self._said_trouble:
            logger.warning("checkpoints wait, the training goes on: %s", error.in_one_line)
        self._said_trouble = True
        if self._trouble_since is None:
            self._trouble_since = time.monotonic()

    def _say_passed(self) -> None:
        if self._said_trouble:
            logger.warning("%s takes checkpoints again", self._objects.shown)
        self._said_trouble, self._trouble_since = False, None


def _scan(folder: Path) -> dict[str, tuple[int, ...]]:
    """Return what says which content each file has, by its name below `folder`; nothing unfinished is among them."""
    found: dict[str, tuple[int, ...]] = {}
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if any(is_temporary(folder / part) for part in parts):
            continue
        try:
            if path.is_file():
                stat = path.stat()
                found["/".join(parts)] = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        except FileNotFoundError:
            continue  # replaced, or removed, just now
    return found


def _order(name: str) -> tuple[int, str]:
    """Return by what files are put: what others rest on first, and the result, which says that all is there, last."""
    if "/" in name or not name.endswith(".pt"):
        return 0, name
    return {"best.pt": 2, "result.pt": 3}.get(name, 1), name
