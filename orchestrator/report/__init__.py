"""Comparisons as figures, and as one page."""

from orchestrator.report.curves import epoch_metrics
from orchestrator.report.figure import Figure, Kind, Material, Unavailable
from orchestrator.report.figures import FIGURES
from orchestrator.report.page import missing_of
from orchestrator.report.table import comparison_html
from orchestrator.report.writing import PAGE, write_figures, write_report

__all__ = [
    "FIGURES",
    "PAGE",
    "Figure",
    "Kind",
    "Material",
    "Unavailable",
    "comparison_html",
    "epoch_metrics",
    "missing_of",
    "write_figures",
    "write_report",
]
