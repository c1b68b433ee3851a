"""Modules that are found in a folder of the user's in place of Python's own, of installed ones, or of zetasweep's.

Nothing but Python's own modules is imported here: what is installed may be what cannot be imported.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path
from typing import NamedTuple

PACKAGES = ("orchestrator", "augment")
# The folder of both.
PRODUCT = Path(__file__).resolve().parents[1]
REMEDY = "rename it, or take its folder off PYTHONPATH or the present folder off the path (zetasweep, not python -m)"

# What is imported late.
_LATE = {"mlflow", "ray", "scipy", "sklearn", "torch", "torchmetrics", "torchvision", "yaml"}


class Shadow(NamedTuple):
    """A module that is found before the one that is meant.

    Attributes:
        name: What it is imported as.
        found: Where it is found.
        hidden: What it hides.
    """

    name: str
    found: str
    hidden: str

    def __str__(self) -> str:
        return f"{self.name}: {self.found} hides {self.hidden}"


def shadows() -> Iterator[Shadow]:
    """Yield what hides a module that zetasweep imports, in the order of the path."""
    owned = _own_folders()
    meant = {str(PRODUCT), *owned}
    for number, folder in enumerate(sys.path):
        place = Path(os.path.realpath(folder))
        # Also what lies in a folder of installed packages: Ray brings copies of its own, which it puts first.
        if place == Path(os.path.realpath(PRODUCT)) or any(
            place.is_relative_to(os.path.realpath(own)) for own in owned
        ):
            continue
        # What stands before it is found first anyway.
        rest = [path for path in sys.path[number + 1 :] if path in meant] + [str(PRODUCT)]
        for name in sorted(_modules_in(folder) & _imported()):
            found, hidden = _origin(name, [folder]), _origin(name, rest)
            if found and hidden and found != hidden:
                yield Shadow(name, found, hidden)


def _own_folders() -> set[str]:
    paths = sysconfig.get_paths()
    folders = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders |= {os.path.join(paths["platstdlib"], "lib-dynload"), *site.getsitepackages(), site.getusersitepackages()}
    # What an environment adds by files of its own, such as another environment.
    return folders | {path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages")}


def _imported() -> set[str]:
    loaded = {name.partition(".")[0] for name in sys.modules}
    # These are part of the interpreter, and found before any folder is looked at.
    return (set(sys.stdlib_module_names) - set(sys.builtin_module_names)) | loaded | _LATE | set(PACKAGES)


def _modules_in(folder: str) -> set[str]:
    try:
        return {name.partition(".")[0] for name in os.listdir(folder or os.curdir)}
    except OSError:
        return set()


def _origin(name: str, folders: list[str]) -> str:
    """Return the file of a module in these folders; nothing for a folder without ``__init__.py``, which hides none."""
    spec = PathFinder.find_spec(name, folders)
    return spec.origin or "" if spec is not None else ""
