"""What lies on disk: a sweep's folder, a cell's folder, checkpoints, predictions, journal, writing whole."""

from orchestrator.storage.cell_folder import CellFolder, Point, below, is_key
from orchestrator.storage.checkpoints import Checkpoints
from orchestrator.storage.folder import Storage
from orchestrator.storage.predictions import LOGITS_UP_TO, Predictions

__all__ = ["LOGITS_UP_TO", "CellFolder", "Checkpoints", "Point", "Predictions", "Storage", "below", "is_key"]
