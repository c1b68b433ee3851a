"""Names that installed packages have for us: their metadata is read, and nothing of them is imported."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points, packages_distributions, version
from typing import NamedTuple

from orchestrator.errors import UserError
from orchestrator.plugins.dictionaries import REGISTRIES
from orchestrator.plugins.plugin import Kind, Plugin
from orchestrator.plugins.sources import imports_of

GROUPS: dict[Kind, str] = {
    "model": "zetasweep.models",
    "augment": "zetasweep.augmentations",
    "dataset": "zetasweep.datasets",
}


class Provider(NamedTuple):
    """An installed package that has a name for us.

    Attributes:
        package: Its name.
        module: Where what is meant is found.
        attribute: As what; empty if the metadata does not say it.
    """

    package: str
    module: str
    attribute: str


def known_names(kind: Kind) -> list[str]:
    """Return every name of a kind that could be loaded: those in the registry, and those of installed packages."""
    installed = sorted(point.name for point in _points(tuple(sys.path)) if point.group == GROUPS[kind])
    return list(dict.fromkeys([*REGISTRIES[kind], *installed]))


def packages_with(kind: Kind, name: str) -> tuple[str, ...]:
    """Return the installed packages that have a name, sorted."""
    return tuple(sorted({_package(point) for point in _points_of(kind, name)}))


def provider_of(kind: Kind, name: str) -> Provider | None:
    """Return the installed package that has a name; None if none has.

    Raises:
        UserError: More than one has it.
    """
    group = GROUPS[kind]
    found = sorted(set(map(_provider, _points_of(kind, name))))
    if len(found) > 1:
        raise UserError(
            f"{name}: the installed packages {' and '.join(each.package for each in found)} have this name in {group}",
            remedy="uninstall one of them: a name says which code is meant",
        )
    return found[0] if found else None


def packages_of(plugins: Iterable[Plugin]) -> dict[str, str]:
    """Return the versions of the installed packages that plug-ins import, and of those that they lie in."""
    names: set[str] = set()
    for plugin in plugins:
        names |= {plugin.module.partition(".")[0]} if plugin.is_installed else set()
        names |= {name for source in plugin.sources for name in imports_of(source)}
    return dict(_packages_with(frozenset(names))) if names else {}


@lru_cache(maxsize=8)
def _packages_with(modules: frozenset[str]) -> dict[str, str]:
    """Return the versions of the installed packages that have these modules, each once."""
    packages = packages_distributions()
    found = {package for module in modules for package in packages.get(module, [])}
    return {package: version(package) for package in sorted(found)}


@lru_cache(maxsize=8)
def _points(path: tuple[str, ...]) -> tuple[EntryPoint, ...]:  # noqa: ARG001 - the answer depends on it
    """Return what is installed on Python's path, which takes a twentieth of a second to read."""
    return tuple(point for group in GROUPS.values() for point in entry_points(group=group))


def _points_of(kind: Kind, name: str) -> list[EntryPoint]:
    return [point for point in _points(tuple(sys.path)) if (point.group, point.name) == (GROUPS[kind], name)]


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist else point.value


def _provider(point: EntryPoint) -> Provider:
    module, _, attribute = point.value.partition("[")[0].partition(":")
    return Provider(_package(point), module.strip(), attribute.strip())
