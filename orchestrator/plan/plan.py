"""What a sweep would do: its cells, which of them are done, how it is placed and how much disk it takes at most."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import torch
from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.amounts import bytes_text, counted
from orchestrator.data import hash_of_parts, num_classes_of, open_dataset, shape_of, split_samples
from orchestrator.data.dataset import Shape
from orchestrator.errors import CellError, UserError
from orchestrator.experiment.cells import Cell
from orchestrator.experiment.dataset_spec import VAL_FRACTION, DatasetSpec
from orchestrator.experiment.settings import Experiment, TrainSettings
from orchestrator.models.registry import build_model
from orchestrator.plan.images import cache_bytes, check_cache
from orchestrator.plan.placement import Layout
from orchestrator.records import CellRun
from orchestrator.storage import checkpoints as checkpoint
from orchestrator.train.batches import check_global_batch

# Weights are counted per copy: a resumable checkpoint has them once and the optimizer's state; the best weights and
# MLflow's model have them once each.
OPTIMIZER_COPIES = {"sgd": 1, "adamw": 2}
# Only the channels of the first layer depend on the real image, hardly a byte of the whole.
NOMINAL_CHANNELS, NOMINAL_SIZE = 3, 224


@dataclass(frozen=True)
class Plan:
    """What `run` would do.

    Attributes:
        cells: All cells of the experiment.
        pending: Those that are not done.
        layout: Where they would be placed.
        disk_peak_bytes: What checkpoints and models take at most, while the last cells run.
        cache_bytes: What decoded images take, on each machine, beside those that are there.
    """

    cells: tuple[Cell, ...]
    pending: tuple[Cell, ...]
    layout: Layout
    disk_peak_bytes: int
    cache_bytes: int


def pending_cells(cells: Sequence[Cell], runs: Mapping[str, CellRun]) -> list[Cell]:
    """Return the cells that have no finished run."""
    return [cell for cell in cells if cell.key not in runs or runs[cell.key].status != "done"]


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


def make_plan(experiment: Experiment, cells: Sequence[Cell], runs: Mapping[str, CellRun], layout: Layout) -> Plan:
    """Put the plan together; the data sets must be there, since a model's size depends on the number of classes."""
    pending = pending_cells(cells, runs)
    layout = replace(layout, slots=max(1, min(layout.slots, len(pending))))
    weights = {(cell.dataset, cell.model): 0 for cell in pending}
    for spec, model in weights:
        num_classes = num_classes_of(spec.name, experiment.data_dir, path=spec.path)
        weights[spec, model] = _weight_bytes(model, num_classes)
    sizes = [weights[cell.dataset, cell.model] for cell in pending]
    kept = 2 * sum(sizes)
    # The newest ones, that of the best epoch, and the one that is being written.
    resumable = (
        (checkpoint.KEPT + 2)
        * (1 + OPTIMIZER_COPIES[experiment.train.optimizer])
        * max(sizes, default=0)
        * layout.slots
    )
    return Plan(
        cells=tuple(cells),
        pending=tuple(pending),
        layout=layout,
        disk_peak_bytes=kept + resumable,
        cache_bytes=cache_bytes([cell.dataset for cell in pending], experiment),
    )


def render_plan(plan: Plan, experiment: Experiment) -> RenderableType:
    """Return the plan's summary for the terminal."""
    resources, layout = experiment.resources, plan.layout
    used = f"{counted(resources.workers, 'worker')} x {counted(resources.cpus_per_worker, 'CPU')}"
    if resources.gpus_per_worker:
        used += f" and {counted(resources.gpus_per_worker, 'GPU')}"
    offered = ", ".join(f"{counted(node.cpus, 'CPU')} / {counted(node.gpus, 'GPU')}" for node in layout.nodes)
    train = experiment.train
    lines = [
        f"cells:     {len(plan.cells)}: {len(plan.cells) - len(plan.pending)} done, {len(plan.pending)} to run, "
        f"{counted(experiment.train.epochs, 'epoch')} each",
        f"slots:     {layout.slots} at a time, {used} each, on {offered}",
        f"disk:      at most {bytes_text(plan.disk_peak_bytes)} more in {experiment.storage}",
    ]
    if plan.cache_bytes:
        lines.append(f"cache:     {bytes_text(plan.cache_bytes)} of decoded images more in {experiment.cache.dir}")
    if train.class_weights and train.sampling:
        lines.append(
            "warning:   train.class_weights and train.sampling correct the same imbalance twice: drop one of them"
        )
    if ignored := _without_effect(train):
        lines.append(f"warning:   {ignored}")
    if layout.warning:
        lines.append(f"warning:   {layout.warning}")
    return Group(*(Text(line, overflow="fold") for line in lines))


def _without_effect(train: TrainSettings) -> str:
    """Say which settings were written although nothing reads them; empty if none were."""
    idle = [("momentum", "optimizer=adamw")] if train.optimizer == "adamw" else []
    if train.schedule == "cosine":
        idle += [("milestones", "schedule=cosine"), ("lr_decay", "schedule=cosine")]
    usual = type(train)()
    found = [
        f"train.{name} has no effect with train.{owner}"
        for name, owner in idle
        if getattr(train, name) not in (None, getattr(usual, name))
    ]
    return "; ".join(found)


def _weight_bytes(model: str, num_classes: int) -> int:
    network = build_model(model, num_classes=num_classes, num_channels=NOMINAL_CHANNELS, image_size=NOMINAL_SIZE)
    return sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
