"""Whether the data sets and models of an experiment are there and fit together, before anything is started."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import torch

from orchestrator.data import (
    DATASETS,
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
from orchestrator.experiment import VAL_FRACTION, DatasetSpec, Experiment, ModelSpec
from orchestrator.models import Images, head_of
from orchestrator.plan.images import check_cache, pixel_hash_of, readable_source
from orchestrator.plan.own_code import try_augmentation, try_network
from orchestrator.train import (
    check_global_batch,
    check_optimizer,
    doubt_of_average,
    in_words,
    loaded_network,
    network_of,
    scale_of,
    weights_file,
)
from orchestrator.waiting import waiting_for


@dataclass(frozen=True)
class DataFound:
    """A data set as it is now.

    Attributes:
        split_hash: Over which images, with which labels, are in which split; None as long as nobody knows which images
            cannot be read and are left out.
        pixel_hash: Over their pixels; None as long as they are not decoded here as they are now.
        groups: In a line, which images are known to belong together.
        splits: In a line, how large the splits are, and which the set does not ship.
        torn: The groups that stand in two splits or more.
        unmeasured: Which metrics do not exist with these images, and why; a line each.
        weights: What the networks that do not begin from scratch take of their weights for it; a line each.
        doubts: What may be a mistake with these images and weights, or the steps that they make; a line each.
        num_images: Of all splits together.
    """

    split_hash: str | None
    groups: str
    splits: str = ""
    torn: tuple[str, ...] = ()
    unmeasured: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    num_images: int = 0
    pixel_hash: str | None = None


@waiting_for("the files of the data sets to be looked at")
def check_inputs(experiment: Experiment) -> dict[DatasetSpec, DataFound]:
    """Check that every data set is there, fills a global batch and has room in the cache, that every model takes its
    images, and that the optimizer is installed. Networks and augmentations of plug-ins are called once. No image is
    decoded, but those of embedded sets.

    Returns:
        Each data set, as it is now.

    Raises:
        UserError: All that is wrong.
    """
    problems: list[str] = []
    images: dict[DatasetSpec, Images] = {}
    found: dict[DatasetSpec, DataFound] = {}
    for spec in experiment.dataset:
        try:
            found[spec], images[spec] = _checked(spec, experiment)
        except (CellError, UserError, ValueError) as error:
            problems.append(f"{experiment.place_of(spec)}: {error}")
    for (spec, given), model in product(images.items(), experiment.model):
        try:
            found[spec] = _with_model(found[spec], model, given, experiment)
        except (UserError, ValueError) as error:
            problems.append(f"{experiment.file}: model = {model.label} with dataset = {spec.label}: {error}")
    for augment, (spec, given) in product(experiment.augment, images.items()):
        try:
            try_augmentation(augment, given)
        except ValueError as error:
            problems.append(f"{experiment.file}: augment = {augment.label} with dataset = {spec.label}: {error}")
    for optimizer in dict.fromkeys(train.optimizer for train in experiment.train):
        try:
            check_optimizer(optimizer)
        except CellError as error:
            problems.append(f"{experiment.file}: {error}")
    try:
        check_cache(experiment.dataset, experiment)
    except UserError as error:
        problems.append(str(error))
    if problems:
        raise UserError("\n".join(dict.fromkeys(problems)))
    return found


def _with_model(data: DataFound, model: ModelSpec, images: Images, experiment: Experiment) -> DataFound:
    """Return `data` with what a network takes for it of the weights that it begins with, if it does.

    Raises:
        UserError: They are not there, cannot be read, or are those of another network.
        ValueError: The network does not take such images, or is of a plug-in and gives no logits of them.
    """
    if model.weights is None:
        network = network_of(model, images, weights=None)
        try_network(model, network, images)
        if model.head_lr:
            head_of(network)
        return data
    network, fit = loaded_network(model, images, weights_file(model, experiment.kept_in))
    try_network(model, network, images)
    grey = images.num_channels == 1
    scale = scale_of(model, (0.0,) if grey else (0.0,) * 3, (1.0,) if grey else (1.0,) * 3)
    doubts = (f"{model.label}: {fit.warning}",) if fit.warning else ()
    line = f"{model.label}: {in_words(model, fit, scale)}"
    return replace(data, weights=(*data.weights, line), doubts=data.doubts + doubts)


def _checked(spec: DatasetSpec, experiment: Experiment) -> tuple[DataFound, Images]:
    """Return a data set as it is now, and what a network for it is given.

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
    trainings = list(dict.fromkeys(each.train for each in experiment.grid if each.dataset == spec))
    steps = {(train.batch_size_per_worker, train.accumulate) for train in trainings}
    for batch_size, accumulate in sorted(steps, key=lambda step: (step[0], step[1] or 1), reverse=True):
        check_global_batch(
            len(chosen),
            batch_size_per_worker=batch_size,
            world_size=experiment.resources.workers,
            accumulate=accumulate,
        )
    workers = experiment.resources.workers
    doubts = (doubt_of_average(train, num_images=len(chosen), world_size=workers) for train in trainings)
    _, shape = shape_of(source, spec.stored_size)
    spec.transform().draw((2, *shape), generator=torch.Generator())
    for combine in dict.fromkeys(augment.combine for augment in experiment.augment):
        if combine is not None:
            combine.build().draw((2, *shape), generator=torch.Generator())
    found = DataFound(
        None if unreadable is None else hash_of_parts(spec.name, parts, unreadable=unreadable),
        groups=describe_groups(source),
        splits=describe_splits(source, parts, folds=spec.folds, fold=spec.fold or 0, unreadable=unreadable),
        torn=tuple(torn_groups(parts)),
        unmeasured=unmeasured(parts, source.class_names),
        doubts=tuple(dict.fromkeys(filter(None, doubts))),
        num_images=sum(len(chosen) for _, chosen in parts.values()),
        pixel_hash=pixel_hash_of(spec, experiment),
    )
    channels, _, side = shape
    return found, Images(len(source.class_names), channels, spec.image_size or side)
