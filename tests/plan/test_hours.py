"""A plan in hours and money: what is an estimate is called one, and what was measured says on what."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sweep_samples import ERM, MIXUP, make_cells, trained_with

from orchestrator.costs import Duration, Estimates, Measured, Price, kind_of
from orchestrator.experiment import Cell, Resources
from orchestrator.plan import Costing, RaceLeft, cost_lines

CELLS = make_cells(ERM, MIXUP, seeds=(0, 1))
OTHER = trained_with(make_cells(ERM, models=("resnet18",), seeds=(0,)), epochs=10)
ERM_KIND, MIXUP_KIND = (kind_of(cell) for cell in CELLS[:2])
MEASURED = Measured(
    device="cpu",
    step_s=1.0,
    mixing_s={ERM_KIND.augment_id: 0.0, MIXUP_KIND.augment_id: 0.1},
    batches=10,
    validation_s=1.0,
    checkpoint_s=0.5,
    test_s=1.0,
    build_s=0.5,
    memory_bytes=412_000_000,
    at="2026-11-30 01:02",
)
MEASURED_ALONE = Costing(
    cells=CELLS,
    estimates=Estimates({}, {ERM_KIND.training_id: MEASURED}),
    slots=1,
    resources=Resources(),
    measured_on="the CPU here, 2 cores, one slot",
)


PLACES = {ERM_KIND: "cpu of node8", MIXUP_KIND: "cpu of node7"}


def said(costing: Costing) -> str:
    return "\n".join(cost_lines(costing))


def test_of_what_nothing_is_known_it_is_said_how_to_know_it() -> None:
    (line,) = cost_lines(replace(MEASURED_ALONE, estimates=Estimates({}, {})))
    assert line == (
        "time:      not known of 4 cells (digits convnet, batch 64): none of their kind is finished or measured; "
        "--measure measures it"
    )
    assert cost_lines(replace(MEASURED_ALONE, cells=[])) == ["time:      nothing is left to be trained"]


def test_what_was_measured_says_when_and_on_what() -> None:
    total, training, curve, energy = cost_lines(MEASURED_ALONE)
    # Two cells of 5 x 11.5 + 1.5 s, two of 5 x 12.5 + 1.5 s.
    assert total.startswith("time:      an estimate: 4 min 06 s for 4 cells on 1 slot; without what Ray")
    assert "4 cells, 12 s an epoch, 59 s to 64 s a cell, measured 2026-11-30 01:02 UTC (the CPU here" in training
    assert "), with an allowance for Ray and MLflow; at most" in training
    assert "at most 412.0 MB of the process for each worker" in training
    assert curve.startswith("curve:     an estimate: 1 slot 4 min 06 s, 2 slots 2 min 08 s, 4 slots 64 s")
    assert energy == "energy:    not known: neither NVML nor RAPL tells it of all trainings"


def test_finished_cells_say_where_and_what_a_sweep_takes_beside_them() -> None:
    finished = Estimates({ERM_KIND: (Duration(10.0), 2), MIXUP_KIND: (Duration(20.0), 3)}, {})
    text = said(replace(MEASURED_ALONE, estimates=finished, finished_on=PLACES, around_s=30.0))
    assert "as 5 finished cells took (cpu of node7, cpu of node8)" in text
    assert "an estimate: 5 min 30 s for 4 cells on 1 slot; 30 s of it before the first step and after the last" in text
    assert "measured" not in text
    assert "energy" not in text


def test_what_could_not_be_measured_is_told_apart_without_comparing_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """That would take as long as the number of cells times itself."""
    monkeypatch.setattr(Cell, "__eq__", lambda *_: pytest.fail("cells are compared with each other"))
    unmeasured = {kind_of(OTHER[0]).training_id}
    text = said(replace(MEASURED_ALONE, cells=[*CELLS, *OTHER], estimates=Estimates({}, {}), unmeasured=unmeasured))
    assert "not known of 1 cell (digits resnet18, batch 64): it could not be measured, as said above" in text
    assert "not known of 4 cells (digits convnet, batch 64): none of their kind" in text


def test_a_part_that_is_not_known_is_no_part_of_the_total() -> None:
    text = said(replace(MEASURED_ALONE, cells=[*CELLS, *OTHER]))
    assert "for 4 of 5 cells on 1 slot" in text
    assert "not known of 1 cell (digits resnet18, batch 64)" in text
    priced = said(replace(MEASURED_ALONE, cells=[*CELLS, *OTHER], price=Price(1.0, "cpu")))
    assert "idle ones are not in it; of 4 of 5 cells" in priced
    assert "if they do not slow each other; of 4 of 5 cells" in priced
    nothing = said(replace(MEASURED_ALONE, cells=OTHER, price=Price(1.0, "cpu")))
    assert "price:     not known, as the time is not" in nothing
    failed = replace(MEASURED_ALONE, cells=OTHER, unmeasured={kind_of(OTHER[0]).training_id})
    assert "(digits resnet18, batch 64): it could not be measured, as said above" in said(failed)
    assert "--measure measures it" not in said(failed)


def test_of_an_interrupted_cell_what_is_left_of_it_counts() -> None:
    half = {cell.key: 4 for cell in CELLS}
    total, training, *_ = cost_lines(replace(MEASURED_ALONE, reached=half, price=Price(1.0, "cpu")))
    # An epoch of each is left, and its test.
    assert "an estimate: 54 s for 4 cells" in total
    assert "a cell of what is left of 4, measured" in training


def test_a_race_trains_no_more_than_it_may() -> None:
    race = RaceLeft(CELLS, epochs=10, num_ends=2)
    text = said(replace(MEASURED_ALONE, races=(race,), slots=2, price=Price(3600.0, "cpu")))
    # Ten epochs as the slowest, and two tests.
    assert "an estimate, at most about: 64 s for 10 epochs of the search on 2 slots" in text
    assert "price:     an estimate, at most about: 128.00 for 0.0356 CPU hours" in text
    unasked = replace(MEASURED_ALONE, cells=[], races=(replace(race, cells=[]),), price=Price(1.0, "cpu"))
    assert "not known of at most 10 epochs: zetasweep run asks for its configurations" in said(unasked)
    between = said(replace(MEASURED_ALONE, cells=[], races=(race,)))  # its next batch is to be asked
    assert "at most about: 2 min 08 s for 10 epochs" in between
    assert "nothing is left" in said(replace(MEASURED_ALONE, cells=[], races=(replace(race, epochs=0),)))
    budget = replace(race, most_s=60.0)
    assert "at most about: 60 s for 10 epochs" in said(replace(MEASURED_ALONE, races=(budget,)))


def test_what_compiling_takes_is_in_the_totals() -> None:
    compiled = replace(MEASURED, compile_s={ERM_KIND.augment_id: 20.0, MIXUP_KIND.augment_id: 40.0})
    text = said(replace(MEASURED_ALONE, estimates=Estimates({}, {ERM_KIND.training_id: compiled})))
    assert "an estimate: 5 min 06 s for 4 cells" in text
    assert "compile:   an estimate: 60 s on each slot, for 2 kinds of steps; it is in the totals" in text


def test_what_stands_for_something_else_is_said() -> None:
    factor = replace(MEASURED_ALONE, estimates=replace(MEASURED_ALONE.estimates, factor=1.25))
    assert "times 1.25, as finished cells took against what was measured" in said(factor)
    erm_alone = Estimates({ERM_KIND: (Duration(10.0), 2)}, {})
    assert "of some augmentations as the longest of the others" in said(replace(MEASURED_ALONE, estimates=erm_alone))
    assert "if they are as fast as what this is known from" in said(replace(MEASURED_ALONE, is_elsewhere=True))


def test_money_is_an_estimate_and_of_the_devices_that_are_used() -> None:
    gpus = Resources(workers=2, gpus_per_worker=1)
    costing = replace(MEASURED_ALONE, resources=gpus, price=Price(10.0, "gpu"))
    for name in ("curve", "price", "energy"):
        assert f"{name}:".ljust(11) + "not known: what was measured is the CPU's" in said(costing)
    on_gpu = Estimates({}, {ERM_KIND.training_id: replace(MEASURED, device="NVIDIA H200")})
    text = said(replace(costing, estimates=on_gpu))
    assert "price:     an estimate: 1.37 for 0.137 GPU hours at 10/gpu-hour; idle ones are not in it" in text
    assert "2 GPUs 4 min 06 s, 4 GPUs 2 min 08 s, 8 GPUs 64 s" in text


def test_energy_is_told_where_the_machine_tells_it() -> None:
    drawing = Estimates({}, {ERM_KIND.training_id: replace(MEASURED, watts=3600.0)})
    assert "energy:    an estimate: 0.246 kWh" in said(replace(MEASURED_ALONE, estimates=drawing))


def test_the_largest_batch_is_told_with_what_was_tried() -> None:
    for fits, too_large, text in (
        (96, 104, "a batch of 96 fits, one of 104 does not"),
        (1437, None, "a batch of 1,437 fits, and no larger one was tried"),
    ):
        tried = Estimates({}, {ERM_KIND.training_id: replace(MEASURED, largest_batch=fits, too_large=too_large)})
        assert text in said(replace(MEASURED_ALONE, estimates=tried))
