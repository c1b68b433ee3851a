"""The data sets: a registry, and the functions that check, download and load them.

A loaded data set is held in memory whole, as uint8, by each process that trains; one that would take more than half of
the memory that is free is refused. To add one: a function that returns a ``Source``, and one line in ``DATASETS``.
"""

from orchestrator.data.dataset import ArraySamples, Dataset, DatasetInfo, Samples, Source, Split
from orchestrator.data.loading import (
    check_dataset,
    count_training_images,
    download_dataset,
    load_dataset,
    num_classes_of,
)
from orchestrator.data.registry import DATASETS

__all__ = [
    "DATASETS",
    "ArraySamples",
    "Dataset",
    "DatasetInfo",
    "Samples",
    "Source",
    "Split",
    "check_dataset",
    "count_training_images",
    "download_dataset",
    "load_dataset",
    "num_classes_of",
]
