"""One cell on any process group; no Ray, no MLflow."""

from orchestrator.train.audit import read_figures
from orchestrator.train.batches import check_global_batch
from orchestrator.train.cell import train_cell
from orchestrator.train.feed import Feed, make_feed
from orchestrator.train.requests import Request, StoppedError
from orchestrator.train.stored import with_stored

__all__ = [
    "Feed",
    "Request",
    "StoppedError",
    "check_global_batch",
    "make_feed",
    "read_figures",
    "train_cell",
    "with_stored",
]
