"""What lies on disk: a sweep's folder, a cell's folder, checkpoints, journal, writing whole."""

from orchestrator.storage.cell_folder import CellFolder, Point, below, is_key
from orchestrator.storage.checkpoints import Checkpoints
from orchestrator.storage.folder import Storage

__all__ = ["CellFolder", "Checkpoints", "Point", "Storage", "below", "is_key"]
