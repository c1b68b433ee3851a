"""From what the command line says, a file, a folder or the name of a module, to a module that has been imported."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from orchestrator.errors import UserError, nearest
from orchestrator.plugins.own_errors import place_of
from orchestrator.plugins.sources import is_installed, is_product

_INIT = "__init__.py"
# Which folders on Python's path are there for plug-ins alone.
_looked_in: set[str] = set()


def found(wanted: str) -> tuple[str, Path | None]:
    """Return the name of the module that is meant, and the folder to import it from if a path was given.

    Raises:
        UserError: There is no such file, or none that can be imported by a name.
    """
    if not wanted.endswith(".py") and os.sep not in wanted and not Path(wanted).is_dir():
        return wanted, None
    path = Path(os.path.abspath(os.path.expanduser(wanted)))  # ~ that no shell has seen
    if not path.exists():
        raise _missing(wanted, path)
    if path.is_dir() and not (path / _INIT).is_file():
        raise UserError(
            f"plug-in {wanted}: a folder that is no package", remedy=f"name a file in it, or put an {_INIT} there"
        )
    if not path.stem.isidentifier() or (path.is_file() and path.suffix != ".py"):
        raise UserError(
            f"plug-in {wanted}: Python cannot import a file of this name",
            allowed="letters, digits and _, and .py behind them",
            remedy="rename it",
        )
    return path.stem, path.parent


def imported(wanted: str, name: str, folder: Path | None) -> ModuleType:
    """Import a module.

    Args:
        wanted: How the user named it: for messages.
        name: Of the module.
        folder: Where it lies, which stays on Python's path; None: wherever Python finds it.

    Raises:
        UserError: It is called like another module, is not there, or raises an error: says which file and line.
    """
    if folder is not None:
        look_in(folder)
        _check_own(wanted, name, folder)
        _check_text(wanted, folder / f"{name}.py")
    with _no_bytecode():
        try:
            return importlib.import_module(name)
        except (Exception, SystemExit) as error:
            if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
                raise UserError(
                    f"plug-in {wanted}: there is no module {error.name}",
                    remedy="name a file by its path: --plugin mine.py\nor install the module, or put it on PYTHONPATH",
                ) from error
            raise UserError(
                f"plug-in {wanted}: it cannot be imported: {place_of(error)}", remedy=_remedy(error)
            ) from error


def look_in(folder: Path) -> None:
    """Have Python look for modules in a folder, too, behind all others: nothing in it hides another module."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
        _looked_in.add(str(folder))
    importlib.invalidate_caches()


def look_in_first(folder: Path) -> None:
    """Have Python look for modules in a folder before all others: in one that has what was found elsewhere."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
        _looked_in.add(str(folder))
    importlib.invalidate_caches()


def forget(files: Collection[Path]) -> None:
    """Have modules be imported anew when they are next asked for.

    Args:
        files: Where they lie.
    """
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file is not None and name != "__main__" and Path(file) in files:
            del sys.modules[name]
            _leave_parent(name, module)


def look_no_more_in(folder: Path) -> None:
    """Take a folder off Python's path that is there for plug-ins alone."""
    if str(folder) in _looked_in:
        _looked_in.remove(str(folder))
        with suppress(ValueError):
            sys.path.remove(str(folder))


def _leave_parent(name: str, module: ModuleType) -> None:
    """Have a package that stays name a forgotten module of its own no more; one without a file goes with its last."""
    above, _, last = name.rpartition(".")
    parent = sys.modules.get(above)
    if parent is None:
        return
    if vars(parent).get(last) is module:
        delattr(parent, last)
    if getattr(parent, "__file__", None) is None and not any(other.startswith(f"{above}.") for other in sys.modules):
        del sys.modules[above]
        _leave_parent(above, parent)


@contextmanager
def nothing_stays_of_failures(folder: Path | None) -> Iterator[None]:
    """Forget what was imported within it if that fails: another try, of a file that has been mended, begins anew.

    Args:
        folder: Is taken off Python's path then.
    """
    before = set(sys.modules)
    try:
        yield
    except BaseException:
        for name in sys.modules.keys() - before:
            file = getattr(sys.modules.get(name), "__file__", None)
            if file is not None and not is_installed(Path(file)) and not is_product(Path(file)):
                _leave_parent(name, sys.modules.pop(name))
        if folder is not None:
            look_no_more_in(folder)
        raise


@contextmanager
def _no_bytecode() -> Iterator[None]:
    """Leave no ``__pycache__``: by the times in it, a file that is changed twice in a second would be taken for old."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _check_own(wanted: str, name: str, folder: Path) -> None:
    """Raise UserError if the name of a file means another module: workers would import that one."""
    try:
        spec = find_spec(name)
    except ValueError:  # of a module that was made by hand
        spec = None
    origin = spec.origin if spec is not None else None
    # Exactly: installed packages, and zetasweep itself, may lie below the folder, too.
    own = folder / f"{name}.py" if wanted.endswith(".py") else folder / name / _INIT
    if origin is None or Path(origin) != own:
        raise UserError(
            f"plug-in {wanted}: it is called like another module, {origin or name}",
            remedy="rename it: a name that nothing else has",
        )


def _check_text(wanted: str, file: Path) -> None:
    """Raise UserError if a file holds bytes that no Python file has: Python's own error names a file of Python."""
    try:
        with file.open("rb") as opened:
            is_binary = any(b"\0" in line for line in opened)
    except OSError:  # a package, or what cannot be read, which Python says
        return
    if is_binary:
        raise UserError(f"plug-in {wanted}: {file} is no text: it holds null bytes", remedy="name a Python file")


def _missing(wanted: str, path: Path) -> UserError:
    beside = [file.name for file in path.parent.glob("*.py")] if path.parent.is_dir() else []
    meant = nearest(path.name, beside)
    remedy = f"did you mean {path.parent / meant}?" if meant else "write the path as it is seen from this folder"
    if "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ:
        remedy = "see that ray job submit uploads it: it must lie in --working-dir, and no .gitignore may name it"
    return UserError(f"plug-in {wanted}: there is no {path}", remedy=remedy)


def _remedy(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"install {error.name} for {sys.executable}, or put {error.name}.py beside the plug-in"
    if isinstance(error, SyntaxError):
        return "mend that line"
    if isinstance(error, SystemExit):
        return 'put what is to run as a script below if __name__ == "__main__":'
    return "mend it; --debug shows the whole traceback"
