"""Which files a plug-in is made of: its own, and those of nobody else that it imports, wherever they lie."""

from __future__ import annotations

import ast
import site
import sysconfig
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from orchestrator.errors import UserError
from orchestrator.shadows import PACKAGES, PRODUCT

# A file beside them, in a checkout, is not made of them: zetasweep's commit is a tag of its own.
_PRODUCT = {*PACKAGES, "zetasweep"}
_INIT = "__init__.py"


# Of an environment that another one adds to its path, too.
_PACKAGES_OF_PYTHON = {"site-packages", "dist-packages"}


@dataclass(frozen=True)
class Source:
    """A file that makes a plug-in what it is.

    Attributes:
        file: Where it lies.
        name: Its path below the folder that it is imported from: it stays the same when all of it is moved.
        text: What is in it.
        is_beside: Whether it lies where the plug-in lies, and so travels with it; else each machine has its own.
    """

    file: Path
    name: str
    text: str
    is_beside: bool


def is_installed(file: Path) -> bool:
    """Return whether a file lies among the installed packages, or Python's own."""
    paths = sysconfig.get_paths()
    folders = [*(paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")), *site.getsitepackages()]
    is_among = any(file.is_relative_to(folder) for folder in (*folders, site.getusersitepackages()))
    return is_among or not _PACKAGES_OF_PYTHON.isdisjoint(file.parts)


def is_product(file: Path) -> bool:
    """Return whether a file is zetasweep's own."""
    return any(file.is_relative_to(PRODUCT / package) for package in _PRODUCT)


def root_of(module: str, file: Path) -> Path:
    """Return the folder that a module is imported from: the one above its outermost package."""
    steps = module.count(".") + (file.name == _INIT)
    return file.parents[steps]


def sources_of(module: str, file: Path) -> tuple[Source, ...]:
    """Return what makes a plug-in what it is, in the order of the names.

    That is the file itself, or all Python files of the package that it stands in; and, unless it is installed, what
    ``import`` statements anywhere in them find that is neither installed nor zetasweep's, as far as these lead: a file,
    or a whole package, beside the plug-in or wherever else Python finds it.

    Raises:
        UserError: Python would import something else for a file that lies beside it.
        SyntaxError: One of them cannot be parsed.
        OSError: One of them cannot be read.
    """
    root, follow = root_of(module, file), not is_installed(file)
    found: dict[Path, Source] = {}
    waiting = [(root, path) for path in _own_files(root, module, file, follow=follow)]
    imported = {module.partition(".")[0]}
    while waiting:
        place, path = waiting.pop()
        if path in found:
            continue
        text, tree = _parsed(path)
        found[path] = Source(path, path.relative_to(place).as_posix(), text, place == root)
        for line, name in _imports(tree) if follow else ():
            if name not in imported:
                imported.add(name)
                waiting += _imported(name, root, path, line)
    return tuple(sorted(found.values(), key=lambda source: (source.name, source.file)))


def imports_of(source: Source) -> set[str]:
    """Return the first part of each module that a file imports."""
    return {name for _, name in _imports(ast.parse(source.text))}


def _own_files(root: Path, module: str, file: Path, *, follow: bool) -> list[Path]:
    """Return the files of the outermost package of a module; of one in folders without ``__init__.py``, all in them."""
    steps = module.split(".")
    for number in range(1, len(steps) + 1):
        package = root.joinpath(*steps[:number])
        if (package / _INIT).is_file():
            return _python_files(package)
    # Folders of several installed packages have one name: what others have there is nothing of this one.
    return _python_files(root / steps[0]) if follow and len(steps) > 1 else [file]


def _imported(name: str, root: Path, path: Path, line: int) -> list[tuple[Path, Path]]:
    """Return the files that ``import NAME`` leads to, each behind the folder that it is imported from."""
    if name in _PRODUCT:
        return []
    if beside := _files_of(root, name):
        _check_found(name, beside[0], path, line)
        return [(root, file) for file in beside]
    places = _places_of(name)
    if places is None:  # the folder of the plug-in is not on Python's path now
        return [(root, file) for file in _python_files(root / name)]
    return [
        (place, file)
        for place in places
        if not is_installed(place / name) and not is_product(place / name)
        for file in _files_of(place, name) or _python_files(place / name)
    ]


def _places_of(name: str) -> list[Path] | None:
    """Return the folders from which Python imports a module: of a folder without ``__init__.py`` there may be several.

    None if it finds no such module.
    """
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if spec.has_location and spec.origin is not None:
        return [root_of(name, Path(spec.origin))]
    return [Path(place).parent for place in spec.submodule_search_locations or ()]


def _files_of(root: Path, name: str) -> list[Path]:
    """Return the files of a module or package in a folder, the one that is imported first; none if it has none."""
    if (root / name / _INIT).is_file():
        return _python_files(root / name)
    return [root / f"{name}.py"] if (root / f"{name}.py").is_file() else []


def _python_files(package: Path) -> list[Path]:
    """Return all Python files below a folder, its ``__init__.py`` first."""
    files = [file for file in package.rglob("*.py") if "__pycache__" not in file.parts]
    return sorted(files, key=lambda file: (file != package / _INIT, file))


def _parsed(path: Path) -> tuple[str, ast.Module]:
    """Return the text of a file, read by the encoding that it declares, and its syntax tree."""
    try:
        with tokenize.open(path) as opened:
            text = opened.read()
        return text, ast.parse(text, filename=str(path))
    except ValueError as error:  # bytes that are no text, or a null
        raise SyntaxError(str(error), (str(path), 1, None, None)) from error


def _imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the first part of each module that is imported, with the line; what begins with a dot is in a package whose
    files count anyway.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.partition(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module.partition(".")[0]


def _check_found(name: str, beside: Path, path: Path, line: int) -> None:
    """Raise UserError if ``import NAME`` does not find what lies beside the file."""
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        spec = None
    origin = spec.origin if spec is not None else None
    if origin is not None and (origin == "built-in" or Path(origin).resolve() != beside.resolve()):
        raise UserError(
            f"plug-in {path}, line {line}: import {name} finds {origin}, and not {beside}, which lies beside it",
            remedy=f"call the file beside it otherwise than {beside.name}",
        )
