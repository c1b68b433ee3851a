"""One cell on any process group; no Ray, no MLflow.

What it exports is imported when it is asked for: ``python -m orchestrator.train`` begins here, and says that it does
before PyTorch is loaded.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.train.audit import read_figures
    from orchestrator.train.average_reach import doubt_of_average
    from orchestrator.train.batches import check_global_batch
    from orchestrator.train.cell import train_cell
    from orchestrator.train.facts import dataset_facts
    from orchestrator.train.feed import Feed, make_feed
    from orchestrator.train.gpu_share import claim_share, held_by_others
    from orchestrator.train.optimizers import check_optimizer
    from orchestrator.train.repeated_test import predict_again
    from orchestrator.train.requests import Request, StoppedError
    from orchestrator.train.starting_weights import (
        begins_with,
        bytes_to_keep,
        in_words,
        keep_weights,
        loaded_network,
        network_of,
        scale_of,
        weights_file,
    )
    from orchestrator.train.stored import stored_epochs, with_stored
    from orchestrator.train.timed import Timing
    from orchestrator.train.timed_group import NotMeasured, measure, search_batches
    from orchestrator.train.timed_worker import Place
    from orchestrator.train.trained_network import TrainedNetwork
else:
    _HOMES = {
        "read_figures": "audit",
        "doubt_of_average": "average_reach",
        "check_global_batch": "batches",
        "train_cell": "cell",
        "check_optimizer": "optimizers",
        "dataset_facts": "facts",
        "Feed": "feed",
        "make_feed": "feed",
        "claim_share": "gpu_share",
        "held_by_others": "gpu_share",
        "predict_again": "repeated_test",
        "Request": "requests",
        "StoppedError": "requests",
        "in_words": "starting_weights",
        "keep_weights": "starting_weights",
        "begins_with": "starting_weights",
        "bytes_to_keep": "starting_weights",
        "loaded_network": "starting_weights",
        "network_of": "starting_weights",
        "scale_of": "starting_weights",
        "weights_file": "starting_weights",
        "stored_epochs": "stored",
        "with_stored": "stored",
        "Timing": "timed",
        "NotMeasured": "timed_group",
        "Place": "timed_worker",
        "measure": "timed_group",
        "search_batches": "timed_group",
        "TrainedNetwork": "trained_network",
    }

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


__all__ = [
    "Feed",
    "NotMeasured",
    "Place",
    "Request",
    "StoppedError",
    "Timing",
    "TrainedNetwork",
    "begins_with",
    "bytes_to_keep",
    "check_global_batch",
    "check_optimizer",
    "claim_share",
    "dataset_facts",
    "doubt_of_average",
    "held_by_others",
    "in_words",
    "keep_weights",
    "loaded_network",
    "make_feed",
    "measure",
    "network_of",
    "predict_again",
    "read_figures",
    "scale_of",
    "search_batches",
    "stored_epochs",
    "train_cell",
    "weights_file",
    "with_stored",
]
