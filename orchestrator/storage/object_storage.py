"""A storage that is kept as objects: the paths of a folder are those of a copy on this machine, for this process alone.

What is asked for is fetched, what was written and given to `keep` is put. The copy goes with the process; that of one
that was killed goes with the next.
"""

from __future__ import annotations

import logging
import math
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from filelock import FileLock

from orchestrator.errors import UserError
from orchestrator.folders import try_writing
from orchestrator.objects import Address, BucketObjects, Objects, ObjectsError
from orchestrator.storage import object_lock
from orchestrator.storage.cell_folder import CellFolder, is_key
from orchestrator.storage.copies import new_copy
from orchestrator.storage.folder import Storage, about_this
from orchestrator.storage.mirror import Mirror
from orchestrator.storage.work import CopiedWork, Work
from orchestrator.waiting import waiting_for

# How long a training waits for a bucket that does not answer.
WORK_PATIENCE_S = 120.0
# How long a sweep that ends waits for what is not put yet.
FLUSH_S = 60.0

logger = logging.getLogger(__name__)


def storage_at(place: Path | Address, *, copies_in: Path, named: str = "storage") -> Storage:
    """Return the storage at a place; nothing is asked or made yet.

    Args:
        place: A folder, or an address of object storage.
        copies_in: The folder of this machine in which copies of objects go.
        named: The key or the option that says so.
    """
    if isinstance(place, Path):
        return Storage(place, named)
    return _copied(place.as_here(), copies_in, named, "")


