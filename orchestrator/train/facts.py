"""What a cell is trained on, in numbers and names: MLflow has it, and so has whoever makes a model of the weights."""

from __future__ import annotations

from orchestrator.data import Dataset
from orchestrator.experiment import Cell
from orchestrator.records import DatasetFacts
from orchestrator.train.starting_weights import scale_of


def dataset_facts(cell: Cell, dataset: Dataset) -> DatasetFacts:
    """Return what is to be known of the data of a cell without it."""
    scale = scale_of(cell.model, dataset.mean, dataset.std)
    return DatasetFacts(
        name=dataset.name,
        split_hash=dataset.split_hash,
        num_train=len(dataset.train.labels),
        num_val=len(dataset.val.labels),
        num_test=len(dataset.test.labels),
        num_channels=dataset.num_channels,
        image_size=cell.dataset.image_size or dataset.stored_size,
        class_names=tuple(dataset.class_names),
        mean=scale.mean,
        std=scale.std,
        groups=dataset.groups,
        unreadable=dataset.unreadable,
        unmeasured="; ".join(dataset.unmeasured),
        pixel_hash=dataset.pixel_hash,
    )
