"""What a sweep is going to take, in words: time, memory, money and energy. What is an estimate is called one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from orchestrator.amounts import bytes_text, counted
from orchestrator.costs import (
    Estimate,
    Measured,
    curve,
    duration_text,
    hours_text,
    kind_of,
    labels_of,
    makespan_s,
    money_text,
)
from orchestrator.experiment import Cell
from orchestrator.plan.costing import Costing

_STANDS_IN = "not known: what was measured is the CPU's, and a GPU takes another time; cells finished on GPUs tell it"
_NO_SWEEP = "without what Ray, workers and MLflow take to start and end: no sweep is complete yet that would say it"


def cost_lines(costing: Costing) -> list[str]:
    """Return what the cells are going to take, a line for each subject and each training."""
    epochs = sum(race.epochs for race in costing.races)
    if not costing.cells and not epochs:
        return ["time:      nothing is left to be trained"]
    known, seconds = costing.known, costing.seconds
    lines = [f"time:      {line}" for line in (*_trainings(costing, known), *_unknown(costing, known))]
    if epochs and not seconds and not costing.cells:
        lines = [f"time:      not known of at most {epochs:,} epochs: zetasweep run asks for its configurations"]
    if seconds:
        lines.insert(0, f"time:      {_total(costing, seconds)}")
        if costing.compile_s:
            kinds = counted(len(costing.compile_s), "kind")
            text = f"{duration_text(sum(costing.compile_s))} on each slot, for {kinds} of steps; it is in the totals"
            lines.append(f"compile:   an estimate: {text}")
        lines.append(f"curve:     {_STANDS_IN if costing.stands_in else _curve(costing, seconds)}")
    if costing.price is not None:
        lines.append(f"price:     {_price(costing)}")
    lines += [f"energy:    {line}" for line in _energy(costing, known)]
    return lines


def _what(costing: Costing) -> str:
    """Return what the totals are of: all, or the cells of which something is known."""
    if costing.races:
        return f"{counted(sum(race.epochs for race in costing.races), 'epoch')} of the search"
    known, cells = len(costing.known), counted(len(costing.cells), "cell")
    return cells if known == len(costing.cells) else f"{known:,} of {cells}"


def _estimate(costing: Costing) -> str:
    return "an estimate, at most about:" if costing.races else "an estimate:"


def _total(costing: Costing, seconds: Sequence[float]) -> str:
    all_s = makespan_s(seconds, costing.slots) + sum(costing.compile_s) + (costing.around_s or 0.0)
    parts = [
        f"{duration_text(costing.around_s)} of it before the first step and after the last, as sweeps before took"
        if costing.around_s is not None
        else _NO_SWEEP
    ]
    if costing.decodes:
        parts.append("without the images that are still to be decoded")
    elsewhere = ", if they are as fast as what this is known from" if costing.is_elsewhere else ""
    elsewhere = ", of a CPU that stands for the GPUs" if costing.stands_in else elsewhere
    return (
        f"{_estimate(costing)} {duration_text(all_s)} for {_what(costing)} on {counted(costing.slots, 'slot')}"
        f"{elsewhere}; {'; '.join(parts)}"
    )


def _trainings(costing: Costing, known: Mapping[str, Estimate]) -> Iterator[str]:
    """Yield how long the cells of each training take, and how that is known."""
    trainings: dict[str, list[Cell]] = {}
    for cell in costing.cells:
        if cell.key in known:
            trainings.setdefault(kind_of(cell).training_id, []).append(cell)
    labels = labels_of(map(kind_of, costing.cells))
    for training, cells in trainings.items():
        epochs_s = [known[cell.key].duration.epoch_s for cell in cells]
        cells_s = [costing.left_s(cell, known[cell.key]) for cell in cells]
        begun = [cell for cell in cells if costing.reached.get(cell.key)]
        left = f" of what is left of {len(begun):,}" if begun else ""
        memory = f"; {_memory(measured)}" if (measured := costing.measured(cells[0])) is not None else ""
        yield (
            f"{labels[training]}: {counted(len(cells), 'cell')}, {_range(epochs_s)} an epoch, "
            f"{_range(cells_s)} a cell{left}, {_how(costing, cells, known)}{memory}"
        )


def _how(costing: Costing, cells: Sequence[Cell], known: Mapping[str, Estimate]) -> str:
    by_source: dict[str, list[Cell]] = {}
    for cell in cells:
        by_source.setdefault(known[cell.key].source, []).append(cell)
    parts = []
    if finished := by_source.get("finished"):
        kinds = {kind_of(cell) for cell in finished}
        number = sum(costing.estimates.finished[kind][1] for kind in kinds)
        places = ", ".join(dict.fromkeys(sorted(filter(None, (costing.finished_on.get(kind) for kind in kinds)))))
        parts.append(f"as {counted(number, 'finished cell')} took ({places})")
    if "measured" in by_source:
        measured = costing.measured(cells[0])
        assert measured is not None
        factor = costing.estimates.factor
        times = ", with an allowance for Ray and MLflow"
        if factor is not None:
            times = f", times {factor:.2f}, as finished cells took against what was measured"
        parts.append(f"measured {measured.at} UTC ({costing.measured_on}){times}")
    if "other layout" in by_source:
        parts.append("as cells took that had another share of their device, or one that is not known: --measure tells")
    if "borrowed" in by_source:
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


def _unknown(costing: Costing, known: Mapping[str, Estimate]) -> Iterator[str]:
    failed: list[Cell] = []
    others: list[Cell] = []
    for cell in costing.cells:
        if cell.key not in known:
            (failed if kind_of(cell).training_id in costing.unmeasured else others).append(cell)
    why = "none of their kind is finished or measured; --measure measures it"
    labels = labels_of(map(kind_of, costing.cells))
    for cells, reason in ((failed, "it could not be measured, as said above"), (others, why)):
        if cells:
            named = ", ".join(dict.fromkeys(labels[kind_of(cell).training_id] for cell in cells))
            yield f"not known of {counted(len(cells), 'cell')} ({named}): {reason}"


def _curve(costing: Costing, seconds: Sequence[float]) -> str:
    """Say what more slots would make of it, by GPUs where each worker has some."""
    resources = costing.resources
    of_slot = resources.workers * resources.gpus_per_worker
    found = curve(seconds, slots=costing.slots)
    noun = "slot" if not of_slot else "GPU"
    beside_s = sum(costing.compile_s) + (costing.around_s or 0.0)
    parts = [
        f"{counted(slots * of_slot if of_slot else slots, noun)} {duration_text(of_all + beside_s)}"
        for slots, of_all in found.items()
    ]
    return f"{_estimate(costing)} {', '.join(parts)}, if they do not slow each other{_part(costing)}"


def _part(costing: Costing) -> str:
    what = _what(costing)
    return f"; of {what}" if " of " in what and not costing.races else ""


def _price(costing: Costing) -> str:
    price = costing.price
    assert price is not None
    if not costing.seconds:
        return "not known, as the time is not"
    if costing.stands_in:
        return _STANDS_IN
    hours = costing.worker_s / 3600 * price.devices(costing.resources)
    return (
        f"{_estimate(costing)} {money_text(price.of(costing.worker_s, costing.resources))} for "
        f"{hours_text(hours)} {price.device.upper()} hours at {price}; idle ones are not in it{_part(costing)}"
    )


def _energy(costing: Costing, known: Mapping[str, Estimate]) -> Iterator[str]:
    """Yield what the cells draw; nothing where nothing was measured."""
    told = [(cell, costing.measured(cell)) for cell in costing.cells if cell.key in known]
    if not any(measured for _, measured in told):
        return
    if costing.stands_in:
        yield _STANDS_IN
        return
    watts = {cell.key: measured.watts for cell, measured in told if measured is not None and measured.watts is not None}
    if len(watts) < len(told):
        yield "not known: neither NVML nor RAPL tells it of all trainings"
        return
    if costing.races:
        joules = max(watts.values()) * sum(costing.seconds)
    else:
        joules = sum(watts[cell.key] * costing.left_s(cell, known[cell.key]) for cell, _ in told)
    yield f"{_estimate(costing)} {joules / 3.6e6:.3g} kWh, of the devices alone{_part(costing)}"


def _range(seconds: Sequence[float]) -> str:
    low, high = duration_text(min(seconds)), duration_text(max(seconds))
    return low if low == high else f"{low} to {high}"
