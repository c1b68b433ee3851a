"""What may be said of a table of configurations over seeds; NumPy and SciPy alone, the same to the bit every time."""

from orchestrator.results.statistics.analysis import ALPHA, RESOLUTION, Analysis, RowVerdict, Verdict, analyse

__all__ = ["ALPHA", "RESOLUTION", "Analysis", "RowVerdict", "Verdict", "analyse"]
