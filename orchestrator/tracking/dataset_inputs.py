"""The data of a cell as inputs of its run, one for each split: MLflow shows them, and their sizes are read back."""

from __future__ import annotations

import json
from pathlib import Path

from mlflow.entities import Dataset as DatasetEntity
from mlflow.entities import DatasetInput, InputTag, Run
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

from orchestrator.data import DataDir
from orchestrator.records import DatasetFacts


def inputs_of(data: DatasetFacts, *, data_dir: DataDir) -> list[DatasetInput]:
    """Return what a run is told of its data."""
    sizes = {"train": data.num_train, "val": data.num_val, "test": data.num_test}
    return [
        DatasetInput(
            DatasetEntity(
                # MLflow takes two inputs of a run with the same name and digest for one.
                name=f"{data.name}-{split}",
                digest=data.split_hash[:32],
                source_type="local" if isinstance(data_dir, Path) else data_dir.address.scheme,
                source=json.dumps({"uri": data_dir.as_uri()}),
                profile=json.dumps({"num_samples": num_samples, "num_classes": len(data.class_names)}),
            ),
            tags=[InputTag(MLFLOW_DATASET_CONTEXT, split)],
        )
        for split, num_samples in sizes.items()
    ]


def sizes_of(run: Run) -> tuple[dict[str, int], int | None]:
    """Return the images of each split, and the number of classes, as far as a run was told of them."""
    num_images: dict[str, int] = {}
    num_classes: int | None = None
    for each in run.inputs.dataset_inputs if run.inputs else ():
        split = next((tag.value for tag in each.tags if tag.key == MLFLOW_DATASET_CONTEXT), None)
        if split is not None and each.dataset.profile:
            profile = json.loads(each.dataset.profile)
            num_images[split], num_classes = profile["num_samples"], profile["num_classes"]
    return num_images, num_classes
