"""What a shell is offered after TAB: files, and names of metrics, figures, data sets and keys.

Nothing here takes long to import. The names that only PyTorch's modules know stand in ``completion.json``, which
``make reference`` writes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from orchestrator.metric_names import METRICS

NAMES = Path(__file__).with_name("completion.json")
SUFFIXES = (".yaml", ".yml")


def experiment_files(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the YAML files where `incomplete` points and one folder below; if there is none, any file is offered."""
    folder, begun = os.path.split(incomplete)
    found = [
        os.path.join(folder, path)
        for pattern in ("*", "*/*")
        for path in sorted(str(file.relative_to(folder or ".")) for file in Path(folder or ".").glob(pattern))
        if path.startswith(begun) and path.endswith(SUFFIXES) and not path.startswith(".")
    ]
    return [CompletionItem(path) for path in found] or [CompletionItem(incomplete, type="file")]


def metrics(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return metrics with what they measure; after ``val/``, ``best/`` or ``test/`` those of it."""
    stage, slash, begun = incomplete.rpartition("/")
    return [
        CompletionItem(f"{stage}{slash}{name}", help=info.what)
        for name, info in METRICS.items()
        if name.startswith(begun)
    ]


def overrides(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return keys of an experiment file, each with what may stand there, or with its default."""
    keys: dict[str, list[str]] = known_names()["keys"]
    return _matching((f"{key}={value}" for key, values in keys.items() for value in values or [""]), incomplete)


def figures(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the kinds of ``zetasweep plot``."""
    return _matching(known_names()["figures"], incomplete)


def datasets(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the names of the data sets."""
    return _matching(known_names()["datasets"], incomplete)


def example_names(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the names of the experiments that zetasweep comes with."""
    return _matching(known_names()["examples"], incomplete)


def _matching(words: Iterable[str], begun: str) -> list[CompletionItem]:
    return [CompletionItem(word) for word in words if word.startswith(begun)]


@cache
def known_names() -> dict[str, Any]:
    """Return ``figures``, ``datasets`` and ``examples``, and the ``keys`` of an experiment with their values."""
    found: dict[str, Any] = json.loads(NAMES.read_text(encoding="utf-8"))
    return found
