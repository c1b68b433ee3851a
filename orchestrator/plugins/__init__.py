"""Code of your own: models, augmentations and data sets of files that the command line names, or of installed packages.

Its names go into the plain registries of `augment`, `models` and `data` when it is loaded, and nowhere else: whoever
looks a name up there need not know where it comes from. What is remembered here is which code that is: see `Plugin`.
"""

from orchestrator.plugins.carrying import Carried, call_with, carried
from orchestrator.plugins.in_use import load_installed, plugin_of, plugin_words, plugins_in_use, use_plugins
from orchestrator.plugins.installed import known_names, packages_of
from orchestrator.plugins.own_errors import place_of, refusals_of
from orchestrator.plugins.plugin import Kind, Plugin

__all__ = [
    "Carried",
    "Kind",
    "Plugin",
    "call_with",
    "carried",
    "known_names",
    "load_installed",
    "packages_of",
    "place_of",
    "plugin_of",
    "plugin_words",
    "plugins_in_use",
    "refusals_of",
    "use_plugins",
]
