"""What is said beside an experiment's file, as Python has it: overrides of its keys, and code of your own."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from os import PathLike, fspath

from orchestrator.errors import UserError

Overrides = Mapping[str, object] | Sequence[str]
"""Values by dotted keys, or ``KEY=VALUE`` each as after ``-o``."""

Path = str | PathLike[str]


def written(overrides: Overrides) -> list[str]:
    """Return overrides as the command line has them.

    Raises:
        UserError: They are neither of the two, or a value is none that a file could have.
    """
    if isinstance(overrides, Mapping):
        return [f"{key}={_value(key, value)}" for key, value in overrides.items()]
    if isinstance(overrides, str) or not all(isinstance(each, str) for each in overrides):
        raise UserError(
            f"overrides = {overrides!r}: neither a mapping nor a list of texts",
            remedy='write overrides={"train.epochs": 2}, or overrides=["train.epochs=2"]',
        )
    return list(overrides)


def file_of(experiment: object) -> str:
    """Return the path of an experiment's file; raise UserError if none is given, but e.g. what it would say."""
    if isinstance(experiment, str | PathLike):
        return os.fsdecode(experiment)
    raise UserError(
        f"experiment = {type(experiment).__name__}: no path",
        allowed="the path of a YAML file: a text or a Path",
        remedy="write what it says into a file; overrides={'train.epochs': 2} changes it",
    )


def use(plugins: Sequence[Path] | None) -> None:
    """Use these plug-ins, and no others; None for those of ``ZETASWEEP_PLUGINS``.

    Raises:
        UserError: One of them cannot be used; then none is.
    """
    from orchestrator.plugins import use_plugins, use_plugins_of_variable

    if isinstance(plugins, str):
        raise UserError(f"plugins = {plugins!r}: a text", allowed="a list", remedy=f"write plugins=[{plugins!r}]")
    if plugins is None:
        use_plugins_of_variable()
    else:
        use_plugins(fspath(each) for each in plugins)


def _value(key: str, value: object) -> str:
    try:
        # YAML takes JSON.
        return json.dumps(value, default=_plain, ensure_ascii=False)
    except TypeError as error:
        raise UserError(
            f"overrides[{key!r}] = {value!r}: not what a file could have",
            allowed="numbers, texts, true or false, None, paths, and lists and mappings of these",
        ) from error


def _plain(value: object) -> object:
    if isinstance(value, PathLike):
        return fspath(value)
    if isinstance(value, range | set | frozenset):
        return sorted(value)
    raise TypeError(type(value).__name__)
