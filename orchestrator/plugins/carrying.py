"""The plug-ins of one process, for another one to use the same: a worker on another machine, or a process beside it.

What is carried is the code as it was when the driver read it: whoever changes a file while a sweep trains changes the
next sweep. Installed packages are not carried: each machine has its own, and it is seen whether they are the same.
"""

from __future__ import annotations

import atexit
import io
import platform
import shutil
import tempfile
import tokenize
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from orchestrator.errors import UserError
from orchestrator.plugins import finding
from orchestrator.plugins.code import hash_of
from orchestrator.plugins.in_use import drop, load_module, plugins_in_use
from orchestrator.plugins.plugin import Entry, Plugin

# The folder of the copies begins so: Ray's workers find it by its name.
_FOLDER = "zetasweep_plugins_"


@dataclass(frozen=True)
class Carried:
    """What another process is told of plug-ins; it can be pickled.

    Attributes:
        wanted: Of each its module, what is wanted of it, and its code.
        folder: Where the copies of their files are on this machine; None if all are installed.
    """

    wanted: tuple[tuple[str, Entry | None, str], ...] = ()
    folder: str | None = None

    @property
    def plain(self) -> dict[str, Any]:
        """The same in types of Python alone, for a process that may have no zetasweep; `of_plain` reads it."""
        return asdict(self)

    @classmethod
    def of_plain(cls, plain: dict[str, Any]) -> Carried:
        """Return what `plain` says."""
        wanted = ((module, Entry(**entry) if entry else None, code) for module, entry, code in plain["wanted"])
        return cls(tuple(wanted), plain["folder"])

    @property
    def py_modules(self) -> list[str]:
        """What Ray's runtime environment is to bring to other machines."""
        return [self.folder] if self.folder else []

    def use(self) -> None:
        """Use these plug-ins in this process, and no others.

        Raises:
            UserError: They have not arrived here, or this machine has other code.
        """
        here = {(plugin.module, plugin.entry, plugin.code): plugin for plugin in plugins_in_use()}
        for stated, plugin in here.items():
            if stated not in self.wanted:
                drop(plugin)
        for module, entry, code in self.wanted:
            if (module, entry, code) in here:
                continue
            if self.folder is not None:
                # Before all others: what it has hid nothing where it was copied.
                finding.look_in_first(_arrived(self.folder))
            plugin = load_module(module, module, None, entry=entry)
            if plugin.code != code:
                drop(plugin)
                raise UserError(
                    f"plug-in {module}: {plugin.file} on {platform.node()} is {plugin.code}, and the driver has {code}",
                    remedy="install the same version on all machines; or name a file by --plugin, which travels",
                )


def carried() -> Carried:
    """Return the plug-ins of this process, with copies of their files as they were read."""
    plugins = plugins_in_use()
    wanted = tuple((plugin.module, plugin.entry, plugin.code) for plugin in plugins)
    return Carried(wanted, _copied(tuple(plugin for plugin in plugins if not plugin.is_installed)))


def call_with(carried: Carried, function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function returns in a process that uses these plug-ins: it is called there with both."""
    carried.use()
    return function(*arguments)


def _copied(plugins: tuple[Plugin, ...]) -> str | None:
    """Write the files of plug-ins into one folder, in which they are imported; None if there are none."""
    texts = {source.name: source.text for plugin in plugins for source in plugin.sources if source.is_beside}
    return _written(tuple(sorted(texts.items()))) if texts else None


@lru_cache(maxsize=1)
def _written(texts: tuple[tuple[str, str], ...]) -> str:
    """Write files into a folder that lasts as long as this process."""
    # Not through a link, which may last shorter than this process: see `short_temporary_folders`.
    above = Path(tempfile.mkdtemp(prefix="zetasweep-")).resolve()
    atexit.register(shutil.rmtree, above, ignore_errors=True)
    folder = above / f"{_FOLDER}{hash_of(dict(texts))}"
    for path, text in texts:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        encoding, _ = tokenize.detect_encoding(io.BytesIO(text.encode()).readline)  # the one that it declares
        (folder / path).write_text(text, encoding=encoding)
    return str(folder)


def _arrived(folder: str) -> Path:
    """Return where a folder of copies is: where Ray has brought it to, or where it was made."""
    spec = find_spec(Path(folder).name)
    for place in [*(spec.submodule_search_locations or () if spec else ()), folder]:
        if Path(place).is_dir():
            return Path(place)
    raise UserError(
        f"plug-ins have not arrived on {platform.node()}: {folder} is not there",
        remedy="see what Ray says of its runtime environment: runtime_env_setup-*.log in its logs",
    )
