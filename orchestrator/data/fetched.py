"""Data sets that lie in object storage: each is fetched once to a machine, and then found there as in a folder.

What was fetched is compared with what is there, by size and tag, once in each process or in another that did so since:
only what has changed is fetched again. All machines give a file the time of its object, so that they know the decoded
images of it by the same name.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from orchestrator.amounts import bytes_text
from orchestrator.data.live_lock import OnSignOfLife, held, showing_at
from orchestrator.errors import AWAY, NO_ROOM, DataError
from orchestrator.objects import Address, BucketObjects, Found, Objects, ObjectsError
from orchestrator.waiting import counting

# Below the folder of a machine's caches.
COPIES = "fetched"
# How many files at a time, how often it is noted which are here, and how long a server may be silent.
AT_A_TIME, NOTE_EVERY_S, PATIENCE_S = 16, 10.0, 60.0
# Of a million files not all wait in memory for their turn.
SUBMITTED = 1024
_ROOM = "Make room there, or set cache.dir to another disk."
_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class FetchedDir:
    """A ``data_dir`` in object storage.

    Attributes:
        address: Where.
        copies_in: The folder of this machine in which copies are.
    """

    address: Address
    copies_in: Path

    @property
    def root(self) -> Path:
        """The folder of this machine in which all that is fetched lies as it does there."""
        digest = hashlib.sha256(repr(self.address).encode()).hexdigest()[:16]
        return self.copies_in / COPIES / digest

    def as_uri(self) -> str:
        """Return the address."""
        return str(self.address)

    def fetched(self, name: str, *, on_sign_of_life: OnSignOfLife = lambda: None) -> Path:
        """Return where a file, or a folder with all below it, lies on this machine; it is fetched if need be.

        Args:
            name: Relative to the address.
            on_sign_of_life: See `orchestrator.data.live_lock.OnSignOfLife`.

        Raises:
            DataError: There is nothing of that name, it cannot be fetched, or there is no room for it.
        """
        with _alone:
            if (self, name) not in _looked_at:
                try:
                    _fetch(self, name, on_sign_of_life)
                except ObjectsError as error:
                    raise DataError(error.args[0], remedy=error.remedy, can_pass=error.can_pass) from error
                except OSError as error:
                    raise DataError(
                        f"data_dir = {self.address}: {name} cannot be fetched to {self.root} "
                        f"({error.strerror or error}).",
                        remedy=_ROOM,
                        can_pass=error.errno in (*NO_ROOM, *AWAY),
                    ) from error
                _looked_at.add((self, name))
        return self.root / name


DataDir = Path | FetchedDir
"""Where data sets lie."""

_alone = threading.Lock()
_looked_at: set[tuple[FetchedDir, str]] = set()


def _fetch(there: FetchedDir, name: str, sign: OnSignOfLife) -> None:
    objects = BucketObjects(there.address, named="data_dir", patience_s=PATIENCE_S)
    there.root.mkdir(parents=True, exist_ok=True)
    mark = hashlib.sha256(name.encode()).hexdigest()[:16]
    note, looked = there.root / f".{mark}.json", there.root / f".{mark}.looked"
    asked_at = time.time()
    # One process of a machine looks and fetches, the others wait for it.
    with held(there.root / f".{mark}.lock", seen_at=note, sign=sign):
        if _looked_since(looked, asked_at):
            return
        note.touch()  # by it the others see that this one is at work
        sign, began_at = showing_at(note, sign), time.time()
        found = _listed(objects, name, sign)
        if not found:
            raise DataError(
                f"data_dir = {there.address}: there is no {name}.",
                remedy="Put it there, or change data_dir. What belongs where is in docs/data-sets.md.",
            )
        here = _noted(note)
        wanted = {each.name for each in found}
        for gone in here.keys() - wanted:
            _remove(there.root, gone)
        missing = []
        for each in found:
            sign()
            if here.get(each.name) != each.tag or not _is_whole(there.root, each):
                missing.append(each)
        if missing or here.keys() - wanted:
            # Anew: who was killed may have left half a line.
            unfinished = note.with_suffix(".tmp")
            unfinished.unlink(missing_ok=True)
            _note(unfinished, {key: here[key] for key in here.keys() & wanted})
            unfinished.replace(note)
        if missing:
            _fetch_missing(objects, missing, there, name, note, sign)
        looked.write_text(json.dumps([socket.gethostname(), began_at]), encoding="utf-8")


def _remove(root: Path, name: str) -> None:
    """Remove a file and the folders that are empty then: one that is not in the bucket is no class, and no split."""
    (root / name).unlink(missing_ok=True)
    for folder in (root / name).parents:
        if folder == root:
            return
        try:
            folder.rmdir()
        except FileNotFoundError:
            continue
        except OSError:  # something else is in it
            return


def _fetch_missing(
    objects: Objects, missing: Sequence[Found], there: FetchedDir, name: str, note: Path, sign: OnSignOfLife
) -> None:
    needed, free = sum(each.size for each in missing), shutil.disk_usage(there.root).free
    if needed > free:
        raise DataError(
            f"data_dir = {there.address}: of {name} {bytes_text(needed)} are to be fetched to {there.root}, which has "
            f"{bytes_text(free)} left.",
            remedy=_ROOM,
        )
    noted_at, new, begun = time.monotonic(), dict[str, str](), 0
    task = f"fetching {bytes_text(needed)} from {objects.shown} to {there.root}"
    with counting(task) as show, ThreadPoolExecutor(AT_A_TIME) as pool:
        under_way: deque[tuple[Found, Future[str | None]]] = deque()
        try:
            for done in range(len(missing)):
                for each in missing[begun : done + SUBMITTED]:
                    under_way.append((each, pool.submit(objects.fetch, each.name, there.root / each.name)))
                begun = done + SUBMITTED
                each, future = under_way.popleft()
                tag = _waited_for(future, sign)
                if tag is None:
                    raise DataError(
                        f"data_dir = {there.address}: {each.name} was removed there while {name} was fetched.",
                        remedy="Give the same command again, once nobody changes the data set any more.",
                    )
                new[each.name] = tag
                show(done + 1, len(missing))
                if time.monotonic() - noted_at > NOTE_EVERY_S:
                    # Who is killed need not fetch all of it again.
                    _note(note, new)
                    noted_at = time.monotonic()
            _note(note, new)
        finally:
            pool.shutdown(cancel_futures=True)


def _listed(objects: Objects, name: str, sign: OnSignOfLife) -> list[Found]:
    """Return the objects below a name, or that of the name itself; without those that stand for a folder."""
    with ThreadPoolExecutor(1) as pool:
        found = _waited_for(pool.submit(objects.list, name), sign)
        if not found:
            folder = name.rpartition("/")[0]
            beside = _waited_for(pool.submit(objects.list, folder), sign)
            found = [each for each in beside if each.name == name]
    folders = {each.name.rsplit("/", depth)[0] for each in found for depth in range(1, each.name.count("/") + 1)}
    return [each for each in found if each.name not in folders]


def _waited_for(future: Future[_Answer], sign: OnSignOfLife) -> _Answer:
    while not future.done():
        sign()
        time.sleep(0.01)
    return future.result()


def _looked_since(looked: Path, moment: float) -> bool:
    """Return whether another process of this machine began to look after that moment: this one would see the same."""
    try:
        host, began_at = json.loads(looked.read_text(encoding="utf-8"))
        return bool(host == socket.gethostname() and began_at >= moment)
    except (OSError, ValueError, TypeError):
        return False


def _note(note: Path, new: dict[str, str]) -> None:
    """Add what is here now, by the tags that it had there, and forget it."""
    with note.open("a", encoding="utf-8") as file:
        file.write(json.dumps(new) + "\n")
    new.clear()


def _noted(note: Path) -> dict[str, str]:
    """Return all that was noted; half a line, which who was killed left, ends it."""
    here: dict[str, str] = {}
    with suppress(OSError, ValueError), note.open(encoding="utf-8") as file:
        for line in file:
            here.update(json.loads(line))
    return here


def _is_whole(root: Path, found: Found) -> bool:
    path = root / found.name
    return path.is_file() and path.stat().st_size == found.size
