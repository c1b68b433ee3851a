"""Whether the data sets and models of an experiment are there and fit together, before anything is started."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

import torch

from orchestrator.amounts import counted
from orchestrator.data import Shape, hash_of_parts, open_dataset, shape_of, split_samples
from orchestrator.errors import CellError, UserError
from orchestrator.experiment import VAL_FRACTION, Cell, DatasetSpec, Experiment
from orchestrator.models import build_model
from orchestrator.plan.images import check_cache
from orchestrator.records import CellRun
from orchestrator.train import check_global_batch


def check_inputs(experiment: Experiment) -> dict[DatasetSpec, str]:
    """Check that every data set is there, fills a global batch and has room in the cache, and that every model takes
    its images. No image is decoded.

    Returns:
        The hash of each data set's splits, as they are now.

    Raises:
        UserError: All that is wrong.
    """
    problems: list[str] = []
    shapes: dict[DatasetSpec, Shape] = {}
    split_hashes: dict[DatasetSpec, str] = {}
    for spec in experiment.dataset:
        try:
            split_hashes[spec], shapes[spec] = _checked(spec, experiment)
        except (CellError, ValueError) as error:
            problems.append(f"{experiment.file}: dataset = {spec.label}: {error}")
        except UserError as error:
            problems.append(str(error))
    for (spec, (channels, _, side)), model in product(shapes.items(), experiment.model):
        try:
            build_model(model, num_classes=2, num_channels=channels, image_size=spec.image_size or side)
        except ValueError as error:
            problems.append(f"{experiment.file}: model = {model} with dataset = {spec.label}: {error}")
    try:
        check_cache(experiment.dataset, experiment)
    except UserError as error:
        problems.append(str(error))
    if problems:
        raise UserError("\n".join(dict.fromkeys(problems)))
    return split_hashes


def _checked(spec: DatasetSpec, experiment: Experiment) -> tuple[str, Shape]:
    """Return the hash of a data set's splits, and the shape of its stored images.

    Raises:
        UserError: It is not there, or cannot be split as asked for.
        CellError: It does not fill a global batch.
        ValueError: Its images cannot be cropped as asked for, or an option has no effect on it.
    """
    source = open_dataset(spec.name, experiment.data_dir, path=spec.path)
    if source.val is not None and spec.val_fraction != VAL_FRACTION:
        raise ValueError(
            f"val_fraction={spec.val_fraction} has no effect: the set has validation images of its own. Remove it."
        )
    parts = split_samples(source, **spec.split_options())
    _, chosen = parts["train"]
    check_global_batch(
        len(chosen),
        batch_size_per_worker=experiment.train.batch_size_per_worker,
        world_size=experiment.resources.workers,
    )
    _, shape = shape_of(source, spec.stored_size)
    spec.transform().draw((2, *shape), generator=torch.Generator())
    return hash_of_parts(spec.name, parts), shape


def other_data(
    cells: Sequence[Cell], runs: Mapping[str, CellRun], split_hashes: Mapping[DatasetSpec, str]
) -> Iterator[str]:
    """Yield a warning for each data set that finished cells saw with other images or labels than it has now.

    Args:
        cells: All cells of the experiment.
        runs: Their tracked runs.
        split_hashes: What `check_inputs` returned.
    """
    for spec, split_hash in split_hashes.items():
        done = [runs[cell.key] for cell in cells if cell.dataset == spec and cell.key in runs]
        seen = [run.split_hash for run in done if run.status == "done" and run.split_hash is not None]
        if differing := sum(found != split_hash for found in seen):
            yield (
                f"{counted(differing, 'finished cell')} of {spec.label} saw other images or labels than are there now: "
                "restore them, or train anew with another storage and tracking.experiment"
            )
