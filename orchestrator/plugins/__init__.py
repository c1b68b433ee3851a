"""Code of your own: models, augmentations and data sets of files that the command line names, or of installed packages.

Its names go into the plain registries of `augment`, `models` and `data` when it is loaded, and nowhere else: whoever
looks a name up there need not know where it comes from. What is remembered here is which code that is: see `Plugin`.
"""

from orchestrator.plugins.by_entry_point import load_all_installed, load_installed
from orchestrator.plugins.carrying import Carried, call_with, carried
from orchestrator.plugins.in_use import (
    plugin_of,
    plugin_words,
    plugins_in_use,
    use_plugins,
    use_plugins_of_variable,
)
from orchestrator.plugins.installed import known_names, packages_of
from orchestrator.plugins.own_errors import defined_at, place_of, refusals_of, said_of
from orchestrator.plugins.plugin import Kind, Plugin
from orchestrator.plugins.returned import described

__all__ = [
    "Carried",
    "Kind",
    "Plugin",
    "call_with",
    "carried",
    "defined_at",
    "described",
    "known_names",
    "load_all_installed",
    "load_installed",
    "packages_of",
    "place_of",
    "plugin_of",
    "plugin_words",
    "plugins_in_use",
    "refusals_of",
    "said_of",
    "use_plugins",
    "use_plugins_of_variable",
]
