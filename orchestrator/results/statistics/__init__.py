"""What may be said of a table of configurations over seeds; NumPy and SciPy alone, the same to the bit every time."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from orchestrator.results.statistics.several import looks_alpha, partial_conjunction
from orchestrator.results.statistics.summary import mean_and_std, share_interval
from orchestrator.results.statistics.verdicts import ALPHA, RESOLUTION, Analysis, RowVerdict, Verdict

if TYPE_CHECKING:
    from orchestrator.results.statistics.analysis import analyse
    from orchestrator.results.statistics.images import arrays_needed, image_floors, resolution_of
else:
    # SciPy takes half a second to import, which a command that compares nothing need not pay.
    _LATER = {"analyse": "analysis"} | dict.fromkeys(("arrays_needed", "image_floors", "resolution_of"), "images")

    def __getattr__(name: str) -> Any:
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)


__all__ = [
    "ALPHA",
    "RESOLUTION",
    "Analysis",
    "RowVerdict",
    "Verdict",
    "analyse",
    "arrays_needed",
    "image_floors",
    "looks_alpha",
    "mean_and_std",
    "partial_conjunction",
    "resolution_of",
    "share_interval",
]
