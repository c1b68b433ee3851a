"""The kinds of figures by name, in the order of the page."""

from __future__ import annotations

from orchestrator.report.best import best
from orchestrator.report.confusion import confusion
from orchestrator.report.cost import cost
from orchestrator.report.curves import curves
from orchestrator.report.epochs import epochs
from orchestrator.report.figure import Kind
from orchestrator.report.forest import forest
from orchestrator.report.gallery import gallery
from orchestrator.report.importance import importance
from orchestrator.report.intrinsic_dimension import intrinsic_dimensions
from orchestrator.report.matrix import matrix
from orchestrator.report.mixing import mixing
from orchestrator.report.power import power
from orchestrator.report.provenance import provenance
from orchestrator.report.race import race
from orchestrator.report.recall import recall
from orchestrator.report.reliability import reliability
from orchestrator.report.seeds import seeds
from orchestrator.report.seeds_or_images import seeds_or_images
from orchestrator.report.stopped import stopped
from orchestrator.report.surface import surface
from orchestrator.report.table import table
from orchestrator.report.tried import tried
from orchestrator.report.validation import validation

FIGURES: dict[str, Kind] = {
    "table": table,
    "race": race,
    "stopped": stopped,
    "epochs": epochs,
    "tried": tried,
    "importance": importance,
    "differences": forest,
    "seeds": seeds,
    "may-be-best": best,
    "learning-curves": curves,
    "gamma-and-n": surface,
    "seeds-or-images": seeds_or_images,
    "power": power,
    "validation-and-test": validation,
    "recall": recall,
    "reliability": reliability,
    "confusion": confusion,
    "cost": cost,
    "data-sets": matrix,
    "gallery": gallery,
    "mixing": mixing,
    "intrinsic-dimension": intrinsic_dimensions,
    "provenance": provenance,
}
