"""Times the trainings of an experiment of which no measurement is kept, on this machine."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from orchestrator.amounts import bytes_text, counted
from orchestrator.costs import KeptMeasurements, Measured, kind_of, labels_of, layout_id
from orchestrator.errors import UserError
from orchestrator.experiment import AugmentSpec, Cell, DatasetSpec, Resources
from orchestrator.machine import num_cores
from orchestrator.opened.experiment import Opened
from orchestrator.plan import local_layout, local_node
from orchestrator.plugins import carried
from orchestrator.sweep.decode import decode_images
from orchestrator.terminal import new_console
from orchestrator.train import NotMeasured, Place, Timing, measure, search_batches
from orchestrator.waiting import counting

# Of the cores: what is measured beside more than that is said to be.
BUSY = 0.5
# Of a GPU's memory: what the driver and this process have of it is less.
BUSY_GPU = 0.1

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Here:
    """What trainings are timed on.

    Attributes:
        device: ``cpu``, or the name of the GPU.
        slots: How many trainings at a time, as many as a sweep would have here.
        on_gpu: Whether each worker has a GPU.
    """

    device: str
    slots: int
    on_gpu: bool

    def layout(self, resources: Resources) -> str:
        """Return what measurements on it are kept by."""
        return layout_id(resources, device=self.device, slots=self.slots)

    def threads(self, resources: Resources) -> int:
        """Return how many threads train at a time: of each worker as many as it has CPUs."""
        return self.slots * resources.workers * max(1, int(resources.cpus_per_worker))

    def in_words(self, resources: Resources) -> str:
        """Return on what it was measured, for people."""
        at_a_time = f"{counted(self.slots, 'slot')} at a time" if self.slots > 1 else "one slot"
        device = self.device if self.on_gpu else f"the CPU here, {counted(num_cores(), 'core')}"
        if not resources.gpus_per_worker or self.on_gpu:
            return f"{device}, {at_a_time}"
        return f"{device} in fp32, {at_a_time}, since there is no such GPU here: a GPU takes another time"


def here_for(resources: Resources) -> Here:
    """Return what trainings are timed on: as many at a time as a sweep would have here, however few are left of it."""
    on_gpu = bool(resources.gpus_per_worker) and torch.cuda.is_available()
    try:
        slots = local_layout(resources, local_node()).slots
    except UserError:  # it is planned for another machine
        slots, on_gpu = 1, on_gpu and torch.cuda.device_count() >= resources.workers * resources.gpus_per_worker
    device = torch.cuda.get_device_name() if on_gpu else "cpu"
    return Here(device, slots, on_gpu)


def measure_lacking(
    opened: Opened,
    cells: Sequence[Cell],
    here: Here,
    kept: KeptMeasurements,
    before: Mapping[str, Measured],
    *,
    searches: bool,
) -> tuple[dict[str, Measured], frozenset[str]]:
    """Time what is not known yet, keep it, and return all by `Kind.training_id`, and what could not be timed.

    Args:
        opened: The experiment.
        cells: What is to be known.
        here: Where they are timed.
        kept: Where it is kept.
        before: What is known of before.
        searches: Whether the largest batches are looked for, too.

    Raises:
        UserError: A training does not fit, or images cannot be decoded.
    """
    layout, timings, known = here.layout(opened.experiment.resources), _timings(cells), dict(before)
    is_stand_in = bool(opened.experiment.resources.gpus_per_worker) and not here.on_gpu
    if is_stand_in and searches:
        logger.warning("--largest-batch: there is no such GPU here, and of its memory nothing is known")
    resources = opened.experiment.resources
    place = Place(
        # A CPU that stands for a GPU has no Triton.
        resources=resources if here.on_gpu else resources.model_copy(update={"backend": "auto"}),
        slots=here.slots,
        on_gpu=here.on_gpu,
        data_dir=opened.experiment.data_in,
        cache=opened.experiment.cache.open(),
        storage=opened.storage,
        plugins=carried(),
    )
    lacking = {
        training: timing
        for training, timing in timings.items()
        if training not in known or not timing.augments.keys() <= known[training].mixing_s.keys()
    }
    if len(lacking) < len(timings):
        again = counted(len(timings) - len(lacking), "training")
        logger.warning("what was measured of %s before is used again: remove %s to measure anew", again, kept.file)
    if lacking:
        _decode(opened, [timing.cell.dataset for timing in lacking.values()])
        _say_load(here)
    with counting("timing trainings") as show:
        found = measure(_for(place, lacking), place, on_progress=show)
    for training, each in found.items():
        if isinstance(each, Measured):
            earlier = known.get(training, each)
            known[training] = replace(
                each,
                mixing_s={**earlier.mixing_s, **each.mixing_s},
                compile_s={**earlier.compile_s, **each.compile_s},
            )
    unfit = {training: each for training, each in found.items() if isinstance(each, NotMeasured)}
    largest = _searched(timings, known, set(unfit), place) if searches and not is_stand_in else {}
    for training, (fits, too_large) in largest.items():
        if training in known:
            known[training] = replace(known[training], largest_batch=fits, too_large=too_large)
    try:
        kept.add(layout, known)
    except OSError as error:
        logger.warning("what was measured is not kept: %s: %s", kept.file, error.strerror or error)
    _refuse(unfit, timings, largest, opened, is_stand_in=is_stand_in)
    return known, frozenset(unfit)


def _decode(opened: Opened, specs: Sequence[DatasetSpec]) -> None:
    """Decode what the cache lacks, once, as a sweep does before its workers begin: it stays there.

    Raises:
        UserError: It cannot be decoded.
    """
    problems = decode_images(list(dict.fromkeys(specs)), opened.experiment, new_console(sys.stderr))
    if problems:
        raise UserError("\n".join(problems.values()))


def _say_load(here: Here) -> None:
    """Say that other programs share the machine or its GPUs: what is measured then is no measure of it."""
    load, cores = os.getloadavg()[0], num_cores()
    if load > BUSY * cores:
        logger.warning(
            "this machine is at work already (load %.1f on %s): what is measured now takes longer than it would",
            load,
            counted(cores, "core"),
        )
    for number in range(torch.cuda.device_count() if here.on_gpu else 0):
        free, total = torch.cuda.mem_get_info(number)
        if free < (1 - BUSY_GPU) * total:
            logger.warning(
                "%s of GPU %d are in use already: what is measured now takes longer, and more may not fit",
                bytes_text(total - free),
                number,
            )


def _timings(cells: Sequence[Cell]) -> dict[str, Timing]:
    """Return what is to be timed: of each training one cell, with all augmentations that it is done with."""
    first: dict[str, Cell] = {}
    augments: dict[str, dict[str, AugmentSpec]] = {}
    for cell in cells:
        kind = kind_of(cell)
        first.setdefault(kind.training_id, cell)
        augments.setdefault(kind.training_id, {}).setdefault(kind.augment_id, cell.augment)
    return {training: Timing(cell, augments[training]) for training, cell in first.items()}


def _for(place: Place, timings: Mapping[str, Timing]) -> dict[str, Timing]:
    """Return the trainings as they can be done there: a CPU that stands for a GPU has no bf16 worth the name."""
    if place.on_gpu or not place.resources.gpus_per_worker:
        return dict(timings)
    return {
        training: replace(
            timing,
            cell=timing.cell.model_copy(update={"train": timing.cell.train.model_copy(update={"precision": "fp32"})}),
        )
        for training, timing in timings.items()
    }


def _searched(
    timings: Mapping[str, Timing], known: Mapping[str, Measured], unfit: set[str], place: Place
) -> dict[str, tuple[int | None, int | None]]:
    wanted = {
        training: timing
        for training, timing in timings.items()
        if training in unfit or (training in known and known[training].largest_batch is None)
    }
    with counting("looking for the largest batches") as show:
        return search_batches(_for(place, wanted), place, on_progress=show)


def _refuse(
    unfit: Mapping[str, NotMeasured],
    timings: Mapping[str, Timing],
    largest: Mapping[str, tuple[int | None, int | None]],
    opened: Opened,
    *,
    is_stand_in: bool,
) -> None:
    """Say which trainings could not be timed; raise UserError if there is no memory for one on a device of its own."""
    problems = []
    labels = labels_of(kind_of(timing.cell) for timing in timings.values())
    for training, each in unfit.items():
        label = f"{opened.experiment.file}: {labels[training]}"
        if each.lacks_memory and is_stand_in:
            logger.warning("%s: not measured: this machine has no memory for it; of a GPU that says nothing", label)
            continue
        if not each.lacks_memory:
            logger.warning("%s: not measured: %s", label, each.reason)
            continue
        fits = largest.get(training, (None, None))[0]
        lower = "lower train.batch_size_per_worker" + ("" if fits is None else f" to {fits}, which fits,")
        problems.append(
            str(
                UserError(
                    f"{label}: does not fit into the memory of a worker ({each.reason})",
                    remedy=f"{lower} or dataset.image_size"
                    + ("; --largest-batch finds what fits" if training not in largest else ""),
                )
            )
        )
    if problems:
        raise UserError("\n".join(problems))
