"""What a sweep is going to take, in words: time, memory, money and energy. What is an estimate is called one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.amounts import bytes_text, counted
from orchestrator.costs import (
    Estimate,
    Estimates,
    Kind,
    Measured,
    Price,
    curve,
    duration_text,
    kind_of,
    makespan_s,
    money_text,
)
from orchestrator.experiment import Cell, Resources


@dataclass(frozen=True)
class Costing:
    """What the hours of a sweep are made of.

    Attributes:
        cells: That are to be trained, in their order.
        estimates: What is known of their kinds.
        slots: How many at a time.
        resources: Of each.
        measured_on: On what `estimates` were measured, for people.
        finished_on: On what the finished cells ran, likewise.
        around_s: What a sweep takes beside its cells; None if that is not known.
        price: Of an hour; None if nobody asked.
        is_elsewhere: Whether the sweep is to run on another machine than those.
    """

    cells: Sequence[Cell]
    estimates: Estimates
    slots: int
    resources: Resources
    measured_on: str
    finished_on: str
    around_s: float | None = None
    price: Price | None = None
    is_elsewhere: bool = False

    @property
    def known(self) -> dict[str, Estimate]:
        """How long the cells take of which that is known, by key."""
        found = ((cell.key, self.estimates.of(cell)) for cell in self.cells)
        return {key: estimate for key, estimate in found if estimate is not None}

    @property
    def seconds(self) -> list[float]:
        """Of each of those cells, in their order."""
        known = self.known
        return [known[cell.key].duration.of(cell.train.epochs) for cell in self.cells if cell.key in known]


def cost_lines(costing: Costing) -> list[str]:
    """Return what the cells are going to take, a line for each subject and each training."""
    if not costing.cells:
        return ["time:      nothing is left to be trained"]
    known = costing.known
    lines = [f"time:      {line}" for line in _trainings(costing, known)]
    if len(known) < len(costing.cells):
        lines.append(f"time:      {_unknown(costing, known)}")
    if not known:
        return lines
    told = [cell for cell in costing.cells if cell.key in known]
    seconds = costing.seconds
    lines.insert(0, f"time:      {_total(costing, seconds, len(told))}")
    lines.append(f"curve:     {_curve(costing, seconds)}")
    worker_s = sum(seconds) * costing.resources.workers
    if costing.price is not None:
        hours = worker_s / 3600 * costing.price.devices(costing.resources)
        lines.append(
            f"price:     an estimate: {money_text(costing.price.of(worker_s, costing.resources))} for "
            f"{hours:.3g} {costing.price.device.upper()} hours at {costing.price}; idle ones are not in it"
        )
    lines += [f"energy:    {line}" for line in _energy(costing, told, known)]
    return lines


def _total(costing: Costing, seconds: Sequence[float], num_known: int) -> str:
    all_s = makespan_s(seconds, costing.slots) + (costing.around_s or 0.0)
    start = (
        f"{duration_text(costing.around_s)} of it before the first step and after the last, as sweeps before took"
        if costing.around_s is not None
        else "without what Ray, workers and MLflow take to start and end: no sweep is complete yet that would say it"
    )
    elsewhere = ", if they are as fast as what this is known from" if costing.is_elsewhere else ""
    return (
        f"an estimate: {duration_text(all_s)} for {counted(num_known, 'cell')} on {counted(costing.slots, 'slot')}"
        f"{elsewhere}; {start}"
    )


def _trainings(costing: Costing, known: Mapping[str, Estimate]) -> Iterator[str]:
    """Yield how long the cells of each training take, and how that is known."""
    trainings: dict[str, list[Cell]] = {}
    for cell in costing.cells:
        if cell.key in known:
            trainings.setdefault(kind_of(cell).training_id, []).append(cell)
    for training, cells in trainings.items():
        epochs_s = [known[cell.key].duration.epoch_s for cell in cells]
        cells_s = [known[cell.key].duration.of(cell.train.epochs) for cell in cells]
        measured = costing.estimates.measured.get(training)
        yield (
            f"{kind_of(cells[0]).label}: {counted(len(cells), 'cell')}, {_range(epochs_s)} an epoch, "
            f"{_range(cells_s)} a cell, {_how(costing, cells, known)}"
            + (f"; {_memory(measured)}" if measured is not None else "")
        )


def _how(costing: Costing, cells: Sequence[Cell], known: Mapping[str, Estimate]) -> str:
    sources = {known[cell.key].source for cell in cells}
    parts = []
    if "finished" in sources:
        kinds = {kind_of(cell) for cell in cells if known[cell.key].source == "finished"}
        number = sum(costing.estimates.finished[kind][1] for kind in kinds)
        parts.append(f"as {counted(number, 'finished cell')} took ({costing.finished_on})")
    if "measured" in sources:
        measured = costing.estimates.measured[kind_of(cells[0]).training_id]
        factor = costing.estimates.factor
        times = "" if factor is None else f", times {factor:.2f}, as finished cells took against what was measured"
        parts.append(f"measured {measured.at} UTC ({costing.measured_on}){times}")
    if "borrowed" in sources:
        parts.append("of some augmentations as the longest of the others")
    return "; ".join(parts)


def _memory(measured: Measured) -> str:
    of = "of the process" if measured.device == "cpu" else "of the device"
    text = f"at most {bytes_text(measured.memory_bytes)} {of} for each worker"
    if measured.largest_batch is not None and measured.too_large is not None:
        text += f"; a batch of {measured.largest_batch:,} fits, one of {measured.too_large:,} does not"
    elif measured.largest_batch is not None:
        text += f"; a batch of {measured.largest_batch:,} fits, and no larger one was tried"
    return text


def _unknown(costing: Costing, known: Mapping[str, Estimate]) -> str:
    unknown = [cell for cell in costing.cells if cell.key not in known]
    labels = ", ".join(dict.fromkeys(kind_of(cell).label for cell in unknown))
    return (
        f"not known of {counted(len(unknown), 'cell')} ({labels}): none of their kind is finished or measured; "
        "--measure measures it"
    )


def _curve(costing: Costing, seconds: Sequence[float]) -> str:
    """Say what more slots would make of it, by GPUs where each worker has some."""
    resources = costing.resources
    of_slot = resources.workers * resources.gpus_per_worker
    found = curve(seconds, slots=costing.slots)
    noun = "slot" if not of_slot else "GPU"
    parts = [
        f"{counted(slots * of_slot if of_slot else slots, noun)} {duration_text(of_all + (costing.around_s or 0.0))}"
        for slots, of_all in found.items()
    ]
    return f"an estimate: {', '.join(parts)}, if they do not slow each other"


def _energy(costing: Costing, cells: Sequence[Cell], known: Mapping[str, Estimate]) -> Iterator[str]:
    """Yield what the cells draw; nothing where nothing was measured."""
    kinds: dict[str, Kind] = {cell.key: kind_of(cell) for cell in cells}
    measured = {key: costing.estimates.measured.get(kind.training_id) for key, kind in kinds.items()}
    if not any(measured.values()):
        return
    told = [each for each in measured.values() if each is not None and each.watts is not None]
    if len(told) < len(cells):
        yield "not known: neither NVML nor RAPL tells it of all trainings"
        return
    joules = sum(
        (each.watts or 0.0) * known[cell.key].duration.of(cell.train.epochs)
        for cell in cells
        if (each := measured[cell.key]) is not None
    )
    yield f"an estimate: {joules / 3.6e6:.3g} kWh, of the devices alone"


def _range(seconds: Sequence[float]) -> str:
    low, high = duration_text(min(seconds)), duration_text(max(seconds))
    return low if low == high else f"{low} to {high}"
