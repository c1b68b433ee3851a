"""One cell on any process group; no Ray, no MLflow.

What it exports is imported when it is asked for: ``python -m orchestrator.train`` begins here, and says that it does
before PyTorch is loaded.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.train.audit import read_figures
    from orchestrator.train.batches import check_global_batch
    from orchestrator.train.cell import train_cell
    from orchestrator.train.feed import Feed, make_feed
    from orchestrator.train.repeated_test import predict_again
    from orchestrator.train.requests import Request, StoppedError
    from orchestrator.train.stored import with_stored
else:
    _HOMES = {
        "read_figures": "audit",
        "check_global_batch": "batches",
        "train_cell": "cell",
        "Feed": "feed",
        "make_feed": "feed",
        "predict_again": "repeated_test",
        "Request": "requests",
        "StoppedError": "requests",
        "with_stored": "stored",
    }

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


__all__ = [
    "Feed",
    "Request",
    "StoppedError",
    "check_global_batch",
    "make_feed",
    "predict_again",
    "read_figures",
    "train_cell",
    "with_stored",
]
