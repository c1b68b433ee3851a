"""What is kept of a sweep, in a folder or as objects: cells, checkpoints, predictions, journal, looks, choices."""

from orchestrator.storage.cell_folder import BEST, PREDICTIONS, RESULT, CellFolder, Point, below, is_key
from orchestrator.storage.checkpoints import Checkpoints
from orchestrator.storage.confirmations import FIRST_SEED, Choice, Confirmation, RankedRow
from orchestrator.storage.folder import Storage
from orchestrator.storage.looks import LOOKS, note_look, read_looks
from orchestrator.storage.marker import Marker, marked
from orchestrator.storage.object_storage import storage_at
from orchestrator.storage.predictions import LOGITS_UP_TO, Predictions, SomePredictions
from orchestrator.storage.work import DirectWork, Work

__all__ = [
    "BEST",
    "FIRST_SEED",
    "LOGITS_UP_TO",
    "LOOKS",
    "PREDICTIONS",
    "RESULT",
    "CellFolder",
    "Checkpoints",
    "Choice",
    "Confirmation",
    "DirectWork",
    "Marker",
    "Point",
    "Predictions",
    "RankedRow",
    "SomePredictions",
    "Storage",
    "Work",
    "below",
    "is_key",
    "marked",
    "note_look",
    "read_looks",
    "storage_at",
]
