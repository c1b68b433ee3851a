"""The type of what is drawn: matplotlib takes half a second to import, which only who draws shall pay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing
else:
    Drawing = Any

__all__ = ["Drawing"]
