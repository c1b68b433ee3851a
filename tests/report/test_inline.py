"""A drawing on a page looks as it does in its file, and says everything once."""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree

from matplotlib.figure import Figure

from orchestrator.report.inline import inlined
from orchestrator.report.style import styled

USE = "{http://www.w3.org/2000/svg}use"


def paints_of(svg: str) -> list[str]:
    """What each marker is painted with, by its own style or its group's, in their order; but for the page's greys."""
    parents = {child: parent for parent in ElementTree.fromstring(svg).iter() for child in parent}
    paints = [marker.get("style") or parents[marker].get("style", "") for marker in parents if marker.tag == USE]
    return [re.sub(r"var\(--\w+\)|currentColor|#7b828c|#1b1e23", "GREY", paint) for paint in paints]


def test_markers_keep_their_paint_and_ids_what_refers_to_them() -> None:
    with styled():
        figure = Figure()
        axes = figure.subplots()
        axes.plot(range(50), "o", color="#aa3377", alpha=0.5)
        axes.plot([3], [7], "s", color="#228833")
        axes.scatter([1, 2], [3, 4], c=["#ccbb44", "#ee6677"])
        out = io.BytesIO()
        figure.savefig(out, format="svg")
    file = out.getvalue().decode()
    page = inlined(out.getvalue(), name="one", title="One")
    assert paints_of(page) == paints_of(file)
    assert sum("#aa3377" in paint for paint in paints_of(page)) == 50
    assert page.count("#aa3377") <= 4 < 50 < file.count("#aa3377")
    ids = re.findall(r' id="(.*?)"', page)
    assert len(ids) == len(set(ids))
    assert set(ids) == set(re.findall(r"[\"(]#(one-.*?)[\")]", page))
