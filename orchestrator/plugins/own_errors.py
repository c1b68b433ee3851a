"""What is said of an error in code of somebody's own: the file and the line, and no traceback."""

from __future__ import annotations

import functools
import inspect
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from augment import ParameterError
from orchestrator.errors import ExplainedError, first_line
from orchestrator.plugins.plugin import Plugin
from orchestrator.plugins.sources import is_installed, is_product

# What says in its own words what is wrong with a value.
TOLD = (ExplainedError, ParameterError)


def place_of(error: BaseException) -> str:
    """Return ``FILE, line 3: KeyError: 'width'``: the last line of somebody's own code that an error came through."""
    said = said_of(error)
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}: {type(error).__name__}: {error.msg}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_passed_over(frame.filename)]
    own = [frame for frame in frames if not is_installed(Path(frame.filename))] or frames
    return f"{own[-1].filename}, line {own[-1].lineno}: {said}" if own else said


def said_of(error: BaseException) -> str:
    """Return ``KeyError: 'width'``: the kind of an error, and the first line of what it says."""
    return f"{type(error).__name__}: {first_line(error)}" if str(error).strip() else type(error).__name__


def defined_at(thing: Any) -> str:
    """Return ``FILE, line 3``: where a function or class is defined; of what has no such place the file alone."""
    thing = inspect.unwrap(thing) if callable(thing) else thing
    thing = thing.func if isinstance(thing, functools.partial) else thing
    if not inspect.isroutine(thing) and not inspect.isclass(thing):
        thing = type(thing)
    try:
        return f"{inspect.getsourcefile(thing)}, line {inspect.getsourcelines(thing)[1]}"
    except (OSError, TypeError):
        return str(getattr(sys.modules.get(thing.__module__), "__file__", None) or thing.__module__)


def refusals_of(plugin: Plugin | None) -> tuple[type[Exception], ...]:
    """Return what an augmentation may raise for a value that it does not take: one of a plug-in, anything."""
    return (ValueError, ArithmeticError) if plugin is None else (Exception,)


def told_by(
    function: Callable[..., Any], name: str, plugin: Plugin, error_class: type[Exception]
) -> Callable[..., Any]:
    """Return `function` with its errors as an `error_class` that says where in the plug-in they are.

    Its signature stays, since options of a model are checked by it.
    """

    @functools.wraps(function)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except TOLD:
            raise
        except Exception as error:
            raise error_class(f"{name} of plug-in {plugin.module}: {place_of(error)}") from error

    return wrapped


def _is_passed_over(file: str) -> bool:
    """Return whether a file is zetasweep's, or none at all: ``<frozen importlib._bootstrap>``."""
    return file.startswith("<") or is_product(Path(file))