@dataclass(frozen=True)
class ObjectStorage(Storage):
    """See `Storage`; `root` is the copy.

    Attributes:
        address: Where the objects are.
        copies_in: The folder of this machine in which copies are.
        mirror: The copy; with the token of the lock in whose name is written, if this process, or that which has sent
            it, has one.
        is_sent: Whether another process has sent it, to have cells trained here.
    """

    address: Address = field(kw_only=True)
    copies_in: Path = field(kw_only=True)
    mirror: Mirror = field(kw_only=True, compare=False, repr=False)
    is_sent: bool = field(default=False, kw_only=True, compare=False)

    is_copied = True

    def __reduce__(self) -> tuple[object, ...]:
        # Another process has a copy of its own.
        return _copied, (self.address, self.copies_in, self.named, self.mirror.token)

    @property
    def objects(self) -> Objects:
        """See `Storage`."""
        return self.mirror.objects

    @property
    def holder(self) -> Path:
        """What the lock says."""
        return self.mirror.fetch(self.root / object_lock.NAME)

    def cell(self, key: str) -> CellFolder:
        """See `Storage`."""
        return CellFolder(self.cells_dir / key, self.mirror, self.shown(self.cells_dir / key))

    def cell_keys(self) -> list[str]:
        """See `Storage`."""
        return [name for name in self.mirror.names(self.cells_dir) if is_key(name)]

    def weights(self, name: str) -> Path:
        """See `Storage`; all that train on this machine share a copy, since the name says what is in it."""
        if not self.is_sent:
            return self.mirror.fetch(super().weights(name))
        path = self.copies_in / "weights" / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with waiting_for(self.shown(super().weights(name))), FileLock(path.with_name(f".{name}.lock")):
                if not path.exists():
                    self.objects.fetch(f"weights/{name}", path)
        return path

    def confirmation(self, sweep: str) -> Path:
        """See `Storage`."""
        return self.mirror.fetch(super().confirmation(sweep))

    def race(self, sweep: str) -> Path:
        """See `Storage`."""
        return self.mirror.fetch(super().race(sweep))

    def confirmations(self) -> list[Path]:
        """See `Storage`."""
        self.mirror.fetch_below(self.root / "confirm")
        return super().confirmations()

    @property
    def looks(self) -> Path:
        """See `Storage`."""
        path = self.mirror.fetch(super().looks)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    @property
    def _stores(self) -> Path:
        return self.mirror.fetch(super()._stores)

    def note_store(self, uri: str) -> None:
        """See `Storage`."""
        if uri not in self.stores():
            super().note_store(uri)
            self.keep(super()._stores)

    def new_log(self, name: str) -> Path:
        """See `Storage`; it stays on this machine, too: what could not be put is said there."""
        (self.copies_in / "logs").mkdir(parents=True, exist_ok=True)
        return self.copies_in / "logs" / super().new_log(name).name

    def keep_log(self, path: Path) -> None:
        """See `Storage`."""
        self.objects.put(f"logs/{path.name}", path)

    def shown(self, path: Path | None = None) -> str:
        """See `Storage`."""
        if path is None or not path.is_relative_to(self.root):
            return str(path or self.address)
        return str(self.address.below(path.relative_to(self.root).as_posix()))

    def keep(self, path: Path) -> None:
        """See `Storage`."""
        self.mirror.keep(path)

    def glance(self) -> AbstractContextManager[None]:
        """See `Storage`."""
        return self.mirror.glance(self.cells_dir)

    def work_on(
        self, key: str, *, patience_s: float = math.inf, on_sign_of_life: Callable[[], None] = lambda: None
    ) -> Work:
        """See `Storage`."""
        objects = BucketObjects(self.address, named=self.named, patience_s=WORK_PATIENCE_S)

        def guard() -> None:
            holder = object_lock.holder_of(objects)
            if holder is None or holder.token != self.mirror.token:
                raise object_lock.lost(objects)

        with waiting_for(f"the checkpoints of cell {key} from {self.address}"):
            return CopiedWork(
                objects,
                f"cells/{key}",
                self.root / "work" / key,
                guard=guard,
                patience_s=patience_s,
                on_sign_of_life=on_sign_of_life,
            )

    def abandoned(self) -> list[Path]:
        """Return nothing: an object is whole, or not there."""
        return []

    @property
    def is_there(self) -> bool:
        """See `Storage`."""
        return True

    def noted_holder(self) -> str:
        """See `Storage`."""
        holder = object_lock.holder_of(self.objects)
        return holder.in_words if holder is not None else ""

    def check(self) -> None:
        """Raise UserError if the bucket is not there, or cannot be read, or the copy cannot be made."""
        self.objects.read(object_lock.NAME)
        self._check_copy()

    def check_writable(self) -> None:
        """Raise UserError as `check`, or if nothing can be listed, written and deleted there; nothing is left."""
        self._check_copy()
        name = f"probe-{uuid.uuid4().hex}"
        try:
            first = self.objects.create(name, b"written to see whether it is possible")
            again = self.objects.create(name, b"written to see whether it is refused")
            second, stale = (
                self.objects.replace(name, content, version=first) if first is not None else None
                for content in (b"written in place of the first", b"written as if that were still there")
            )
            self.objects.list("confirm")
        finally:
            self.objects.delete([name])
        if again is not None or stale is not None:
            lacks = "where there is to be none" if again is not None else "in place of another than it is to replace"
            raise UserError(
                f"{self.named} = {self.address}: its server takes an object {lacks}: two sweeps could not be kept "
                "apart",
                remedy="use one that knows conditional puts (If-None-Match, If-Match), or a newer version of it",
            )
        if first is None or second is None:
            raise UserError(
                f"{self.named} = {self.address}: its server does not replace an object that nobody has changed",
                remedy="use one that knows conditional puts (If-None-Match, If-Match), or a newer version of it",
            )

    def prepare(self) -> None:
        """Check that it can be written to, and make the copy."""
        self.check_writable()
        (self.root / "logs").mkdir(parents=True, exist_ok=True)

    @contextmanager
    def locked(self, sweep: str) -> Iterator[None]:
        """See `Storage`."""
        about = {name: str(value) for name, value in about_this(sweep).items()}
        lock = object_lock.ObjectLock(self.objects, about)
        with lock.held():
            self.mirror.guard, self.mirror.token = lambda _: lock.confirm(), lock.token
            self.mirror.is_lost = lambda ask: lock.is_lost(ask=ask)
            try:
                yield
            finally:
                try:
                    self._flush()
                finally:
                    # Who still delivers must not change what the next holder of the lock works on.
                    with waiting_for(f"{self.address} to take what is under way"):
                        self.mirror.end(self._guard_of_cells)
                    self.mirror.token, self.mirror.is_lost = "", lambda _: False

    def is_lost(self, *, ask: bool = False) -> bool:
        """See `Storage`."""
        return self.mirror.is_lost(ask)

    def require_held(self) -> None:
        """See `Storage`."""
        if self.is_lost():
            raise object_lock.lost(self.objects)

    def _guard_of_cells(self, name: str) -> None:
        """Refuse what only the holder of the lock may change."""
        if name.split("/")[0] == self.cells_dir.name:
            raise ObjectsError(
                f"{self.shown(self.root / name)}: left as it is: the sweep has ended, and its lock was given back",
                remedy="zetasweep sync delivers what is left, or the same command again",
            )

    def is_locked(self) -> bool:
        """See `Storage`; by another machine's clock, where its process cannot be seen."""
        holder = object_lock.holder_of(self.objects)
        return holder is not None and holder.seems_alive

    def _holder_text(self) -> str:
        return self.noted_holder() or "another sweep"

    def _flush(self) -> None:
        with waiting_for(f"{self.address} to take the journals of cells"):
            left = self.mirror.flush(FLUSH_S)
        if left:
            # Where MLflow lacks anything of these cells, the same run tells it from the checkpoints.
            logger.warning("%s = %s does not take %s", self.named, self.address, ", ".join(left))

    def _check_copy(self) -> None:
        try:
            try_writing(self.copies_in)
        except OSError as error:
            raise UserError(
                f"cache.dir = {self.copies_in}: not writable ({error.strerror or error}), and {self.address} is copied "
                "there",
                remedy="mend its permissions, or name another with -o cache.dir=PATH",
            ) from error


@cache
def _copied(address: Address, copies_in: Path, named: str, token: str) -> ObjectStorage:
    """Return what is at an address, with the copy of this process; it was sent if it has a token."""
    root, patience_s = new_copy(copies_in), WORK_PATIENCE_S if token else object_lock.PATIENCE_S
    mirror = Mirror(BucketObjects(address, named=named, patience_s=patience_s), root)
    mirror.token = token
    return ObjectStorage(root, named, address=address, copies_in=copies_in, mirror=mirror, is_sent=bool(token))
