"""Which seeds stood whenever somebody looked at a finished table: kept beside the results, for as long as they are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from pathlib import Path

from orchestrator.storage.atomic import written_whole

_VERSION = 1


def read_looks(path: Path) -> list[dict[str, frozenset[str]]]:
    """Return the looks, the first first: of each configuration, by its key, the replicates that had a value.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is damaged, or of a later version.
    """
    if not path.exists():
        return []
    content = json.loads(path.read_text(encoding="utf-8"))
    try:
        if content["version"] != _VERSION:
            raise ValueError(f"its version is {content['version']}, and this zetasweep reads {_VERSION}")
        return [{key: frozenset(map(str, seeds)) for key, seeds in look.items()} for look in content["looks"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("it holds no looks") from error


def note_look(path: Path, seen: Mapping[str, Set[str]]) -> None:
    """Add what was looked at, unless it was before.

    Args:
        path: The file; its folder is there.
        seen: As `read_looks` returns it.

    Raises:
        OSError: It cannot be written; what was there stays.
        ValueError: As `read_looks`; it is left as it is.
    """
    looks = read_looks(path)
    if any(all(look.get(key) == seeds for key, seeds in seen.items()) for look in looks):
        return
    told = [{key: sorted(seeds) for key, seeds in look.items()} for look in (*looks, seen)]
    with written_whole(path) as file:
        file.write(json.dumps({"version": _VERSION, "looks": told}).encode())
