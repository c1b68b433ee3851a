"""Train one cell: a plain function that knows neither Ray nor MLflow.

It runs in whatever process group it finds (a Ray worker's, torchrun's, a test's) or in none. From a shell::

    torchrun --nproc-per-node 2 -m orchestrator.train experiments/quickstart.yaml --cell KEY

With the same cell and number of ranks on the same machine the numbers are the same, interrupted or not. One thing must
not differ for that: the number of threads per rank, since it decides in which order a CPU sums.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from augment import Backend
from orchestrator.data import Dataset
from orchestrator.errors import CellError
from orchestrator.experiment import Cell
from orchestrator.records import CellResult, Paused
from orchestrator.storage import CellFolder
from orchestrator.storage.checkpoints import Checkpoints
from orchestrator.train.feed import Feed, make_feed
from orchestrator.train.ranks import Ranks
from orchestrator.train.requests import Poll, Request, Requests
from orchestrator.train.trainer import BestLostError, Report, Trainer

CHECKPOINT_EVERY_S = 600.0

logger = logging.getLogger(__name__)


def train_cell(
    cell: Cell,
    dataset: Dataset,
    *,
    checkpoint_dir: Path,
    address: str = "",
    device: torch.device,
    report: Report,
    feed: Feed | None = None,
    backend: Backend = "auto",
    poll: Poll = lambda: Request.GO_ON,
    on_full_disk: Callable[[str], None] = logger.error,
    checkpoint_every_s: float = CHECKPOINT_EVERY_S,
    weights: Path | None = None,
    until_epoch: int | None = None,
    cuda_graphs: bool = False,
) -> CellResult | Paused:
    """Train, validate after every epoch and test once, from the weights that are best on validation by
    ``train.best_by``: of equal ones those of the lowest loss.

    Every rank of the process group calls it with the same cell and gets the same results. Rank 0 writes an audit of the
    first batch (`orchestrator.train.audit`), and at the end of each epoch a checkpoint, before it reports the epoch. A
    training that finds a checkpoint of its own reports the epochs in it again, unchanged, and goes on where it was
    made, also in the middle of an epoch. While the disk is full it waits.

    Args:
        cell: The training; its augmentation mixes inside each rank's batch.
        dataset: Its data, the same on every rank.
        checkpoint_dir: The cell's own folder; only rank 0 touches it.
        address: Of what it is a copy, for messages; empty if it is none.
        device: Where to train; the process group must be able to reduce tensors there.
        report: Called on every rank with each finished epoch; on rank 0 after its checkpoint is on disk.
        feed: Of the images of `dataset`, on `device`; None makes one.
        backend: What is to mix the batches.
        poll: Called on every rank about once a second; says what is requested of the training
            (`orchestrator.train.requests`).
        on_full_disk: Called on rank 0 with what is wrong, every few seconds while the training waits for space.
        checkpoint_every_s: An epoch that takes longer is saved so often.
        weights: The file of those that the model begins with (`orchestrator.train.weights_file`); None from scratch.
        until_epoch: Ends the training after this epoch, or where it is if it is further; None trains to the end. What
            goes on later is as if nothing had been between: each epoch has the same numbers.
        cuda_graphs: Whether a step that the cell says is compiled is launched as a CUDA graph.

    Returns:
        The result; of a training that ends before its last epoch how far it is, and nothing is tested.

    Raises:
        CellError: The loss is not finite, the model or the batch does not suit the data, the ranks have different data,
            or the checkpoint was made from other data; raised on every rank at once.
        StoppedError: `poll` requested it; raised on every rank at once, after a checkpoint.
    """
    feed = feed or make_feed(dataset.images, device)
    ranks = Ranks(feed.device)
    _require_same_data(dataset, ranks)
    while True:
        trainer = Trainer(
            cell,
            dataset,
            checkpoints=Checkpoints(CellFolder(checkpoint_dir, address=address)),
            feed=feed,
            backend=backend,
            ranks=ranks,
            requests=Requests(ranks, poll=poll, checkpoint_every_s=checkpoint_every_s),
            on_full_disk=on_full_disk,
            weights=weights,
            cuda_graphs=cuda_graphs,
        )
        try:
            return trainer.run(report, until_epoch=until_epoch)
        except BestLostError as error:
            logger.warning("%s: the cell is trained from the start", error)
            # Its model would stay on the GPU beside the next one's.
            del trainer


def _require_same_data(dataset: Dataset, ranks: Ranks) -> None:
    """Raise CellError on all ranks if one of them has other data: nodes may have copies of their own.

    Other pixels of the same files, as another version of a decoder makes them, are no reason to stop, and are said.
    """
    found = ranks.of_all((dataset.split_hash, dataset.pixel_hash, socket.gethostname()))
    splits = _hosts_by((split_hash, host) for split_hash, _, host in found)
    if len(splits) > 1:
        raise CellError(
            f"{dataset.name} does not consist of the same files and labels everywhere (hash of the splits: machines):\n"
            + "\n".join(f"  {split_hash[:16]}: {hosts}" for split_hash, hosts in splits.items()),
            remedy="copy the whole data set anew to where it is wrong, or share one data_dir",
        )
    pixels = _hosts_by((pixel_hash, host) for _, pixel_hash, host in found if pixel_hash is not None)
    if len(pixels) > 1 and ranks.rank == 0:
        copies = "; ".join(f"{pixel_hash}: {hosts}" for pixel_hash, hosts in pixels.items())
        logger.warning(
            "the images of %s do not have the same pixels everywhere (hash of them: machines): %s; copy the data set "
            "anew to where it is wrong, or install the same version of Pillow",
            dataset.name,
            copies,
        )


def _hosts_by(found: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the machines that have each hash, as a text."""
    hosts: dict[str, set[str]] = {}
    for each, host in found:
        hosts.setdefault(each, set()).add(host)
    return {each: ", ".join(sorted(names)) for each, names in hosts.items()}
