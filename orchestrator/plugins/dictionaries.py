"""The dictionaries of a plug-in, checked: what is in them, and that no name is taken."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import ModuleType
from typing import Any

from augment import AUGMENTATIONS, Augmentation
from orchestrator.data import DATASETS, DatasetInfo
from orchestrator.errors import DataError, UserError, explained
from orchestrator.models import MODELS, is_model
from orchestrator.plugins.inside import problems_inside
from orchestrator.plugins.own_errors import told_by
from orchestrator.plugins.plugin import DICTIONARIES, Kind, Plugin
from orchestrator.plugins.returned import network_from, source_from

REGISTRIES: dict[Kind, dict[str, Any]] = {"model": MODELS, "augment": AUGMENTATIONS, "dataset": DATASETS}
_WANTED: dict[Kind, str] = {
    "model": "functions (*, num_classes, num_channels, image_size) -> torch.nn.Module, by name",
    "augment": "classes that inherit augment.Augmentation, by name",
    "dataset": "orchestrator.data.DatasetInfo, by name",
}
# As they stand in experiment files, in -o, in the names of runs and of folders.
_NAME = re.compile("[A-Za-z][A-Za-z0-9_]*")

Names = dict[Kind, dict[str, Any]]
"""What a plug-in adds, by kind and name."""


def names_of(plugin: Plugin, module: ModuleType) -> Names:
    """Return what a plug-in adds, each entry checked by itself.

    Raises:
        UserError: It has none of the dictionaries, or what is in them cannot be used; says all of it.
    """
    if plugin.entry is not None:
        entry = plugin.entry
        if not entry.attribute:
            raise UserError(
                f"plug-in {plugin.file}: entry point {entry.said(plugin.module)} names a module alone",
                allowed="MODULE:ATTRIBUTE",
                remedy=f'write e.g. {entry.name} = "{plugin.module}:NAME" in its package, and install that anew',
            )
        value: object = module
        for step in entry.attribute.split("."):
            value = getattr(value, step, None)
        found: Names = {entry.kind: {entry.name: value}}
    else:
        found = {kind: getattr(module, name) for kind, name in DICTIONARIES.items() if hasattr(module, name)}
    if not any(found.values()):
        raise UserError(
            f"plug-in {plugin.file}: it adds nothing",
            allowed=f"one of {', '.join(DICTIONARIES.values())}, or several: plain dictionaries",
            remedy='write e.g. MODELS = {"tinynet": build_tinynet} at its end',
        )
    if problems := [problem for kind, entries in found.items() for problem in _problems(plugin, kind, entries)]:
        raise UserError("\n".join(problems))
    return found


def ready(plugin: Plugin, kind: Kind, name: str, value: Any) -> Any:
    """Return what goes into the registry: an error of its own says where in the plug-in it is."""
    if kind == "model":
        return network_from(told_by(value, name, plugin, ValueError), name, plugin)
    if kind == "dataset":
        check = value.check and told_by(value.check, name, plugin, DataError)
        found = told_by(source_from(value, name, plugin), name, plugin, DataError)
        return replace(value, open=found, check=check, code=plugin.code)
    return value


def taken_by_us(kind: Kind, name: str) -> bool:
    """Return whether zetasweep itself has such a name; call it before that of a plug-in is in the registry."""
    return is_model(name) if kind == "model" else name in REGISTRIES[kind]


def _problems(plugin: Plugin, kind: Kind, entries: Any) -> Iterator[str]:
    where = f"plug-in {plugin.file}: {DICTIONARIES[kind]}"
    if plugin.entry is not None:
        where = f"plug-in {plugin.file}: entry point {plugin.entry.said(plugin.module)}"
    if not isinstance(entries, Mapping):
        yield explained(
            f"{where} is a {type(entries).__name__}", allowed=f"a dictionary of {_WANTED[kind]}", remedy="make it one"
        )
        return
    for name, value in entries.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            yield explained(
                f"{where}: the name {name!r}",
                allowed="letters, digits and _, beginning with a letter",
                remedy="call it otherwise",
            )
        elif not _fits(kind, value):
            remedy = _misfit(kind, value) or "put one there"
            yield explained(f"{_at(plugin, kind, name)} is {value!r}", allowed=_WANTED[kind], remedy=remedy)
        else:
            yield from problems_inside(_at(plugin, kind, name), kind, value)


def _at(plugin: Plugin, kind: Kind, name: str) -> str:
    """Return where a plug-in has an entry: in a dictionary, or by the entry point of its package."""
    if plugin.entry is not None:
        return f"plug-in {plugin.file}: entry point {plugin.entry.said(plugin.module)}"
    return f"plug-in {plugin.file}: {DICTIONARIES[kind]}[{name!r}]"


def _misfit(kind: Kind, value: object) -> str:
    """Return what is to be done about an entry that is none of its kind."""
    lacks = sorted(getattr(value, "__abstractmethods__", ())) if inspect.isclass(value) else []
    return f"write {', '.join(lacks)} in it, or in a class that inherits it" if kind == "augment" and lacks else ""


def _fits(kind: Kind, value: object) -> bool:
    if kind == "augment":
        return isinstance(value, type) and issubclass(value, Augmentation) and not inspect.isabstract(value)
    return isinstance(value, DatasetInfo) if kind == "dataset" else _is_builder(value)


def _is_builder(value: object) -> bool:
    """Return whether a model can be built by it: what it takes beside these three are the model's options."""
    try:
        inspect.signature(value).bind_partial(num_classes=2, num_channels=3, image_size=8)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return True
