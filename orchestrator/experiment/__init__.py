"""What a file says, checked; and the cells it means."""

from orchestrator.experiment.augment_spec import AugmentSpec
from orchestrator.experiment.cells import Cell, Replicate, expand
from orchestrator.experiment.dataset_spec import VAL_FRACTION, DatasetSpec
from orchestrator.experiment.load import load_experiment
from orchestrator.experiment.settings import (
    CacheSettings,
    Comparing,
    Experiment,
    General,
    Resources,
    Tracking,
    TrainSettings,
)

__all__ = [
    "VAL_FRACTION",
    "AugmentSpec",
    "CacheSettings",
    "Cell",
    "Comparing",
    "DatasetSpec",
    "Experiment",
    "General",
    "Replicate",
    "Resources",
    "Tracking",
    "TrainSettings",
    "expand",
    "load_experiment",
]
