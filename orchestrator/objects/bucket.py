"""Objects in a bucket, by obstore: S3 and what speaks like it, Google's and Azure's.

pyarrow, which Ray and MLflow bring along, has no conditional put, on which the lock rests; obstore has it for all
three, lists with tags, and reads and writes without Python's lock, so that a training beside it goes on.
"""

from __future__ import annotations

import os
import time
import uuid
from bisect import bisect_left
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from orchestrator.objects.address import Address
from orchestrator.objects.clients import Clients
from orchestrator.objects.objects import Found, ObjectsError
from orchestrator.objects.trouble import can_pass, explained, is_no_bucket
from orchestrator.process_names import lasting_clock
from orchestrator.waiting import waiting_for

# A request that fails is tried again for so long.
PATIENCE_S = 60.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0
# What is larger is sent in parts, so many at a time: together they have to get through within their client's patience.
SMALL_BYTES, PART_BYTES, SENT_AT_A_TIME = 2**20, 8 * 2**20, 4
_BETWEEN = "\n"
_Answer = TypeVar("_Answer")


class BucketObjects:
    """The objects below a folder of a bucket: see `orchestrator.objects.Objects`. Nothing is asked until it must be.

    What is read into memory or put from there, and files up to `SMALL_BYTES`, are one request, so that whoever has the
    right to write for a while only knows when the last try has ended: `patience_s` and
    `orchestrator.objects.clients.SILENCE_S` later.

    Args:
        address: Where.
        named: The key of the experiment file that says so, for messages.
        patience_s: How long a request that fails is tried again.
        store: obstore's, in place of that of the address.
    """

    def __init__(
        self, address: Address, *, named: str, patience_s: float = PATIENCE_S, store: Any | None = None
    ) -> None:
        self._address, self._named, self._patience_s = address.as_here(), named, patience_s
        # Then its credentials were there.
        self._has_worked = False
        # When the first request began that it has not answered, by `time.monotonic`; None while it answers.
        self._silent_since: float | None = None
        if store is not None:
            self._clients = Clients(store, store, store)

    @cached_property
    def _clients(self) -> Clients:
        return Clients.of(self._address, self._named)

    @property
    def _obstore(self) -> Any:
        _ = self._clients  # whoever lacks it is told so
        import obstore

        return obstore

    @property
    def _store(self) -> Any:
        return self._clients.small

    @property
    def shown(self) -> str:
        """The address."""
        return str(self._address)

    def list(self, below: str = "") -> list[Found]:
        """See `Objects`."""
        obstore = self._obstore

        def ask() -> list[Found]:
            chunks = obstore.list(self._store, below or None, chunk_size=1000)
            return [Found(each["path"], each["size"], each["e_tag"] or "") for chunk in chunks for each in chunk]

        found = sorted(self._trying("to be listed", ask), key=lambda found: found.name)
        return _without_folders(found, below)

    def read(self, name: str) -> tuple[bytes, str] | None:
        """See `Objects`."""
        obstore = self._obstore

        def ask() -> tuple[bytes, str]:
            got = obstore.get(self._store, name)
            return bytes(got.bytes()), _version(got.meta)

        try:
            return self._trying(f"to give {name}", ask)
        except FileNotFoundError:
            return None

    def fetch(self, name: str, path: Path, *, unless: str | None = None) -> str | None:
        """See `Objects`."""
        obstore = self._obstore
        from obstore.exceptions import NotModifiedError, PreconditionError

        options = {"if_none_match": unless} if unless else None

        def ask() -> str | None:
            try:
                got = obstore.get(self._clients.reading, name, options=options)
            except FileNotFoundError as error:
                if is_no_bucket(error):
                    raise
                return None
            try:
                _write(got, path)
            except (FileNotFoundError, PreconditionError) as error:
                # Of the object or of the copy: that the object is not there is not said by either.
                raise ObjectsError(
                    f"{path}: it, or {name} in {self.shown}, was removed or replaced while it was fetched",
                    remedy="leave the folder of cache.dir alone as long as zetasweep runs",
                    can_pass=True,
                ) from error
            return str(got.meta["e_tag"] or "")

        try:
            return self._trying(f"to give {name}", ask)
        except NotModifiedError:
            return unless

    def put(self, name: str, content: bytes | Path) -> str:
        """See `Objects`."""
        obstore = self._obstore

        def ask() -> Any:
            if isinstance(content, bytes):
                return obstore.put(self._store, name, content, use_multipart=False)
            if content.stat().st_size <= SMALL_BYTES:
                return obstore.put(self._store, name, content.read_bytes(), use_multipart=False)
            try:
                return obstore.put(
                    self._clients.sending, name, content, chunk_size=PART_BYTES, max_concurrency=SENT_AT_A_TIME
                )
            except FileNotFoundError as error:
                if is_no_bucket(error) or not content.exists():
                    raise
                # Where the answer to the last request of an upload gets lost, or a rule of the bucket removes what was
                # sent of it, the server knows nothing of it any more: it is sent anew.
                raise ObjectsError(
                    f"{self._named} = {self._address}: the server has given up the upload of {name}",
                    remedy="see what it says, and its log",
                    can_pass=True,
                ) from error

        try:
            taken = self._trying(f"to take {name}", ask)
        except FileNotFoundError as error:
            if isinstance(content, Path) and not content.exists():
                raise
            raise explained(error, self._address, self._named) from error
        return str(taken["e_tag"] or "")

    def create(self, name: str, content: bytes) -> str | None:
        """See `Objects`."""
        return self._put_if(name, content, "create")

    def replace(self, name: str, content: bytes, *, version: str) -> str | None:
        """See `Objects`."""
        e_tag, _, number = version.partition(_BETWEEN)
        return self._put_if(name, content, {"e_tag": e_tag} | ({"version": number} if number else {}))

    def delete(self, names: Collection[str]) -> None:
        """See `Objects`."""
        obstore = self._obstore

        def delete(some: str | list[str]) -> None:
            self._trying("to delete objects", partial(obstore.delete, self._store, some))

        if not names:
            return
        try:
            delete(list(names))
        except FileNotFoundError:
            # Of some servers that is an error, and what comes after it is left.
            for name in names:
                with suppress(FileNotFoundError):
                    delete(name)

    def _put_if(self, name: str, content: bytes, mode: Literal["create"] | Mapping[str, str]) -> str | None:
        obstore = self._obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        try:
            return _version(self._trying(f"to take {name}", lambda: obstore.put(self._store, name, content, mode=mode)))
        except (AlreadyExistsError, PreconditionError, FileNotFoundError):
            # A first try may have been taken, and its answer lost.
            found = self.read(name)
            return found[1] if found is not None and found[0] == content else None

    def _trying(self, what: str, ask: Callable[[], _Answer]) -> _Answer:
        """Return what is asked for; what fails is tried again.

        Raises:
            FileNotFoundError, AlreadyExistsError, PreconditionError, NotModifiedError: The answer is that.
            ObjectsError: There is no answer, or another one.
        """
        from obstore.exceptions import AlreadyExistsError, BaseError, NotModifiedError, PreconditionError

        gives_up_at, pause_s = lasting_clock() + self._patience_s, FIRST_PAUSE_S
        began_at = time.monotonic()
        with waiting_for(f"{self._address} {what}", since=self._silent_since):
            while True:
                try:
                    answer = ask()
                except (AlreadyExistsError, PreconditionError, NotModifiedError):
                    self._silent_since = None
                    raise
                except FileNotFoundError as error:
                    self._silent_since = None
                    if is_no_bucket(error):
                        raise explained(error, self._address, self._named) from error
                    raise
                except ObjectsError:
                    self._silent_since = self._silent_since or began_at
                    if lasting_clock() + pause_s > gives_up_at:
                        raise
                except (BaseError, ValueError) as error:
                    self._silent_since = self._silent_since or began_at
                    passes = can_pass(error, has_worked=self._has_worked)
                    if not passes or lasting_clock() + pause_s > gives_up_at:
                        raise explained(error, self._address, self._named, passes=passes) from error
                else:
                    self._has_worked, self._silent_since = True, None
                    return answer
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def _write(got: Any, path: Path) -> None:
    """Write what obstore has got to a file, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Another thread may fetch the same.
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}.{os.getpid()}.tmp")
    try:
        with unfinished.open("wb") as file:
            for part in got.stream(min_chunk_size=PART_BYTES):
                file.write(part)
        # Where the time says which content it is, all machines have the same.
        modified_s = got.meta["last_modified"].timestamp()
        os.utime(unfinished, (modified_s, modified_s))
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _without_folders(found: list[Found], below: str) -> list[Found]:
    """Leave out the empty objects by which consoles and tools mark folders: they are named as these, with a ``/``.

    Args:
        found: By name.
        below: The folder that was listed.
    """
    names = [each.name for each in found] if any(not each.size for each in found) else []

    def is_folder(name: str) -> bool:
        at = bisect_left(names, f"{name}/")
        return name == below or (at < len(names) and names[at].startswith(f"{name}/"))

    return [each for each in found if each.size or not is_folder(each.name)]


def _version(meta: Mapping[str, Any]) -> str:
    """Return what an object is replaced by: S3 and Azure compare the tag, Google the version."""
    return _BETWEEN.join(filter(None, (meta["e_tag"], meta["version"])))
