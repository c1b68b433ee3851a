"""From the words of a command line to a cell that is ready to be trained on this rank."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from orchestrator.amounts import counted
from orchestrator.data import Dataset, load_dataset
from orchestrator.errors import UserError
from orchestrator.experiment import Cell, Experiment, Resources, expand, known_from_start, load_experiment
from orchestrator.plugins import use_plugins, use_plugins_of_variable
from orchestrator.storage import CellFolder, Storage
from orchestrator.train.feed import Feed, make_feed
from orchestrator.train.gpu_share import claim_share
from orchestrator.train.ranks import Ranks
from orchestrator.train.starting_weights import weights_file
from orchestrator.waiting import counting


@dataclass(frozen=True)
class Choice:
    """The cell that a command line names.

    Attributes:
        experiment: A YAML file.
        overrides: ``KEY=VALUE`` for keys of the file.
        cell: How the cell's key begins; None if the experiment has one cell.
        checkpoint_dir: Where the cell's folder lies or is made; None for the experiment's storage.
        plugins: Code of the user's own, see `orchestrator.plugins.use_plugins`; None for those of
            ``ZETASWEEP_PLUGINS``.
    """

    experiment: Path
    overrides: Sequence[str]
    cell: str | None
    checkpoint_dir: Path | None
    plugins: Sequence[str] | None = ()


@dataclass(frozen=True)
class Prepared:
    """What a training needs.

    Attributes:
        cell: What to train.
        dataset: Its data.
        feed: Of the images of `dataset`, on this rank's device.
        folder: Of the cell.
        resources: Of the experiment.
        weights: The file of those that the model begins with; None from scratch.
    """

    cell: Cell
    dataset: Dataset
    feed: Feed
    folder: CellFolder
    resources: Resources
    weights: Path | None = None


def prepare(choice: Choice, ranks: Ranks) -> Prepared:
    """Read the experiment, find the cell, and load its data.

    Raises:
        UserError: A plug-in, the experiment, the choice of the cell, the number of processes or the data is wrong.
        CellError: The images do not fit where they are to be kept.
    """
    if choice.plugins is None:
        use_plugins_of_variable()
    else:
        use_plugins(choice.plugins)
    experiment = load_experiment(choice.experiment, choice.overrides)
    cell = _chosen(expand(experiment, known_from_start(experiment)), choice.cell)
    _check_world_size(cell, choice, ranks.world_size)
    weights = weights_file(cell.model, experiment.kept_in)
    device = _device(experiment)
    # As many as in a sweep: the number of threads decides in which order a CPU sums.
    torch.set_num_threads(max(1, int(experiment.resources.cpus_per_worker)))
    spec = cell.dataset
    wanted = {**spec.decode_options(), **spec.split_options()}
    with counting(f"decoding {spec.name}") as show:
        dataset = load_dataset(spec.name, experiment.data_in, **wanted, cache=experiment.cache.open(), on_progress=show)
    resources = experiment.resources
    claim_share(device, resources.gpu_share)
    feed = make_feed(
        dataset.images,
        device,
        mode=resources.feed,
        resident_share=resources.resident_share,
        gpu_share=resources.gpu_share,
    )
    folder = _folder(cell, experiment, choice.checkpoint_dir, ranks)
    return Prepared(cell, dataset, feed, folder, resources, weights)


def _chosen(cells: Sequence[Cell], key: str | None) -> Cell:
    """Return the only cell whose key begins with `key`.

    Raises:
        UserError: There is none, or more than one; lists them.
    """
    found = [cell for cell in cells if cell.key.startswith(key or "")]
    if len(found) == 1:
        return found[0]
    problem = "more than one cell: name one with --cell KEY" if key is None else f"--cell {key}: "
    if key is not None:
        problem += "the keys of more than one cell begin like this" if found else "no cell has such a key"
    listed = "\n".join(f"  {cell.key}  {cell.label}" for cell in found or cells)
    raise UserError(f"{problem}\n{listed}")


def _check_world_size(cell: Cell, choice: Choice, started: int) -> None:
    if started == cell.workers:
        return
    command = ["torchrun", "--nproc-per-node", str(cell.workers), "-m", "orchestrator.train", str(choice.experiment)]
    command += [word for override in choice.overrides for word in ("-o", override)]
    command += [word for plugin in choice.plugins or () for word in ("--plugin", plugin)]
    command += ["--checkpoint-dir", str(choice.checkpoint_dir)] if choice.checkpoint_dir else []
    raise UserError(
        f"cell {cell.key} has {counted(cell.workers, 'worker')}, but the number of processes started is {started}: it "
        "changes the result and belongs to the cell",
        remedy=f"{shlex.join([*command, '--cell', cell.key])}\n"
        f"or -o resources.workers={started}, which makes it another cell with another key",
    )


def _device(experiment: Experiment) -> torch.device:
    """Return where a sweep would train, but the CPU where there is no GPU at all.

    Raises:
        UserError: There are fewer GPUs than processes here.
    """
    if not experiment.resources.gpus_per_worker or not torch.cuda.is_available():
        return torch.device("cpu")
    index = int(os.environ.get("LOCAL_RANK", "0"))
    if index >= torch.cuda.device_count():
        raise UserError(
            f"this machine has {torch.cuda.device_count()} GPUs and more processes were started on it",
            remedy="start one for each GPU, on more machines; or -o resources.gpus_per_worker=0 for the CPU",
        )
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


def _folder(cell: Cell, experiment: Experiment, checkpoint_dir: Path | None, ranks: Ranks) -> CellFolder:
    if checkpoint_dir:
        storage = Storage(checkpoint_dir.absolute(), named="--checkpoint-dir")
        folder = CellFolder(storage.root / cell.key)
    else:
        storage = experiment.kept_in
        folder = storage.cell(cell.key)
    if storage.is_copied:
        raise UserError(
            f"storage = {storage.shown()}: a training from a shell writes to a folder",
            remedy="name one with --checkpoint-dir; zetasweep run trains there",
        )
    if ranks.rank != 0:
        return folder
    storage.prepare()
    if not checkpoint_dir and storage.is_locked():
        raise UserError(
            f"storage = {storage.root}: a sweep is at work there and may train this cell, too",
            remedy="wait for it, or name another folder with --checkpoint-dir",
        )
    if folder.is_delivered:
        raise UserError(
            f"cell {cell.key} is finished: {folder.path} keeps its best weights, and MLflow has its result",
            remedy="zetasweep compare shows it; to train it once more, name another folder with --checkpoint-dir",
        )
    return folder
