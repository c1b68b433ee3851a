"""How all figures look, and how a drawing becomes bytes: the same bytes for the same numbers, everywhere.

matplotlib is used without pyplot, so that no window system and no global figure is needed; what it takes from global
settings is set under a lock.
"""

from __future__ import annotations

import io
import re
import textwrap
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from orchestrator.report.drawing import Drawing

Format = Literal["svg", "pdf", "png"]
FORMATS: tuple[Format, ...] = ("svg", "pdf", "png")

# Text and axes, what is less, and what is behind: on the page these become its own colours, light or dark.
INK, FAINT, PAPER = "#1b1e23", "#7b828c", "#ffffff"
# Okabe and Ito's, which colour-blind people tell apart, but for yellow and black, which a page may have behind them.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
# No difference is told by colour alone.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h")
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (8, 2)), (0, (3, 1, 1, 1, 1, 1)))
BETTER, WORSE, EQUAL, UNTOLD = COLORS[0], COLORS[1], COLORS[2], FAINT

WIDTH_IN = 6.6
LABEL_WIDTH, LABEL_LINES = 40, 3

_SETTINGS: dict[str, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.facecolor": "none",
    "axes.labelcolor": INK,
    "axes.axisbelow": True,
    "figure.facecolor": PAPER,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": FAINT,
    "grid.alpha": 0.25,
    "hatch.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 8,
    # Labels and names of classes are text, whatever is in them.
    "text.parse_math": False,
    "axes.formatter.use_mathtext": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "zetasweep",
    "pdf.fonttype": 42,
}
# Nothing that differs from one call to the next.
_METADATA: dict[Format, dict[str, None]] = {
    "svg": dict.fromkeys(("Date", "Creator", "Format", "Type")),
    "pdf": dict.fromkeys(("CreationDate", "Creator", "Producer")),
    "png": dict.fromkeys(("Software",)),
}
# All but what XML 1.0 calls a character (production 2).
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LOCK = threading.RLock()


@contextmanager
def styled() -> Iterator[None]:
    """Have matplotlib draw, and write, in this style within the block, whatever settings of its own the user has."""
    import matplotlib

    with _LOCK, matplotlib.rc_context(), warnings.catch_warnings():
        # Where the font lacks a letter, an SVG has it all the same: the reader's fonts draw it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


def new_drawing(height_in: float, *, width_in: float = WIDTH_IN) -> Drawing:
    """Return an empty drawing, whose parts make room for each other."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width_in, height_in), layout="constrained")


def rendered(drawing: Drawing, format: Format, *, transparent: bool = False) -> bytes:
    """Return a drawing as the content of a file; within `styled`.

    Args:
        drawing: As `new_drawing` makes them.
        format: Of the file.
        transparent: Whether nothing is painted behind it.
    """
    content = io.BytesIO()
    face = "none" if transparent else PAPER
    drawing.savefig(content, format=format, metadata=_METADATA[format], facecolor=face, dpi=200)
    return content.getvalue()


def wrapped(label: str, *, width: int = LABEL_WIDTH) -> str:
    """Return a label in lines, cut where it has too many of them, and with nothing that no file can have."""
    shown = printable(label)
    return "\n".join(textwrap.wrap(shown, width, max_lines=LABEL_LINES, placeholder=" …")) or shown


def printable(text: str) -> str:
    """Return a text with U+FFFD in place of what XML 1.0 cannot have, or UTF-8 cannot write.

    Those are control characters, and bytes of a name that are no UTF-8. Classes are called as their folders are.
    """
    return _UNPRINTABLE.sub("\ufffd", text)


def label_rows(axes: Any, labels: Sequence[str]) -> None:
    """Have the vertical axis name rows, the first on top; a light line runs along each."""
    axes.set_yticks(range(len(labels)), [wrapped(label) for label in labels])
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", linewidth=0.5)


def name_below(drawing: Any, text: str) -> None:
    """Name the horizontal axis of a drawing below all of it: long rows leave little room beside their names."""
    drawing.supxlabel(text, fontsize="medium")


def height_of(labels: Sequence[str], *, least_in: float = 0.9, of_row_in: float = 0.27) -> float:
    """Return the height of a drawing with a row for each label, in inches."""
    lines = [wrapped(label).count("\n") for label in labels]
    return least_in + of_row_in * len(labels) + 0.15 * sum(lines)


def series_style(index: int) -> dict[str, Any]:
    """Return colour and dashes of the series at a place; no two of the first thirty are the same."""
    dashes = DASHES[(index // len(COLORS) + index) % len(DASHES)]
    return {"color": COLORS[index % len(COLORS)], "linestyle": dashes}


def point_style(index: int) -> dict[str, Any]:
    """Return colour and marker of the points at a place; no two of the first thirty are the same."""
    return {"color": COLORS[index % len(COLORS)], "marker": MARKERS[index % len(MARKERS)]}


def legend_below(drawing: Drawing, handles: Sequence[Any], labels: Sequence[str], *, num_columns: int = 2) -> None:
    """Add a legend below everything else; each label is shown as it is."""
    shown = [wrapped(label) for label in labels]
    drawing.legend(list(handles), shown, loc="outside lower center", ncols=num_columns, handlelength=3)
