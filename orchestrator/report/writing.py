"""A report as files: the page, and each of its figures in the formats of papers, slides and programs."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from orchestrator.errors import UserError
from orchestrator.report.figure import Figure, Kind, Material, Unavailable
from orchestrator.report.page import Part, page
from orchestrator.report.style import FORMATS, Format, printable, rendered, styled
from orchestrator.results import render
from orchestrator.storage.atomic import written_whole

PAGE = "report.html"


def made(material: Material, kinds: Mapping[str, Kind]) -> list[Part]:
    """Compute the figures of some kinds; of those that there are not, why."""
    return [_part(material, kind, make) for kind, make in kinds.items()]


def _part(material: Material, kind: str, make: Kind) -> Part:
    try:
        return Part(kind, make(material))
    except Unavailable as error:
        return Part(kind, reason=error.reason)


def write_report(
    material: Material, kinds: Mapping[str, Kind], folder: Path, *, on_progress: Callable[[int, int], None]
) -> list[Part]:
    """Write a report to a folder that is there and empty; return what is in it, and what is not.

    Args:
        material: What it is about.
        kinds: Of figures, in the order of the page.
        folder: Where.
        on_progress: Is told of how many kinds are done, and of how many there are.

    Raises:
        OSError: There is no room.
    """
    parts, drawings = [], {}
    for num_done, (kind, make) in enumerate(kinds.items()):
        on_progress(num_done, len(kinds))
        part = _part(material, kind, make)
        parts.append(part)
        for figure in part.figures:
            (folder / f"{figure.name}.json").write_text(as_json(figure), encoding="utf-8")
            if figure.draw is not None:
                drawings[figure.name] = _write_drawing(figure, folder)
    (folder / "table.tex").write_text(printable(_tex(material)), encoding="utf-8")
    (folder / PAGE).write_text(printable(page(material, parts, drawings)), encoding="utf-8")
    on_progress(len(kinds), len(kinds))
    return parts


def _tex(material: Material) -> str:
    """Return the table as `zetasweep compare --format latex` has it, with what is said above it as comments."""
    above = "".join(f"% {' '.join(line.split())}\n" for line in material.above)
    return above + str(render(material.comparison, "latex", names=material.names, runs=material.runs))


def _write_drawing(figure: Figure, folder: Path) -> bytes:
    """Write a drawing in all formats; return it for the page, which has its own paper."""
    assert figure.draw is not None
    with styled():
        drawing = figure.draw()
        for format in FORMATS:
            (folder / f"{figure.name}.{format}").write_bytes(rendered(drawing, format))
        return rendered(drawing, "svg", transparent=True)


def write_figures(figures: Sequence[Figure], path: Path, *, kind: str) -> list[Path]:
    """Write figures of a kind to files, the ending of whose name says the format; return their paths.

    Args:
        figures: One of a table with one column is `path`; of several columns each has the number of its column before
            the ending, whichever of them have one.
        path: Ends in ``.json`` or one of `FORMATS`.
        kind: That of the figures.

    Raises:
        UserError: There is no drawing of it.
        OSError: It cannot be written.
    """
    paths = [path.with_stem(path.stem + figure.name.removeprefix(kind)) for figure in figures]
    for figure, target in zip(figures, paths, strict=True):
        content = _content(figure, target.suffix.lower().removeprefix("."))
        with written_whole(target) as file:
            file.write(content)
    return paths


def _content(figure: Figure, format: str) -> bytes:
    if format == "json":
        return as_json(figure).encode()
    if figure.draw is None:
        raise UserError(
            f"plot {figure.name}: it is text, not a drawing",
            remedy=f"write its numbers with --output {figure.name}.json, or see it on the page of zetasweep report",
        )
    with styled():
        return rendered(figure.draw(), cast(Format, format))


def as_json(figure: Figure) -> str:
    """Return what a figure shows, for programs; what is no number is null."""
    content = {"name": figure.name, "title": figure.title, "sentence": figure.sentence, "data": _plain(figure.data)}
    return printable(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(entry) for entry in value]
    return value
