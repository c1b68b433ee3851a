"""What is known of a plug-in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from orchestrator.plugins.sources import Source

Kind = Literal["model", "augment", "dataset"]
"""What a plug-in can add, by the key of an experiment file that names it."""

DICTIONARIES: dict[Kind, str] = {"model": "MODELS", "augment": "AUGMENTATIONS", "dataset": "DATASETS"}
"""What a plug-in calls its dictionary of each kind: as the registries here are called."""


@dataclass(frozen=True)
class Entry:
    """One name of an installed package, as its metadata says it.

    Attributes:
        kind: Of what it is.
        name: In experiment files.
        attribute: Of the module: a builder, a class of augmentations, or a `DatasetInfo`; empty if none is named.
    """

    kind: Kind
    name: str
    attribute: str

    def said(self, module: str) -> str:
        """Return it as the metadata of its package has it."""
        return f"{self.name} = {module}" + (f":{self.attribute}" if self.attribute else "")


@dataclass(frozen=True)
class Plugin:
    """A module of somebody's own, as it was when it was read.

    Attributes:
        module: What it is imported as.
        file: Where that lies; of a package its ``__init__.py``.
        code: What its results are kept apart by: 16 hexadecimal digits, a hash of its syntax trees; or its ``VERSION``.
        sources: Each file that counts, as it was read.
        wanted: How the user named it.
        asked_as: Its name, and the folder that a path said; None if Python has found it.
        is_installed: Whether it lies among the installed packages: then each machine has one of its own.
        entry: Of which name it was loaded; None for all that its dictionaries have.
    """

    module: str
    file: Path
    code: str
    sources: tuple[Source, ...]
    wanted: str
    asked_as: tuple[str, Path | None]
    is_installed: bool
    entry: Entry | None = None

    @property
    def described(self) -> str:
        """Name, file and code, as tags and messages have it."""
        return f"{self.module}, {self.file}, {self.code}"
