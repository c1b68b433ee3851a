"""What a file says, checked; and the cells it means."""

from orchestrator.experiment.arithmetic_spec import USUAL_TF32, ArithmeticSpec, Compile
from orchestrator.experiment.augment_options import options_beside
from orchestrator.experiment.augment_spec import AugmentSpec
from orchestrator.experiment.cells import Cell, Replicate, expand
from orchestrator.experiment.code_spec import CodeSpec
from orchestrator.experiment.column import Column, columns, known_from_start
from orchestrator.experiment.dataset_spec import VAL_FRACTION, DatasetSpec
from orchestrator.experiment.load import load_experiment
from orchestrator.experiment.model_spec import ModelSpec
from orchestrator.experiment.optimizer_info import OPTIMIZERS, OptimizerInfo, OptimizerName
from orchestrator.experiment.resources import Resources
from orchestrator.experiment.search_settings import (
    Budget,
    Confirming,
    RungSettings,
    SearchSettings,
)
from orchestrator.experiment.settings import (
    CacheSettings,
    Comparing,
    Configuration,
    Experiment,
    General,
    Models,
    Tracking,
)
from orchestrator.experiment.shown_names import label_of
from orchestrator.experiment.train_settings import TrainSettings

__all__ = [
    "OPTIMIZERS",
    "USUAL_TF32",
    "VAL_FRACTION",
    "ArithmeticSpec",
    "AugmentSpec",
    "Budget",
    "CacheSettings",
    "Cell",
    "CodeSpec",
    "Column",
    "Comparing",
    "Compile",
    "Configuration",
    "Confirming",
    "DatasetSpec",
    "Experiment",
    "General",
    "ModelSpec",
    "Models",
    "OptimizerInfo",
    "OptimizerName",
    "Replicate",
    "Resources",
    "RungSettings",
    "SearchSettings",
    "Tracking",
    "TrainSettings",
    "columns",
    "expand",
    "known_from_start",
    "label_of",
    "load_experiment",
    "options_beside",
]
