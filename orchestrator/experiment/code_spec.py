"""Which code of somebody's own a cell is trained with: what its key holds of plug-ins."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from orchestrator.errors import UserError
from orchestrator.experiment.field_types import Frozen
from orchestrator.plugins import Kind, Plugin, plugin_of

Name = tuple[Kind, str]


class CodeSpec(Frozen):
    """The code of each part of a cell that comes from a plug-in; None for what ships with zetasweep.

    Attributes:
        model: A hash of the plug-in's syntax trees, or its ``VERSION``.
        augment: Likewise.
        dataset: Likewise.
    """

    model: str | None = None
    augment: str | None = None
    dataset: str | None = None

    @property
    def short(self) -> str:
        """Four digits of a hash of all of it."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:4]


def code_in_use(names: Mapping[Kind, str]) -> CodeSpec | None:
    """Return the code of the plug-ins in use that these names come from; None if none does."""
    found = {kind: plugin.code for kind, name in names.items() if (plugin := plugin_of(kind, name))}
    return CodeSpec.model_validate(found) if found else None


def plugins_of(names: Iterable[Name]) -> dict[Name, Plugin]:
    """Return the plug-ins in use that names come from."""
    return {name: plugin for name in names if (plugin := plugin_of(*name))}


def check_still_in_use(file: Path, plugins: Mapping[Name, Plugin]) -> None:
    """Raise UserError unless the names of an experiment mean the code that they meant when it was read."""
    for (kind, name), plugin in plugins.items():
        now = plugin_of(kind, name)
        if now is None or now.code != plugin.code:
            raise UserError(
                f"{file}: {kind} {name} was read with plug-in {plugin.file}, "
                + ("which is not in use any more" if now is None else "whose code is another now"),
                remedy=f'load it again: zetasweep.load("{file}", plugins=["{plugin.wanted}"])',
            )
