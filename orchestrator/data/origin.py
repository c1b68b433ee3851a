"""Of what an entry of the cache was made: where another one is made all the same, it says why that one does not do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from orchestrator.data import entry

ORIGIN = "origin.json"
_CHANGED = {
    "files": "its files have changed",
    "options": "the options of the data set are others",
    "decoder": "this version of zetasweep decodes otherwise",
    "pillow": "Pillow is {now} now and was {then}",
    "torch": "torch is {now} now and was {then}",
}


def origin_of(images: entry.Images) -> dict[str, str]:
    """Return what makes the entry of these images, beside their size."""
    return {
        "root": str(images.root.resolve()),
        "files": hashlib.sha256(json.dumps(entry.listing(images.root)).encode()).hexdigest()[:16],
        "options": json.dumps([dict(images.layout), images.skip_unreadable], sort_keys=True),
        "decoder": str(entry.DECODER_VERSION),
        "pillow": version("pillow"),
        "torch": version("torch"),
    }


def write_origin(folder: Path, origin: dict[str, str]) -> None:
    """Write down of what the entry in `folder` was made."""
    (folder / ORIGIN).write_text(json.dumps(origin, indent=2), encoding="utf-8")


def why_anew(others: Iterable[Path], origin: dict[str, str]) -> str | None:
    """Return why none of `others`, entries of the same data set and size, does; None if all are of another folder.

    Args:
        others: Their folders, those used last first.
        origin: Of the entry that is made.
    """
    unknown: str | None = None
    for folder in others:
        try:
            then: dict[str, str] = json.loads((folder / ORIGIN).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            unknown = unknown or f"{folder.name} is of an earlier version of zetasweep, or of other files or libraries"
            continue
        if then.get("root") == origin["root"]:
            changed = [name for name in _CHANGED if then.get(name) != origin[name]]
            return ", ".join(_CHANGED[name].format(now=origin[name], then=then.get(name)) for name in changed) or None
    return unknown
