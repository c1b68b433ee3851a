"""A few timed steps, in processes of their own: what they say of a cell, and what does not fit."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import torch
from sweep_samples import ERM, MIXUP, make_cells, trained_with

from orchestrator.costs import Measured, kind_of
from orchestrator.data import Cache, load_dataset
from orchestrator.experiment import Resources
from orchestrator.experiment.arithmetic_spec import ArithmeticSpec
from orchestrator.plugins import carried
from orchestrator.storage import Storage
from orchestrator.train import NotMeasured, Place, Timing, measure, search_batches, timed, timed_group
from orchestrator.train.accumulation import Part
from orchestrator.train.feed import make_feed
from orchestrator.train.largest_batch import bracket, is_out_of_memory
from orchestrator.train.memory import PeakMemory
from orchestrator.train.power import EnergyMeter
from orchestrator.train.timed_worker import Said

MEASURED = Measured("cpu", 0.1, {}, 10, 0.0, 0.0, 0.0, 0.0, 10**9)


def place_in(folder: Path) -> Place:
    return Place(
        resources=Resources(),
        slots=1,
        on_gpu=False,
        data_dir=folder,
        cache=Cache(folder / "cache"),
        storage=Storage(folder / "runs"),
        plugins=carried(),
    )


def test_a_training_is_timed_in_a_process_of_its_own(tmp_path: Path) -> None:
    cells = make_cells(ERM, MIXUP, seeds=(0,))
    kinds = [kind_of(cell) for cell in cells]
    timing = Timing(cells[0], {kind.augment_id: cell.augment for kind, cell in zip(kinds, cells, strict=True)})
    counts: list[tuple[int, int]] = []
    found = measure({"it": timing}, place_in(tmp_path), on_progress=lambda *count: counts.append(count))
    measured = found["it"]
    assert isinstance(measured, Measured), measured
    assert measured.device == "cpu"
    assert measured.batches == 20  # of 1,294 images
    assert set(measured.mixing_s) == {kind.augment_id for kind in kinds}
    for name in ("step_s", "validation_s", "checkpoint_s", "test_s"):
        assert 0 < getattr(measured, name) < 60, name
    assert measured.memory_bytes > 50e6
    duration = measured.duration(kinds[1].augment_id)
    assert duration is not None
    assert duration.epoch_s > measured.batches * measured.step_s
    assert counts[-1] == (1, 1)
    assert [path.name for path in tmp_path.iterdir()] == []  # what it has written is gone


def with_a_child(*arguments: Any) -> None:
    connection: Connection = arguments[5]
    child = multiprocessing.get_context("fork").Process(target=print)
    child.start()
    child.join()
    connection.send(Said("it", "refused", "it had a child"))


def test_what_times_may_have_processes_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoding has, from ten seconds on; a daemon may not."""
    monkeypatch.setattr(timed_group, "serve", with_a_child)
    (cell,) = make_cells(ERM, seeds=(0,))
    found = measure({"it": Timing(cell, {})}, place_in(tmp_path), on_progress=lambda *_: None)
    assert found["it"] == NotMeasured("it had a child")


@pytest.mark.slow
def test_two_workers_are_timed_together(tmp_path: Path) -> None:
    cells = [cell.model_copy(update={"workers": 2}) for cell in make_cells(ERM, MIXUP, seeds=(0,))]
    place = replace(place_in(tmp_path), resources=Resources(workers=2))
    timing = Timing(cells[0], {kind_of(cell).augment_id: cell.augment for cell in cells})
    measured = measure({"it": timing}, place, on_progress=lambda *_: None)["it"]
    assert isinstance(measured, Measured), measured
    assert measured.batches == 10
    assert len(measured.mixing_s) == 2


@pytest.mark.slow
def test_the_largest_batch_is_that_of_all_images_where_all_fit(tmp_path: Path) -> None:
    (cell,) = make_cells(ERM, seeds=(0,))
    timing = Timing(cell, {kind_of(cell).augment_id: cell.augment})
    assert search_batches({"it": timing}, place_in(tmp_path), on_progress=lambda *_: None)["it"] == (1294, None)


@pytest.mark.slow
def test_a_process_is_refused_what_the_machine_does_not_have() -> None:
    """So that it says it, and nobody has to be killed for it."""
    look = """
import torch
from orchestrator.train.largest_batch import is_out_of_memory
from orchestrator.train.timed_worker import _limit_memory
_limit_memory(200 * 2**20)
torch.ones(10**7)
try:
    torch.ones(10**8)
except Exception as error:
    print(is_out_of_memory(error), error)
"""
    answer = subprocess.run([sys.executable, "-c", look], check=True, timeout=500, capture_output=True, text=True)
    assert answer.stdout.startswith("True"), answer.stdout


@pytest.mark.gpu
def test_on_a_gpu_its_memory_and_its_name_are_told(tmp_path: Path) -> None:
    (cell,) = make_cells(ERM, seeds=(0,))
    place = replace(place_in(tmp_path), resources=Resources(gpus_per_worker=1), on_gpu=True)
    timing = Timing(cell, {kind_of(cell).augment_id: cell.augment})
    measured = measure({"it": timing}, place, on_progress=lambda *_: None)["it"]
    assert isinstance(measured, Measured), measured
    assert measured.device == torch.cuda.get_device_name()
    assert 0 < measured.memory_bytes < torch.cuda.mem_get_info()[1]
    assert search_batches({"it": timing}, place, on_progress=lambda *_: None)["it"] == (1294, None)


