"""The page of a report: one file that needs no other, no network and no scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.report.figure import Figure, Material
from orchestrator.report.inline import inlined
from orchestrator.report.markup import filled
from orchestrator.report.verdict import verdict
from orchestrator.results import named, remarks


@dataclass(frozen=True)
class Part:
    """A kind of figures, as far as there are some.

    Attributes:
        kind: Its name.
        figures: Its figures.
        reason: Why there are none; empty if there are.
    """

    kind: str
    figures: Sequence[Figure] = ()
    reason: str = ""


def page(material: Material, parts: Sequence[Part], drawings: Mapping[str, bytes]) -> str:
    """Return the page.

    Args:
        material: What it is about.
        parts: In the order of the page.
        drawings: Of the figures that have one, as SVG, by the name of the figure.
    """
    sections = [
        {
            "kind": part.kind,
            "figures": [_shown(figure, drawings.get(figure.name)) for figure in part.figures],
        }
        for part in parts
        if part.figures
    ]
    return filled(
        "page.html",
        name=material.experiment.name,
        verdict=[*material.above, *verdict(material)],
        sections=sections,
        missing=missing_of(parts),
        remarks=remarks(named(material.comparison, material.names)),
    )


def missing_of(parts: Sequence[Part]) -> list[tuple[str, str]]:
    """Return the kinds that lack figures, all or those of some columns, and why; those that lack the same together."""
    kinds: dict[str, list[str]] = {}
    for part in parts:
        reasons = [reason for figure in part.figures for reason in figure.missing] if part.figures else [part.reason]
        for reason in reasons:
            kinds.setdefault(reason, []).append(part.kind)
    return [(", ".join(of_reason), reason) for reason, of_reason in kinds.items()]


def _shown(figure: Figure, drawing: bytes | None) -> dict[str, object]:
    if figure.html is not None:
        content = figure.html
    else:
        assert drawing is not None, f"{figure.name} has neither a drawing nor HTML"
        content = inlined(drawing, name=figure.name, title=f"{figure.title}. {figure.sentence}")
    return {
        "name": figure.name,
        "title": figure.title,
        "sentence": figure.sentence,
        "is_drawn": figure.html is None,
        # Escaped where it was made: by matplotlib and ElementTree, or by a template.
        "content": content,
    }
