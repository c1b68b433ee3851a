"""What a process does in which trainings are timed: one rank of one group of workers."""

from __future__ import annotations

import logging
import resource
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from threading import BrokenBarrierError
from typing import Any, NamedTuple

import psutil
import torch
import torch.distributed as dist

from orchestrator.data import Cache, DataDir, Dataset, load_dataset
from orchestrator.errors import CellError, UserError, first_line
from orchestrator.experiment import AugmentSpec, Cell, Resources
from orchestrator.machine import free_memory_bytes
from orchestrator.plugins import Carried
from orchestrator.shown_warnings import warnings_shown_by
from orchestrator.side_process import live_with_parent
from orchestrator.storage import Storage
from orchestrator.train.feed import Feed, make_feed
from orchestrator.train.gpu_share import claim_share, gpu_of
from orchestrator.train.largest_batch import is_out_of_memory, largest_batch
from orchestrator.train.starting_weights import weights_file
from orchestrator.train.timed import Timing, time_training
from orchestrator.waiting import counting, hush

# What times a training waits no longer for the other slots to have come as far.
LATE_S = 120.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """Where trainings are timed.

    Attributes:
        resources: Of each of them.
        slots: How many groups of workers train the same at a time: they share the machine, as those of a sweep do.
        on_gpu: Whether each worker has a GPU; else they are on the CPU, whatever `resources` say.
        data_dir: Where the data sets lie.
        cache: Of decoded images.
        storage: Where checkpoints would go; one of each training is written beside it, and removed.
        plugins: Code of the user's own.
    """

    resources: Resources
    slots: int
    on_gpu: bool
    data_dir: DataDir
    cache: Cache
    storage: Storage
    plugins: Carried


class Said(NamedTuple):
    """What a process tells: of which training what, and more of it."""

    training: str
    what: str  # begun, measured, refused, lacks memory, tries, fits, too large, warns, failed
    about: Any = None


def serve(
    place: Place,
    slot: int,
    rank: int,
    jobs: dict[str, tuple[dict[str, Any], dict[str, Any]]],
    folder: Path,
    connection: Connection,
    searches: bool,
    barrier: Barrier,
) -> None:
    """Time the trainings on one rank of one slot: what a process of the group does."""
    live_with_parent()
    name = ""
    with warnings_shown_by(lambda text: connection.send(Said("", "warns", text))):
        if rank or slot:
            hush()
        try:
            worker = _Worker(place, slot, rank, folder, barrier)
            for name, (cell, augments) in jobs.items():
                connection.send(Said(name, "begun"))
                timing = Timing(
                    Cell.model_validate(cell),
                    {augment_id: AugmentSpec.model_validate(each) for augment_id, each in augments.items()},
                )
                try:
                    told = worker.searched(name, timing, connection) if searches else worker.timed(name, timing)
                except (CellError, UserError) as error:
                    told = Said(name, "refused", error.in_one_line)
                connection.send(told)
            worker.leave()
        except Exception as error:
            lacks = is_out_of_memory(error)
            logger.debug("it could not be timed", exc_info=error)
            text = f"{type(error).__name__}: {first_line(error, at_most=200)}"
            with suppress(OSError):
                connection.send(Said(name, "lacks memory" if lacks else "failed", text))


class _Worker:
    """One rank: what it has from one training to the next."""

    def __init__(self, place: Place, slot: int, rank: int, folder: Path, barrier: Barrier) -> None:
        self._place, self._folder, self._barrier = place, folder / f"slot-{slot}", barrier
        resources = place.resources
        torch.set_num_threads(max(1, int(resources.cpus_per_worker)))
        place.plugins.use()
        number = slot * resources.workers + rank
        if place.on_gpu:
            self._device = torch.device("cuda", gpu_of(number, resources.gpus_per_worker))
            torch.cuda.set_device(self._device)
            claim_share(self._device, resources.gpu_share)
        else:
            self._device = torch.device("cpu")
            _limit_memory(free_memory_bytes() // (place.slots * resources.workers))
        if resources.workers > 1:
            dist.init_process_group(
                "cpu:gloo,cuda:nccl" if place.on_gpu else "gloo",
                init_method=f"file://{folder}/meeting-{slot}",
                rank=rank,
                world_size=resources.workers,
            )
        self._data: tuple[tuple[object, ...], Dataset] | None = None

    def timed(self, name: str, timing: Timing) -> Said:
        dataset, resources = self._dataset(timing.cell), self._place.resources
        found = time_training(
            timing,
            dataset,
            feed=self._feed(dataset),
            backend=resources.backend,
            cuda_graphs=resources.cuda_graphs and self._place.on_gpu,
            folder=self._folder / name,
            weights=weights_file(timing.cell.model, self._place.storage),
            together=self._together,
        )
        return Said(name, "measured", found)

    def searched(self, name: str, timing: Timing, connection: Connection) -> Said:
        dataset, resources = self._dataset(timing.cell), self._place.resources

        def tell(batch: int, fits: bool | None) -> None:
            connection.send(Said(name, {None: "tries", True: "fits", False: "too large"}[fits], batch))

        largest_batch(
            timing,
            dataset,
            feed=self._feed(dataset),
            backend=resources.backend,
            weights=weights_file(timing.cell.model, self._place.storage),
            on_try=tell,
        )
        return Said(name, "searched")

    def _feed(self, dataset: Dataset) -> Feed:
        resources = self._place.resources
        return make_feed(
            dataset.images,
            self._device,
            mode=resources.feed,
            resident_share=resources.resident_share,
            gpu_share=resources.gpu_share if self._place.on_gpu else 1.0,
        )

    def _together(self) -> None:
        """Wait for the other slots: in a sweep all of them are at work while one takes its steps."""
        with suppress(BrokenBarrierError):  # one is late, or has refused it
            self._barrier.wait(LATE_S)

    def leave(self) -> None:
        if dist.is_initialized():
            dist.barrier()
            dist.destroy_process_group()

    def _dataset(self, cell: Cell) -> Dataset:
        options = {**cell.dataset.decode_options(), **cell.dataset.split_options()}
        key = (cell.dataset.name, *options.values())
        if self._data is None or self._data[0] != key:
            self._data = None
            with counting(f"decoding {cell.dataset.name}") as show:
                dataset = load_dataset(
                    cell.dataset.name, self._place.data_dir, **options, cache=self._place.cache, on_progress=show
                )
            self._data = key, dataset
        return self._data[1]


def _limit_memory(num_bytes: int) -> None:
    """Have this process be refused what the machine does not have, rather than ended: Linux gives memory on credit."""
    if not hasattr(resource, "RLIMIT_DATA"):
        return
    held = psutil.Process().memory_info()
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = int(getattr(held, "data", held.vms)) + num_bytes
    with suppress(ValueError, OSError):  # one that is lower already
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
