"""What MLflow has of code that is not zetasweep's: the tags of a cell's plug-ins, and cells that other code trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator.amounts import counted, some
from orchestrator.experiment import Cell
from orchestrator.plugins import plugin_of
from orchestrator.tracking.names import KEY, KEY_WITHOUT_CODE, KIND, PLUGINS
from orchestrator.tracking.store import Store


def plugin_tags(cell: Cell) -> dict[str, str]:
    """Return the tags of a cell that was trained with plug-ins; of another one none."""
    if cell.code is None:
        return {}
    used = {kind: plugin for kind, name in cell.names.items() if (plugin := plugin_of(kind, name))}
    described = {PLUGINS[kind]: f"{cell.names[kind]} of {plugin.described}" for kind, plugin in used.items()}
    return {KEY_WITHOUT_CODE: cell.key_without_code, **described}


def of_other_code(store: Store, cells: Sequence[Cell]) -> str | None:
    """Return what is to be said of finished cells with the settings of these, whose plug-ins were other code.

    They are other cells, and stand in no table of these. None if there are none; MLflow is not asked where no cell has
    code of its own.
    """
    keys = {cell.key for cell in cells}
    wanted = {cell.key_without_code: plugin_tags(cell) for cell in cells if cell.code is not None}
    if not wanted:
        return None
    found: dict[str, set[str]] = {}
    with store.answering():
        for run in store.search(f"tags.`{KIND}` = 'cell' and tags.`{KEY_WITHOUT_CODE}` != ''"):
            tags = run.data.tags
            now = wanted.get(tags[KEY_WITHOUT_CODE])
            if now is not None and tags.get(KEY) not in keys and run.info.status == "FINISHED":
                for other in _differing(tags, now):
                    found.setdefault(other, set()).add(tags[KEY])
    if not found:
        return None
    number = counted(len(set().union(*found.values())), "finished cell")
    return (
        f"{number} with these settings were trained by other code and are no part of this: {some(sorted(found))}; "
        "with the files as they were then they are found again"
    )


def _differing(tags: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the plug-ins of a run that are not those of now; wherever their files lie."""
    codes = {name: now.get(name, "").rpartition(", ")[2] for name in PLUGINS.values()}
    return [tags[name] for name, code in codes.items() if name in tags and tags[name].rpartition(", ")[2] != code]
