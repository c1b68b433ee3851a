"""A drawing inside of a page: its ids are its own there, and its greys and blue those of the page, light or dark."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from orchestrator.report.style import COLORS, FAINT, INK, PAPER, printable

_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
# A point of a drawing on the page: somewhat more than on paper.
_PIXELS = 1.55
# Hundredths of a point are less than any screen shows, and half of a large page.
_FURTHER = re.compile(r"(\.\d\d)\d+")
_PAINT = re.compile(r"url\(#")
_REFERENCE = re.compile(r"#([\w.-]+)")
# The blue, too: on a dark page it is too dark.
_OF_PAGE = {INK: "currentColor", FAINT: "var(--faint)", PAPER: "var(--paper)", COLORS[0]: "var(--blue)"}
_COLORS = re.compile("|".join(_OF_PAGE))


def inlined(svg: bytes, *, name: str, title: str) -> str:
    """Return what matplotlib wrote as an element of HTML.

    Args:
        svg: The file.
        name: Begins all ids; no other drawing of the page has it.
        title: What is read out in place of the drawing.
    """
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    root = ElementTree.fromstring(printable(svg.decode()))
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}style", f"{{{_SVG}}}metadata"):
                parent.remove(child)
    needed = {
        name for element in root.iter() for value in element.attrib.values() for name in _REFERENCE.findall(value)
    }
    for element in root.iter():
        if element.get("id") not in needed:
            element.attrib.pop("id", None)
        for key, value in element.attrib.items():
            if key in ("d", "x", "y"):
                element.set(key, _FURTHER.sub(r"\1", value))
            elif key == "id":
                element.set(key, f"{name}-{value}")
            elif key.endswith("href") and value.startswith("#"):
                element.set(key, f"#{name}-{value[1:]}")
            elif "#" in value:
                colors = _COLORS.sub(lambda found: _OF_PAGE[found[0]], value)
                element.set(key, _PAINT.sub(f"url(#{name}-", colors))
        _say_once(element)
    width = float(root.attrib.pop("width").removesuffix("pt"))
    del root.attrib["height"]
    # What matplotlib's own style sheet says of everything would hold for the whole page.
    root.set("style", f"max-width: {width * _PIXELS:.0f}px; stroke-linejoin: round; stroke-linecap: butt")
    root.set("class", "drawing")
    root.set("role", "img")
    root.set("aria-label", printable(title))
    return ElementTree.tostring(root, encoding="unicode")


def _say_once(group: ElementTree.Element) -> None:
    """Have a group of markers say what they all say of their paint: it is most of a page with many trainings."""
    markers = group.findall(f"{{{_SVG}}}use")
    said = {marker.get("style") for marker in markers}
    if len(markers) < 2 or len(said) > 1 or None in said or "style" in group.attrib:
        return
    group.set("style", markers[0].attrib["style"])
    for marker in markers:
        del marker.attrib["style"]
