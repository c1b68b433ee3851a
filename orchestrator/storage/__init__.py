"""What lies on disk: a sweep's folder, a cell's folder, checkpoints, predictions, journal, looks, what is confirmed."""

from orchestrator.storage.cell_folder import CellFolder, Point, below, is_key
from orchestrator.storage.checkpoints import Checkpoints
from orchestrator.storage.confirmations import FIRST_SEED, Choice, Confirmation, RankedRow
from orchestrator.storage.folder import Storage
from orchestrator.storage.looks import note_look, read_looks
from orchestrator.storage.marker import Marker, marked
from orchestrator.storage.predictions import LOGITS_UP_TO, Predictions, SomePredictions

__all__ = [
    "FIRST_SEED",
    "LOGITS_UP_TO",
    "CellFolder",
    "Checkpoints",
    "Choice",
    "Confirmation",
    "Marker",
    "Point",
    "Predictions",
    "RankedRow",
    "SomePredictions",
    "Storage",
    "below",
    "is_key",
    "marked",
    "note_look",
    "read_looks",
]
