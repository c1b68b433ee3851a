"""What a job carries: the code of zetasweep, plug-ins and the experiment file, and nothing else of the user's folder.

Ray could upload the folder of the command. It would take with it what no ``.gitignore`` names, results, data and files
with passwords among them, and leave out a plug-in that one names.
"""

from __future__ import annotations

import shlex
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import UserError
from orchestrator.plugins import carried, plugins_in_use
from orchestrator.product_code import CARRIED_COMMIT, product_commit, product_files
from orchestrator.shadows import PRODUCT

# No module can be called so: what `--plugin` names is then looked for by its name.
PLUGIN_FOLDER = "own-code"


@dataclass(frozen=True)
class Parcel:
    """A folder that becomes the working folder of a job.

    Attributes:
        folder: Lasts as long as `packed`.
        file: The name of the experiment file in it.
        modules: The plug-ins, by the names of their modules.
        num_bytes: What all of it takes.
    """

    folder: Path
    file: str
    modules: tuple[str, ...]
    num_bytes: int

    def command(self, overrides: Sequence[str], options: Sequence[str] = ()) -> str:
        """Return what the job does, for a shell.

        Args:
            overrides: ``KEY=VALUE`` each.
            options: Further words of ``zetasweep run``.
        """
        words = ["python", "-m", "orchestrator", "run", self.file, *options]
        words += [word for override in overrides for word in ("-o", override)]
        words += [word for module in self.modules for word in ("--plugin", module)]
        # Of which names there are many, the first folder counts: what is in this one hid nothing where it was copied.
        path = f'PYTHONPATH="$PWD/{PLUGIN_FOLDER}${{PYTHONPATH:+:$PYTHONPATH}}" '
        return (path if (self.folder / PLUGIN_FOLDER).is_dir() else "") + shlex.join(words)


@contextmanager
def packed(file: Path) -> Iterator[Parcel]:
    """Yield what a job of this experiment carries, with the plug-ins in use.

    Raises:
        UserError: The experiment file is called like something else in it.
    """
    with tempfile.TemporaryDirectory(prefix="zetasweep-job-") as made:
        folder = Path(made).resolve()
        for relative in product_files():
            _copy(PRODUCT / relative, folder / relative)
        if commit := product_commit():
            (folder / CARRIED_COMMIT).write_text(f"{commit}\n", encoding="utf-8")
        if (folder / file.name).exists():
            raise UserError(f"{file}: a job has something else of this name", remedy="rename it, e.g. to mine.yaml")
        _copy(file, folder / file.name)
        if copies := carried().folder:
            shutil.copytree(copies, folder / PLUGIN_FOLDER)
        modules = tuple(plugin.module for plugin in plugins_in_use() if plugin.entry is None)
        num_bytes = sum(found.stat().st_size for found in folder.rglob("*") if found.is_file())
        yield Parcel(folder, file.name, modules, num_bytes)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # Of a fixed mode: by it and the contents Ray knows what it has already.
    shutil.copyfile(source, target)
