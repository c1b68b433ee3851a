"""Each image is decoded once per machine: all trainings map the same file of pixels.

The cache is a folder of entries, see `orchestrator.data.entry`. An entry appears by a rename when it is whole, and is
checked against its checksum whenever it is opened; one that is damaged is made again.
"""

from __future__ import annotations

import logging
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context
from pathlib import Path

from filelock import FileLock, Timeout

from orchestrator.amounts import bytes_text
from orchestrator.data.dataset import Decoded, PackedSamples, Source
from orchestrator.data.decode import OnProgress, shape_of
from orchestrator.data.entry import (
    Entry,
    Images,
    dataset_of,
    is_entry_name,
    last_use,
    open_entry,
    pixel_hash_of,
    size_bytes,
    write_entry,
)
from orchestrator.data.live_lock import OnSignOfLife, held, showing_at
from orchestrator.data.origin import origin_of, why_anew, write_origin
from orchestrator.environment import CACHE_DIR
from orchestrator.errors import AWAY, NO_ROOM, DataError
from orchestrator.folders import try_writing
from orchestrator.waiting import waiting_for

logger = logging.getLogger(__name__)

_BUILDING, _LOCK = ".building-", ".lock-"


def default_cache_dir() -> Path:
    """Return the folder of the cache where nothing else is said: ``ZETASWEEP_CACHE``, or one in the user's caches.

    Who has no home folder has it below ``TMPDIR``.
    """
    if named := os.environ.get(CACHE_DIR):
        # As a file has it expanded; `~NOBODY` stays, which an experiment refuses.
        return Path(os.path.expanduser(named))
    if user_caches := os.environ.get("XDG_CACHE_HOME"):
        return Path(user_caches) / "zetasweep"
    try:
        return Path.home() / ".cache" / "zetasweep"
    except RuntimeError:  # HOME is not set, and the user is in no list
        return Path(tempfile.gettempdir()) / f"zetasweep-{os.getuid()}"


