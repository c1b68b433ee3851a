"""The folder of a sweep's results: checkpoints, logs, the SQLite MLflow store, and the lock of the sweep at work."""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from filelock import FileLock, Timeout

from orchestrator.errors import UserError
from orchestrator.folders import try_writing
from orchestrator.objects import Objects
from orchestrator.storage.atomic import is_abandoned, written_whole
from orchestrator.storage.cell_folder import CellFolder, below, is_key
from orchestrator.storage.folder_objects import FolderObjects
from orchestrator.storage.work import DirectWork, Work

# Outlasts the moment for which `Storage.is_locked` takes the lock to see whether it is free.
LOCK_TIMEOUT_S = 2
_SCRATCH = re.compile(r"ray-[a-z0-9_]{8}")


@dataclass(frozen=True)
class Storage:
    """Paths below ``storage`` of an experiment.

    What is kept as objects has the same paths in a copy (`orchestrator.storage.object_storage`): who writes to one
    calls `keep`, which has nothing to do here.

    Attributes:
        root: Absolute; on a cluster every node must see it under this path.
        named: The key or the option that gave `root`, for messages.
    """

    # Whether paths are those of a copy.
    is_copied: ClassVar[bool] = False

    root: Path
    named: str = "storage"

    @property
    def holder(self) -> Path:
        """JSON that names the sweep at work here; meaningless unless `is_locked`."""
        return self.root / "holder.json"

    @property
    def cells_dir(self) -> Path:
        """One folder per cell, by key."""
        return self.root / "cells"

    def cell(self, key: str) -> CellFolder:
        """Return the folder of a cell."""
        return CellFolder(self.cells_dir / key)

    def cell_keys(self) -> list[str]:
        """Return the keys of the cells that have a folder."""
        return [path.name for path in below(self.cells_dir) if is_key(path.name) and path.is_dir()]

    @property
    def objects(self) -> Objects:
        """The same as objects."""
        return FolderObjects(self.root)

    def shown(self, path: Path | None = None) -> str:
        """Return where all of it lies, or what would be at `path`, for people."""
        return str(path or self.root)

    def keep(self, path: Path) -> None:
        """Have a file or a folder that was written be kept; raises OSError if it cannot."""

    def glance(self) -> AbstractContextManager[None]:
        """Have the folders of cells be looked at once for all that is asked in the block, where looking takes time."""
        return nullcontext()

    def work_on(
        self, key: str, *, patience_s: float = math.inf, on_sign_of_life: Callable[[], None] = lambda: None
    ) -> Work:
        """Return where a training of a cell writes, with what it left there before.

        Args:
            key: Of the cell.
            patience_s: How long whoever waits until all is kept puts up with a storage that takes nothing.
            on_sign_of_life: Called again and again while that is fetched.
        """
        return DirectWork(self.cell(key).path)

    def weights(self, name: str) -> Path:
        """Return the file of weights that trainings begin with: kept here for every machine that trains."""
        return self.root / "weights" / name

    def confirmation(self, sweep: str) -> Path:
        """Return the file that says what is confirmed of a sweep (`orchestrator.storage.Confirmation`)."""
        return self.root / "confirm" / f"{sweep}.json"

    def race(self, sweep: str) -> Path:
        """Return the file that says what is kept of a sweep's search (`orchestrator.racing.Kept`)."""
        return self.root / "race" / f"{sweep}.json"

    def confirmations(self) -> list[Path]:
        """Return those files that are there."""
        return sorted((self.root / "confirm").glob("*.json"))

    @property
    def artifacts_dir(self) -> Path:
        """MLflow's artifacts, by experiment."""
        return self.root / "artifacts"

    @property
    def reports_dir(self) -> Path:
        """One folder per experiment that a report was written of, by name; each is replaced by the next report."""
        return self.root / "report"

    @property
    def database(self) -> Path:
        """The SQLite MLflow store, used unless ``tracking.uri`` says otherwise."""
        return self.root / "mlflow.db"

    @property
    def looks(self) -> Path:
        """JSON of the seeds that stood whenever a finished table was looked at (`orchestrator.storage.looks`)."""
        return self.root / "looks.json"

    @property
    def _option(self) -> str:
        return f"{self.named} PATH" if self.named.startswith("--") else f"-o {self.named}=PATH"

    @property
    def _stores(self) -> Path:
        return self.root / "stores.json"

    def note_store(self, uri: str) -> None:
        """Remember that an MLflow store, named without credentials, knows cells of this folder."""
        if uri not in (known := self.stores()):
            with written_whole(self._stores) as file:
                file.write(json.dumps([*known, uri], indent=2).encode())

    def stores(self) -> list[str]:
        """Return the MLflow stores that know cells of this folder."""
        return list(json.loads(self._stores.read_text(encoding="utf-8"))) if self._stores.exists() else []

    def new_log(self, name: str) -> Path:
        """Return the path of a log file for a sweep that starts now."""
        folder = self.root / "logs"
        folder.mkdir(exist_ok=True)
        return folder / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"

    def keep_log(self, path: Path) -> None:
        """Have a log that is complete be kept."""

    def new_scratch(self) -> Path:
        """Return a new folder for Ray's own files; those of killed sweeps go. The folder must be `locked`."""
        for folder in self.scratch_folders():
            shutil.rmtree(folder, ignore_errors=True)
        return Path(tempfile.mkdtemp(prefix="ray-", dir=self.root))

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Have such a folder; nothing is left of it at the end."""
        folder = self.new_scratch()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def scratch_folders(self) -> list[Path]:
        """Return the folders that `new_scratch` made and that are still there."""
        return [path for path in sorted(self.root.glob("ray-*")) if _SCRATCH.fullmatch(path.name) and path.is_dir()]

    def abandoned(self) -> list[Path]:
        """Return what processes that are gone have left unfinished."""
        folders = (self.cells_dir, self.reports_dir)
        left = [path for folder in folders for path in below(folder) if is_abandoned(path)]
        return [*self.scratch_folders(), *left]

    @property
    def is_there(self) -> bool:
        """Whether anything was kept."""
        return self.root.is_dir()

    def check(self) -> None:
        """Raise UserError if there cannot be such a folder: it, or what it lies in, is something else, or locked."""
        try:
            nearest = next(path for path in (self.root, *self.root.parents) if os.path.lexists(path))
            if not nearest.is_dir():
                raise UserError(
                    f"{self.named} = {self.root}: {nearest} is not a folder", remedy=f"name another with {self._option}"
                )
            with suppress(FileNotFoundError):
                self.database.stat()
        except OSError as error:
            raise self.unusable("cannot be used", error) from error

    def check_writable(self) -> None:
        """Raise UserError if there cannot be such a folder, or nothing could be written to it; nothing is made."""
        self.check()
        try:
            try_writing(self.root)
        except OSError as error:
            raise self.unusable("not writable", error) from error

    def prepare(self) -> None:
        """Make the folder and check that it can be written to.

        Raises:
            UserError: It cannot.
        """
        self.check_writable()
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self.unusable("not writable", error) from error

    def unusable(self, how: str, error: OSError) -> UserError:
        """Return what is to be said of a folder that something is wrong with."""
        return UserError(
            f"{self.named} = {self.root}: {how} ({error.strerror or error})",
            remedy=f"mend its permissions, or name another folder with {self._option}",
        )

    @contextmanager
    def locked(self, sweep: str) -> Iterator[None]:
        """Hold the folder for one sweep.

        Raises:
            UserError: Another process holds it; the message says who.
        """
        lock = FileLock(self._lock_path)
        try:
            lock.acquire(timeout=LOCK_TIMEOUT_S)
        except Timeout as error:
            raise UserError(
                f"storage = {self.root}: in use by {self._holder_text()}",
                remedy="wait for it or end it; another sweep can run with -o storage=ANOTHER_FOLDER",
            ) from error
        try:
            self.holder.write_text(json.dumps(about_this(sweep)), encoding="utf-8")
            yield
        finally:
            self.holder.unlink(missing_ok=True)
            lock.release()

    def is_lost(self, *, ask: bool = False) -> bool:
        """Return whether another sweep has taken over what this process has `locked`.

        Args:
            ask: Whether it is asked now, which may take a while; else what is known is returned.
        """
        return False

    def require_held(self) -> None:
        """Raise UserError if another sweep is known to have taken over what this process has `locked`."""

    def noted_holder(self) -> str:
        """Return what the sweep at work, or one that was killed, has noted of itself; empty if there is nothing."""
        return self.holder.read_text(encoding="utf-8") if self.holder.exists() else ""

    def is_locked(self) -> bool:
        """Return whether a sweep is at work here."""
        if not self.holder.exists():
            return False
        try:
            with FileLock(self._lock_path, timeout=0):
                return False
        except Timeout:
            return True
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            return self._is_held_for_readers()

    def _is_held_for_readers(self) -> bool:
        """Return `is_locked` for who may read the folder and not write it, as a colleague of the user."""
        try:
            descriptor = os.open(self._lock_path, os.O_RDONLY)
        except OSError:
            return True  # there is a holder, and no way to tell that it is dead
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(descriptor)
        return False

    def in_use_by(self) -> str | None:
        """Return in words which sweep is at work here; None if none is."""
        return self._holder_text() if self.is_locked() else None

    def _holder_text(self) -> str:
        """Return in words who holds the folder."""
        try:
            about = json.loads(self.holder.read_text(encoding="utf-8"))
            return f"the sweep {about['sweep']}, process {about['pid']} on {about['host']}, since {about['since']}"
        except (OSError, ValueError, KeyError):
            return "another sweep"

    @property
    def _lock_path(self) -> Path:
        return self.root / ".lock"


def about_this(sweep: str) -> dict[str, str | int]:
    """Return what this process says of itself while it holds a storage for a sweep."""
    return {"sweep": sweep, "host": socket.gethostname(), "pid": os.getpid(), "since": time.strftime("%F %T")}
