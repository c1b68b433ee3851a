"""What of a plug-in's code counts: its syntax trees, without comments, layout and docstrings."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Mapping
from types import ModuleType

from orchestrator.errors import UserError

_DIGITS = 16
_LONGEST_VERSION = 100
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def code_of(module: ModuleType, sources: Mapping[str, str]) -> str:
    """Return the ``VERSION`` that a module declares, or else a hash of its sources.

    Args:
        module: It has been imported.
        sources: The text of each file, by a name that stays the same when all of it is moved.

    Raises:
        UserError: ``VERSION`` is neither text nor a number.
        SyntaxError: A source cannot be parsed.
    """
    version = getattr(module, "VERSION", None)
    if version is None:
        return hash_of(sources)
    text = str(version).strip()
    if not isinstance(version, str | int | float) or not text or len(text) > _LONGEST_VERSION or "\n" in text:
        raise UserError(
            f"plug-in {module.__file__}: VERSION = {version!r}",
            allowed=f"a text of 1 to {_LONGEST_VERSION} characters, or a number",
            remedy='write e.g. VERSION = "2", or leave it out: then the code itself counts',
        )
    return text


def hash_of(sources: Mapping[str, str]) -> str:
    """Return 16 hexadecimal digits that stay the same while the syntax trees do."""
    trees = {name: _plain(ast.parse(text, filename=name)) for name, text in sources.items()}
    canonical = json.dumps(trees, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:_DIGITS]


def _plain(node: object) -> object:
    """Return a tree as lists and texts.

    Not as `ast.dump` does it: that shows empty fields up to Python 3.12, and new versions add fields that are empty,
    so another Python would be other code.
    """
    if isinstance(node, ast.AST):
        fields = {name: value for name, value in ast.iter_fields(node) if value is not None and value != []}
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            fields["body"] = node.body[1:]
        if isinstance(node, ast.Constant):
            fields = {"value": f"{type(node.value).__name__} {node.value!r}"}
        return [type(node).__name__, {name: _plain(value) for name, value in fields.items()}]
    if isinstance(node, list):
        return [_plain(item) for item in node]
    return node if isinstance(node, str | int) else repr(node)
