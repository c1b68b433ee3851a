"""Whether the data sets and models of an experiment are there and fit together, before anything is started."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import torch

from orchestrator.amounts import counted
from orchestrator.data import (
    DATASETS,
    Shape,
    check_memory,
    describe_groups,
    describe_splits,
    hash_of_parts,
    shape_of,
    split_samples,
    torn_groups,
    unmeasured,
)
from orchestrator.environment import ray_address
from orchestrator.errors import CellError, UserError
from orchestrator.experiment import VAL_FRACTION, Cell, DatasetSpec, Experiment
from orchestrator.models import build_model
from orchestrator.plan.images import check_cache, readable_source
from orchestrator.records import CellRun
from orchestrator.train import check_global_batch
from orchestrator.waiting import waiting_for


@dataclass(frozen=True)
class DataFound:
    """A data set as it is now.

    Attributes:
        split_hash: Over which images, with which labels, are in which split; None as long as nobody knows which images
            cannot be read and are left out.
        groups: In a line, which images are known to belong together.
        splits: In a line, how large the splits are, and which the set does not ship.
        torn: The groups that stand in two splits or more.
        unmeasured: Which metrics do not exist with these images, and why; a line each.
    """

    split_hash: str | None
    groups: str
    splits: str = ""
    torn: tuple[str, ...] = ()
    unmeasured: tuple[str, ...] = ()


@waiting_for("the files of the data sets to be looked at")
def check_inputs(experiment: Experiment) -> dict[DatasetSpec, DataFound]:
    """Check that every data set is there, fills a global batch and has room in the cache, and that every model takes
    its images. No image is decoded.

    Returns:
        Each data set, as it is now.

    Raises:
        UserError: All that is wrong.
    """
    problems: list[str] = []
    shapes: dict[DatasetSpec, Shape] = {}
    found: dict[DatasetSpec, DataFound] = {}
    for spec in experiment.dataset:
        try:
            found[spec], shapes[spec] = _checked(spec, experiment)
        except (CellError, UserError, ValueError) as error:
            problems.append(f"{experiment.place_of(spec)}: {error}")
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
    return found


def _checked(spec: DatasetSpec, experiment: Experiment) -> tuple[DataFound, Shape]:
    """Return a data set as it is now, and the shape of its stored images.

    Raises:
        UserError: It is not there, cannot be split as asked for, or does not fit into the memory that it is kept in.
        CellError: It does not fill a global batch.
        ValueError: Its images cannot be cropped as asked for, or an option has no effect on it.
    """
    source, left_out = readable_source(spec, experiment)
    unreadable = None if left_out is None else tuple(left_out)
    if source.val is not None and spec.folds is None and spec.val_fraction != VAL_FRACTION:
        raise ValueError(
            f"val_fraction={spec.val_fraction} has no effect: the set has validation images of its own. Remove it."
        )
    if DATASETS[spec.name].embedded and ray_address() is None:
        # The workers of a cluster that is joined have another memory than this machine.
        check_memory(source, spec.stored_size)
    parts = split_samples(source, **spec.split_options())
    _, chosen = parts["train"]
    check_global_batch(
        len(chosen),
        batch_size_per_worker=experiment.train.batch_size_per_worker,
        world_size=experiment.resources.workers,
    )
    _, shape = shape_of(source, spec.stored_size)
    spec.transform().draw((2, *shape), generator=torch.Generator())
    found = DataFound(
        None if unreadable is None else hash_of_parts(spec.name, parts, unreadable=unreadable),
        groups=describe_groups(source),
        splits=describe_splits(source, parts, folds=spec.folds, fold=spec.fold or 0, unreadable=unreadable),
        torn=tuple(torn_groups(parts)),
        unmeasured=unmeasured(parts, source.class_names),
    )
    return found, shape


def other_data(
    cells: Sequence[Cell], runs: Mapping[str, CellRun], data: Mapping[DatasetSpec, DataFound]
) -> Iterator[str]:
    """Yield a warning for each data set that finished cells saw with other images or labels than it has now.

    Args:
        cells: All cells of the experiment.
        runs: Their tracked runs.
        data: What `check_inputs` returned.
    """
    for spec, now in data.items():
        done = [runs[cell.key] for cell in cells if cell.dataset == spec and cell.key in runs]
        seen = [run.split_hash for run in done if run.has_result and run.split_hash is not None]
        if now.split_hash is None:
            continue
        if differing := sum(found != now.split_hash for found in seen):
            yield (
                f"{counted(differing, 'finished cell')} of {spec.label} saw other images or labels than are there now: "
                "restore them, or train anew with another storage and tracking.experiment"
            )
