"""Which seeds stood whenever somebody looked at a finished table: kept beside the results, for as long as they are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from pathlib import Path

from filelock import FileLock

from orchestrator.objects import Objects, ObjectsError
from orchestrator.storage.atomic import written_whole
from orchestrator.storage.folder import Storage

LOOKS = "looks.json"
_VERSION = 1
# So many others would have to note a look of theirs between a read and a write of ours, one after the other.
_TRIES = 20
_PATIENCE_S = 30.0

Looks = list[dict[str, frozenset[str]]]


def read_looks(path: Path) -> Looks:
    """Return the looks, the first first: of each configuration, by its key, the replicates that had a value.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is damaged, or of a later version.
    """
    return _decoded(path.read_bytes()) if path.exists() else []


def note_look(storage: Storage, seen: Mapping[str, Set[str]]) -> None:
    """Add what was looked at to what is kept by now, unless it was seen before.

    Args:
        storage: Where looks are kept; its folder is there.
        seen: As `read_looks` returns it.

    Raises:
        OSError: It cannot be written; what was there stays.
        ValueError: As `read_looks`; it is left as it is.
    """
    if storage.is_copied:
        _note_in_objects(storage.objects, seen)
        return
    # Two that look at the same time: neither forgets what the other has seen.
    with FileLock(storage.looks.with_suffix(".lock"), timeout=_PATIENCE_S):
        if (content := _with(read_looks(storage.looks), seen)) is not None:
            with written_whole(storage.looks) as file:
                file.write(content)


def _note_in_objects(objects: Objects, seen: Mapping[str, Set[str]]) -> None:
    for _ in range(_TRIES):
        found = objects.read(LOOKS)
        if (content := _with(_decoded(found[0]) if found is not None else [], seen)) is None:
            return
        noted = objects.create(LOOKS, content) if found is None else objects.replace(LOOKS, content, version=found[1])
        if noted is not None:
            return
    raise ObjectsError(f"{objects.shown}: {LOOKS} has changed between each of {_TRIES} reads and writes", can_pass=True)


def _decoded(content: bytes) -> Looks:
    """Return the looks that a file holds; raises ValueError as `read_looks`."""
    found = json.loads(content.decode())
    try:
        if found["version"] != _VERSION:
            raise ValueError(f"its version is {found['version']}, and this zetasweep reads {_VERSION}")
        return [{key: frozenset(map(str, seeds)) for key, seeds in look.items()} for look in found["looks"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("it holds no looks") from error


def _with(looks: Looks, seen: Mapping[str, Set[str]]) -> bytes | None:
    """Return what a file with one more look holds; None if that was seen before."""
    if any(all(look.get(key) == seeds for key, seeds in seen.items()) for look in looks):
        return None
    told = [{key: sorted(seeds) for key, seeds in look.items()} for look in (*looks, seen)]
    return json.dumps({"version": _VERSION, "looks": told}).encode()
