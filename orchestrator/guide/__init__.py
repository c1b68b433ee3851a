"""What somebody asks who begins: what there is to choose from, and what to write for the images that lie there."""

from orchestrator.guide.catalogue import KINDS, Item, Option, items_of, meaning, parameter_range, summary
from orchestrator.guide.examples import example_names, example_text
from orchestrator.guide.experiment_text import experiment_for, name_for
from orchestrator.guide.listing import as_json, as_lines

__all__ = [
    "KINDS",
    "Item",
    "Option",
    "as_json",
    "as_lines",
    "example_names",
    "example_text",
    "experiment_for",
    "items_of",
    "meaning",
    "name_for",
    "parameter_range",
    "summary",
]