def test_a_process_that_is_killed_had_no_memory_and_one_that_fails_had_a_reason() -> None:
    assert timed_group._died(frozenset({-9})) == NotMeasured("the process that trained it ended (signal 9)", True)
    assert timed_group._died(frozenset({1})).lacks_memory is False


def test_no_memory_is_known_by_what_pytorch_says_of_it() -> None:
    with pytest.raises(RuntimeError) as error:
        torch.empty(10**15)
    assert is_out_of_memory(error.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not is_out_of_memory(RuntimeError("shapes do not fit"))


@pytest.mark.parametrize(("gpus", "shares"), [(1, 4), (2, 2), (0, 8)])
def test_a_slot_draws_its_part_of_what_a_counter_counts(gpus: int, shares: int, tmp_path: Path) -> None:
    resources = Resources(gpus_per_worker={1: 0.25, 2: 0.5, 0: 0}[gpus])
    place = replace(place_in(tmp_path), resources=resources, slots=8, on_gpu=gpus > 0)
    assert timed_group._of_one_slot(replace(MEASURED, watts=400.0), place).watts == 400.0 / shares


class Parts:
    """Stands for a learner: takes note of the parts of steps that it is to take."""

    def __init__(self) -> None:
        self.taken: list[Part] = []

    def train(self) -> None:
        pass

    def step(self, pixels: torch.Tensor, labels: torch.Tensor, generator: torch.Generator, part: Part) -> None:
        self.taken.append(part)


def test_what_is_timed_are_whole_steps_with_the_optimizer() -> None:
    """The median of the batches of a step of four has no optimizer in it."""
    (cell,) = trained_with(make_cells(ERM, seeds=(0,)), accumulate=4)
    dataset = load_dataset("digits", Path())
    feed = make_feed(dataset.images, torch.device("cpu"))
    learner = Parts()
    steps = timed._steps(learner, torch.arange(10 * 8).view(10, 8), dataset, feed, cell)  # type: ignore[arg-type]
    for number in (1, 2, 3):
        next(steps)
        assert [part.is_last for part in learner.taken] == [False, False, False, True] * number


@pytest.mark.slow
def test_a_compiled_step_is_timed_as_a_whole_and_says_what_compiling_takes(tmp_path: Path) -> None:
    cells = make_cells(ERM, MIXUP, seeds=(0,))
    cells = [cell.model_copy(update={"arithmetic": ArithmeticSpec(compile="default")}) for cell in cells]
    timing = Timing(cells[0], {kind_of(cell).augment_id: cell.augment for cell in cells})
    measured = measure({"it": timing}, place_in(tmp_path), on_progress=lambda *_: None)["it"]
    assert isinstance(measured, Measured), measured
    assert measured.step_s == 0.0
    assert min(measured.mixing_s.values()) > 0
    assert min(measured.compile_s.values()) > 0.1


@pytest.mark.parametrize(
    ("largest", "first", "at_most", "expected"),
    [
        (1000, 64, 10_000, (960, 1024)),
        (100, 64, 10_000, (96, 104)),
        (20, 64, 10_000, (20, 22)),
        (10_000, 64, 100, (100, None)),  # no more images
        (0, 8, 100, (None, 1)),
        (3, 2, 100, (3, 4)),
    ],
)
def test_the_largest_batch_is_found_to_an_eighth(
    largest: int, first: int, at_most: int, expected: tuple[int | None, int | None]
) -> None:
    assert bracket(lambda batch: batch <= largest, first=first, at_most=at_most) == expected


def test_a_batch_that_would_take_too_long_ends_the_search() -> None:
    assert bracket(lambda batch: True if batch <= 128 else None, first=64, at_most=10_000) == (128, None)


def test_the_energy_of_a_cpu_is_what_its_packages_count(tmp_path: Path) -> None:
    # Of many laptops the second domain is the whole machine, the package among it.
    names = {"intel-rapl:0": "package-0", "intel-rapl:1": "psys", "intel-rapl:0:0": "core", "intel-rapl:2": "package-1"}
    for name, what in names.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "name").write_text(f"{what}\n")
        (tmp_path / name / "energy_uj").write_text("1000000\n")
    with EnergyMeter(torch.device("cpu"), rapl=tmp_path) as meter:
        for name in names:
            (tmp_path / name / "energy_uj").write_text("5000000\n")
    watts = meter.watts(workers=2)
    assert watts is not None
    assert watts * meter._seconds == pytest.approx(8.0)
    with EnergyMeter(torch.device("cpu"), rapl=tmp_path / "none") as meter:
        pass
    assert meter.watts(workers=1) is None


def test_the_peak_is_of_what_comes_after() -> None:
    memory = PeakMemory(torch.device("cpu"))
    before = memory.bytes()
    held = torch.ones(50_000_000)
    assert memory.bytes() >= before + 150_000_000
    del held