@dataclass(frozen=True)
class Cache:
    """The folder of all entries.

    Attributes:
        dir: On a disk of the machine itself.
        limit_gib: What all entries together may take; the ones not used for longest give way. None: no limit.
    """

    dir: Path
    limit_gib: float | None = None

    def check(self) -> None:
        """Raise DataError if there cannot be such a folder: it, or what it lies in, is something else, or locked."""
        nearest = next(path for path in (self.dir, *self.dir.parents) if os.path.lexists(path))
        if not nearest.is_dir():
            raise DataError(
                f"cache.dir = {self.dir}: {nearest} is not a folder.",
                remedy=f"Set cache.dir (or {CACHE_DIR}) to a folder on a disk of this machine.",
            )
        try:
            # Whether it is there does not matter, but asking must be allowed.
            (self.dir / "entry").stat()
        except FileNotFoundError:
            pass
        except OSError as error:
            raise self._unwritable(error) from error

    def check_writable(self) -> None:
        """Raise DataError as `check` does, or if no entry could be made."""
        self.check()
        try:
            try_writing(self.dir)
        except OSError as error:
            raise self._unwritable(error) from error

    def check_limit(self, needed_bytes: int, *, what: str) -> None:
        """Raise DataError if `what`, of so many bytes, is more than all entries together may take."""
        if self.limit_gib is not None and needed_bytes > self._limit_bytes:
            enough_gib = Context(prec=2, rounding=ROUND_CEILING).create_decimal(needed_bytes / 2**30)
            raise DataError(
                f"cache.limit_gib = {self.limit_gib:g} ({bytes_text(int(self._limit_bytes))}): {what} take "
                f"{bytes_text(needed_bytes)}.",
                remedy=f"Raise cache.limit_gib to {enough_gib:f} or more, or lower dataset.image_size.",
            )

    def path_of(self, images: Images) -> Path:
        """Return the folder of the entry that holds these images."""
        return self.dir / images.entry_name

    def found(self, images: Images) -> Decoded | None:
        """Return these images if they have been decoded; None if not, or if they are damaged."""
        return open_entry(self.path_of(images), log_level=logging.DEBUG)

    def pixel_hash(self, images: Images) -> str | None:
        """Return the `pixel_hash` of these images; None if they have not been decoded as they are now."""
        return pixel_hash_of(self.path_of(images))

    def decoded(
        self,
        images: Images,
        *,
        open_source: Callable[[], Source],
        on_progress: OnProgress | None = None,
        on_sign_of_life: OnSignOfLife = lambda: None,
    ) -> Decoded:
        """Return the images of a data set: from the entry, made first if it is missing or damaged.

        One process makes it, others wait for it.

        Args:
            images: Which, and how they are decoded.
            open_source: Finds the images; only called if the entry must be made.
            on_progress: Is told of the images that are decoded.
            on_sign_of_life: See `orchestrator.data.live_lock.OnSignOfLife`.

        Raises:
            DataError: An image cannot be read, the cache cannot be written, or there is no room.
        """
        self.check()
        path = self.path_of(images)
        show = showing_at(self._building(path), on_sign_of_life)

        def tell(done: int, total: int) -> None:
            show()
            if on_progress is not None:
                on_progress(done, total)

        # What is damaged is said under the lock: once, and only by the process that makes it again.
        found = open_entry(path, log_level=logging.DEBUG, on_block=on_sign_of_life)
        if found is None:
            try:
                self.dir.mkdir(parents=True, exist_ok=True)
                with self._turn(path, on_sign_of_life):
                    found = open_entry(path, on_block=on_sign_of_life)
                    if found is None:
                        origin = origin_of(images)
                        self._say_why(path, origin)
                        self._build(path, open_source(), images, origin, tell)
                        found = open_entry(path, on_block=on_sign_of_life)
            except OSError as error:
                raise self._unwritable(error) from error
            if found is None and not path.exists():
                raise DataError(
                    f"{path} was removed as soon as it was written.",
                    remedy="Raise cache.limit_gib in all files whose cells use this folder, or set another cache.dir.",
                )
            if found is None:
                raise DataError(
                    f"{path} was damaged as soon as it was written.", remedy="Set cache.dir to another disk."
                )
        return found

    @contextmanager
    def _turn(self, path: Path, sign: OnSignOfLife) -> Iterator[None]:
        """Be the one process that makes an entry; until then, take over the signs of life of the one that does."""
        with ExitStack() as turn:
            with waiting_for(f"another process, which decodes {dataset_of(path.name)} into {self.dir}"):
                turn.enter_context(held(self._lock(path), seen_at=self._building(path), sign=sign))
            yield

    def _building(self, path: Path) -> Path:
        return self.dir / f"{_BUILDING}{path.name}"

    def _lock(self, path: Path) -> Path:
        return self.dir / f"{_LOCK}{path.name}"

    def entries(self) -> list[Entry]:
        """Return the entries that are there, those not used for longest first.

        Raises:
            DataError: There cannot be such a folder.
        """
        self.check()
        found = []
        for path in self.dir.glob("*"):
            with suppress(FileNotFoundError, NotADirectoryError):  # another process may be removing it
                if is_entry_name(path.name):
                    found.append((last_use(path), Entry(path, size_bytes(path))))
        return [entry for _, entry in sorted(found, key=lambda pair: pair[0])]

    def clear(self, name: str | None = None) -> list[Entry]:
        """Remove the entries of a data set, or all, and what killed builds left of them; return the entries.

        Trainings that have mapped an entry keep it until they end.

        Raises:
            DataError: One cannot be removed.
        """
        removed = [entry for entry in self.entries() if name in (None, entry.dataset)]
        try:
            for entry in removed:
                shutil.rmtree(entry.path)
            self._remove_unfinished(name)
        except OSError as error:
            raise self._unwritable(error) from error
        return removed

    def _say_why(self, path: Path, origin: dict[str, str]) -> None:
        """Say why an entry is made although there is one of the same data set and size."""
        if path.exists():  # damaged, which was said
            return
        kind = path.name.rpartition("-")[0]
        others = [entry.path for entry in reversed(self.entries()) if entry.path.name.rpartition("-")[0] == kind]
        if (reason := why_anew(others, origin)) is not None:
            logger.warning("%s is decoded again: %s", dataset_of(path.name), reason)

    def _build(
        self, path: Path, source: Source, images: Images, origin: dict[str, str], on_progress: OnProgress
    ) -> None:
        building = self._building(path)
        shutil.rmtree(building, ignore_errors=True)
        shutil.rmtree(path, ignore_errors=True)
        self._remove_unfinished()
        count, shape = shape_of(source, images.image_size)
        needed_bytes = count * math.prod(shape)
        self._make_room(needed_bytes)
        free_bytes = shutil.disk_usage(self.dir).free
        try:
            write_entry(building, source, images, on_progress=on_progress)
            write_origin(building, origin)
            building.rename(path)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            packed = [samples for samples in source.parts.values() if isinstance(samples, PackedSamples)]
            unpacked_bytes = sum(samples.unpacked_bytes for samples in packed)
            meanwhile = f", {bytes_text(unpacked_bytes)} more while they are unpacked" if packed else ""
            # A quota, or a disk that has no room for names, leaves bytes free.
            is_short = free_bytes < needed_bytes + unpacked_bytes
            free = f", and {bytes_text(free_bytes)} are free there" if is_short else ""
            raise DataError(
                f"cache.dir = {self.dir}: no room for the decoded images ({error.strerror}): they take "
                f"{bytes_text(needed_bytes)}{meanwhile}{free}.",
                remedy=f"Free some (zetasweep data clear --cache-dir {self.dir}), set cache.dir to another disk, or "
                "lower dataset.image_size.",
                can_pass=True,
            ) from error
        finally:
            shutil.rmtree(building, ignore_errors=True)

    def _remove_unfinished(self, name: str | None = None) -> None:
        """Remove what killed builds left of a data set, or of all; a build that goes on holds its lock."""
        for path in self.dir.glob(f"{_BUILDING}*"):
            entry = path.name.removeprefix(_BUILDING)
            if is_entry_name(entry) and name in (None, dataset_of(entry)):
                with suppress(OSError), FileLock(self.dir / f"{_LOCK}{entry}", timeout=0):
                    shutil.rmtree(path, ignore_errors=True)

    @property
    def _limit_bytes(self) -> float:
        return math.inf if self.limit_gib is None else self.limit_gib * 2**30

    def _make_room(self, needed_bytes: int) -> None:
        """Remove entries until the limit holds with so many bytes more, but none that another process makes now: it has
        yet to be read.
        """
        self.check_limit(needed_bytes, what="the decoded images")
        entries = self.entries()
        taken = sum(entry.size_bytes for entry in entries)
        for entry in entries:
            if taken + needed_bytes <= self._limit_bytes:
                return
            with suppress(Timeout), FileLock(self._lock(entry.path), timeout=0):
                logger.warning(
                    "cache.limit_gib = %g: %s, not used for longest, gives way to a new entry",
                    self.limit_gib,
                    entry.path,
                )
                shutil.rmtree(entry.path, ignore_errors=True)
                taken -= entry.size_bytes

    def _unwritable(self, error: OSError) -> DataError:
        return DataError(
            f"cache.dir = {self.dir}: not writable ({error.strerror or error}).",
            remedy="Mend that, or set cache.dir.",
            can_pass=error.errno in (*NO_ROOM, *AWAY),
        )
