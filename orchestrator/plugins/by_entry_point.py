"""Names that installed packages have for us, loaded when an experiment or a list asks for them."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import lru_cache

from orchestrator.errors import UserError
from orchestrator.plugins.dictionaries import taken_by_us
from orchestrator.plugins.in_use import load_module, plugin_of
from orchestrator.plugins.installed import GROUPS, known_names, packages_with, provider_of
from orchestrator.plugins.plugin import Entry, Kind

_LOG = logging.getLogger(__name__)


def load_installed(kind: Kind, names: Iterable[str]) -> None:
    """Load those of `names` that an installed package has, and neither zetasweep nor a plug-in in use.

    What zetasweep itself has goes first, and a warning says which package has the name, too.

    Raises:
        UserError: Its module cannot be used, or two packages have the name.
    """
    for name in names:
        if plugin_of(kind, name) is not None or not (packages := packages_with(kind, name)):
            continue
        if taken_by_us(kind, name):
            _say_ours(kind, name, packages)
        elif (found := provider_of(kind, name)) is not None:
            load_module(f"{found.package} ({name})", found.module, None, entry=Entry(kind, name, found.attribute))


def load_all_installed(kind: Kind) -> list[str]:
    """Load every name of a kind that installed packages have; return what is said of those that cannot be used."""
    problems = []
    for name in known_names(kind):
        try:
            load_installed(kind, [name])
        except UserError as error:
            problems.append(error.in_one_line)
    return problems


@lru_cache(maxsize=256)
def _say_ours(kind: Kind, name: str, packages: tuple[str, ...]) -> None:
    """Say once that a name means what zetasweep has, and not what a package has under it."""
    _LOG.warning(
        "%s: zetasweep's own is meant, and not that of the installed package %s, which has this name in %s, too: its "
        "own can be used once it is called otherwise there",
        name,
        " and ".join(packages),
        GROUPS[kind],
    )
