"""What may be said of a table of configurations over seeds; NumPy and SciPy alone, the same to the bit every time."""

from typing import TYPE_CHECKING, Any

from orchestrator.results.statistics.summary import mean_and_std, share_interval
from orchestrator.results.statistics.verdicts import ALPHA, RESOLUTION, Analysis, RowVerdict, Verdict

if TYPE_CHECKING:
    from orchestrator.results.statistics.analysis import analyse
else:

    def __getattr__(name: str) -> Any:
        # SciPy takes half a second to import, which a command that compares nothing need not pay.
        if name != "analyse":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from orchestrator.results.statistics.analysis import analyse

        return analyse


__all__ = ["ALPHA", "RESOLUTION", "Analysis", "RowVerdict", "Verdict", "analyse", "mean_and_std", "share_interval"]
