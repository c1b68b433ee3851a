"""One cell on any process group; no Ray, no MLflow."""

from orchestrator.train.cell import train_cell

__all__ = ["train_cell"]
