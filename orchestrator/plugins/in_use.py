"""The plug-ins that this process uses: their names are in the registries, and here it is known where they come from."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType

from orchestrator.environment import PLUGINS
from orchestrator.errors import UserError
from orchestrator.plugins import finding
from orchestrator.plugins.code import code_of
from orchestrator.plugins.dictionaries import REGISTRIES, Names, names_of, ready, taken_by_us
from orchestrator.plugins.own_errors import place_of
from orchestrator.plugins.plugin import DICTIONARIES, Entry, Kind, Plugin
from orchestrator.plugins.sources import Source, is_installed, is_product, root_of, sources_of

_LOG = logging.getLogger(__name__)

Place = tuple[str, Path | None]
"""The name of a module, and the folder that it is imported from if a path was given."""

_used: dict[tuple[Kind, str], Plugin] = {}


def plugins_in_use() -> tuple[Plugin, ...]:
    """Return the plug-ins that names in the registries come from, in the order in which they were loaded."""
    return tuple({id(plugin): plugin for plugin in _used.values()}.values())


def plugin_of(kind: Kind, name: str) -> Plugin | None:
    """Return the plug-in that a name comes from; None for what ships with zetasweep."""
    return _used.get((kind, name))


def plugin_words() -> list[str]:
    """Return the words of a command line that has the same plug-ins used."""
    return [word for plugin in plugins_in_use() if plugin.entry is None for word in ("--plugin", plugin.wanted)]


def use_plugins(wanted: Iterable[str]) -> None:
    """Use these plug-ins, and no others; one that is in use and has not changed stays as it is.

    Args:
        wanted: Each a file ``mine.py``, the folder of a package, or the name of a module.

    Raises:
        UserError: One of them cannot be used; then none is.
    """
    wanted = list(wanted)
    if "" in wanted:
        raise UserError("a plug-in without a name", remedy="write --plugin FILE, or leave it out")
    try:
        places = _places(wanted)
        for plugin in plugins_in_use():
            if plugin.entry is None and plugin.asked_as in places and _is_unchanged(plugin):
                del places[plugin.asked_as]
            else:
                drop(plugin)
        for (name, folder), each in places.items():
            load_module(each, name, folder)
        for _, folder in (plugin.asked_as for plugin in plugins_in_use()):
            if folder is not None:  # also of one that stays, and lay beside one that went
                finding.look_in(folder)
    except BaseException:
        for plugin in plugins_in_use():
            drop(plugin)
        raise


def use_plugins_of_variable() -> None:
    """Use those that ``ZETASWEEP_PLUGINS`` names, and no others; what is empty between its ``:`` names none.

    Raises:
        UserError: As `use_plugins`; says that it is the variable.
    """
    told = os.environ.get(PLUGINS, "")
    try:
        use_plugins(filter(None, told.split(os.pathsep)))
    except UserError as error:
        message, *_ = error.args
        remedy = "\n".join(filter(None, (error.remedy, f"or change {PLUGINS}")))
        raise UserError(f"{PLUGINS}={told}: {message}", allowed=error.allowed, remedy=remedy) from error


def drop(plugin: Plugin) -> None:
    """Take what a plug-in added out of the registries, and forget its modules."""
    for kind, name in [key for key, other in _used.items() if other is plugin]:
        del REGISTRIES[kind][name], _used[kind, name]
    if not plugin.is_installed:
        finding.forget({source.file for source in plugin.sources})
        finding.look_no_more_in(root_of(plugin.module, plugin.file))


def load_module(wanted: str, name: str, folder: Path | None, *, entry: Entry | None = None) -> Plugin:
    """Import a module and put what it adds into the registries.

    Args:
        wanted: How the user named it: for messages.
        name: Of the module.
        folder: Where it lies, if it is to be imported from a path.
        entry: What is wanted of it; None for all that its dictionaries have.

    Raises:
        UserError: It cannot be used.
    """
    with finding.nothing_stays_of_failures(folder):
        before = frozenset(sys.modules)
        module, file = _imported(wanted, name, folder)
        sources, code = _read(wanted, module, file)
        if old := _to_forget(sources, before):
            # The user has imported it, too, and may have edited it since: what counts is what the files say now.
            finding.forget(old)
            module, file = _imported(wanted, name, folder)
            sources, code = _read(wanted, module, file)
        plugin = Plugin(name, file, code, sources, wanted, (name, folder), is_installed(file), entry)
        _register(plugin, names_of(plugin, module))
        _warn_of_uncounted(plugin, before)
    return plugin


def _imported(wanted: str, name: str, folder: Path | None) -> tuple[ModuleType, Path]:
    module = finding.imported(wanted, name, folder)
    if module.__file__ is None:
        raise UserError(f"plug-in {wanted}: {name} is a folder that is no package", remedy="name a module in it")
    return module, Path(module.__file__)


def _read(wanted: str, module: ModuleType, file: Path) -> tuple[tuple[Source, ...], str]:
    """Return the files that make a module what it is, and what its results are kept apart by."""
    try:
        sources = sources_of(module.__name__, file)
        # Without the name of a file that stands alone: it may be renamed. Of a package all are known by their names.
        alone = file if root_of(module.__name__, file) == file.parent else None
        # What lies beside it is found first.
        in_order = sorted(sources, key=lambda source: source.is_beside)
        return sources, code_of(module, {"" if each.file == alone else each.name: each.text for each in in_order})
    except (SyntaxError, OSError) as error:
        raise UserError(f"plug-in {wanted}: {place_of(error)}", remedy="mend that file") from error


def _to_forget(sources: Iterable[Source], before: Collection[str]) -> set[Path]:
    """Return the files to import anew: all that are not known to be as they are now, if one had been imported before.

    Installed ones stay, and those of plug-ins in use.
    """
    known = {(source.file, source.text) for plugin in plugins_in_use() for source in plugin.sources}
    files = {each.file for each in sources if (each.file, each.text) not in known and not is_installed(each.file)}
    were_there = {_file_of(name) for name in before if name != "__main__"}
    return set() if files.isdisjoint(were_there) else files


def _warn_of_uncounted(plugin: Plugin, before: Collection[str]) -> None:
    """Say what a plug-in has imported that its code does not hold: no ``import`` statement names it."""
    counted = {source.file for each in (plugin, *plugins_in_use()) for source in each.sources}
    new = {file for name in sys.modules.keys() - before if (file := _file_of(name)) is not None}
    for file in sorted(new - counted) if not plugin.is_installed else ():
        if not is_installed(file) and not is_product(file):
            _LOG.warning(
                "plug-in %s imports %s, and no import statement says so: it does not travel to workers, and when it "
                "is edited, results of before count as done; import it by a statement",
                plugin.file,
                file,
            )


def _file_of(module: str) -> Path | None:
    file = getattr(sys.modules.get(module), "__file__", None)
    return Path(file) if file is not None else None


def _places(wanted: Iterable[str]) -> dict[Place, str]:
    """Return where to find each, once."""
    places: dict[Place, str] = {}
    first: dict[str, str] = {}
    for each in wanted:
        place = finding.found(each)
        if place in places:
            continue
        if (other := first.setdefault(place[0], each)) != each:
            raise UserError(
                f"plug-ins {other} and {each}: both are imported as {place[0]}",
                remedy="rename one of the two: Python has one module of a name",
            )
        places[place] = each
    return places


def _register(plugin: Plugin, names: Names) -> None:
    if problems := [f"plug-in {plugin.file}: {text}" for text in _taken(names)]:
        raise UserError("\n".join(problems), remedy="call it otherwise: a name says which code is meant")
    for kind, entries in names.items():
        for name, value in entries.items():
            REGISTRIES[kind][name] = ready(plugin, kind, name, value)
            _used[kind, name] = plugin


def _taken(names: Mapping[Kind, Mapping[str, object]]) -> Iterator[str]:
    for kind, entries in names.items():
        for name in entries:
            if other := plugin_of(kind, name):
                yield f"{DICTIONARIES[kind]}[{name!r}]: plug-in {other.file} has this name, too"
            elif taken_by_us(kind, name):
                yield f"{DICTIONARIES[kind]}[{name!r}]: zetasweep has this name itself"


def _is_unchanged(plugin: Plugin) -> bool:
    try:
        return sources_of(plugin.module, plugin.file) == plugin.sources
    except (OSError, SyntaxError, UserError):
        return False
