"""A comparison in the formats that leave the terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from orchestrator.results.formats.document import as_json
from orchestrator.results.formats.latex import latex
from orchestrator.results.formats.markdown import markdown
from orchestrator.results.formats.source import Source
from orchestrator.results.formats.tidy_csv import tidy_csv

FileFormat = Literal["markdown", "csv", "latex", "json"]
WRITERS: dict[FileFormat, Callable[[Source], str]] = {
    "markdown": markdown,
    "csv": tidy_csv,
    "latex": latex,
    "json": as_json,
}

__all__ = ["WRITERS", "FileFormat", "Source"]
