"""What a sweep will cost, asked before it starts; nothing is trained here: the timing itself is in tests/train."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest
import torch
from commands import Call
from PIL import Image
from tracked import FACTS, finish

from orchestrator.costs import Finished, Measured, duration_text, durations, kind_of, money_text
from orchestrator.data import decode
from orchestrator.experiment import expand, load_experiment
from orchestrator.opened import measuring
from orchestrator.opened.costs import _Usable
from orchestrator.opened.measuring import here_for
from orchestrator.storage import Storage
from orchestrator.tracking.tracker import Tracker
from orchestrator.train import NotMeasured, Place, Timing

EXPERIMENT = """
name: costly
dataset: digits
model: [convnet, resnet18]
augment: [erm, {mixup: {alpha: 1.0}}]
seed: [0, 1]
train: {epochs: 10}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "costly.yaml"
    path.write_text(f"{EXPERIMENT}storage: {tmp_path / 'runs'}\ncache: {{dir: {tmp_path / 'cache'}}}\n")
    return path


class Stopwatch:
    """Stands for the processes in which trainings are timed."""

    def __init__(self) -> None:
        self.timed: list[str] = []
        self.searched: list[str] = []
        self.too_large: frozenset[str] = frozenset()

    def measure(
        self, timings: Mapping[str, Timing], place: Place, *, on_progress: Callable[[int, int], None]
    ) -> dict[str, Measured | NotMeasured]:
        on_progress(0, len(timings))
        self.timed += [timing.cell.model.name for timing in timings.values()]
        return {name: self._of(timing) for name, timing in timings.items()}

    def search(self, timings: Mapping[str, Timing], place: Place, **_: Any) -> dict[str, tuple[int | None, int | None]]:
        self.searched += [timing.cell.model.name for timing in timings.values()]
        return dict.fromkeys(timings, (32, 48))

    def _of(self, timing: Timing) -> Measured | NotMeasured:
        if timing.cell.model.name in self.too_large:
            return NotMeasured("OutOfMemoryError: tried to allocate 2 GiB", lacks_memory=True)
        return Measured(
            device="cpu",
            step_s=0.1,
            mixing_s=dict.fromkeys(timing.augments, 0.0),
            batches=10,
            validation_s=0.0,
            checkpoint_s=0.0,
            test_s=0.0,
            build_s=0.0,
            memory_bytes=400_000_000,
            at="2026-11-30 01:02",
        )


@pytest.fixture
def stopwatch(monkeypatch: pytest.MonkeyPatch) -> Stopwatch:
    stopwatch = Stopwatch()
    monkeypatch.setattr(measuring, "measure", stopwatch.measure)
    monkeypatch.setattr(measuring, "search_batches", stopwatch.search)
    # How much is allowed for them, and on how many cores, is not asked here.
    monkeypatch.setattr(durations, "CORES_OF_RAY", 0.0)
    monkeypatch.setattr(durations, "TOLD_S", 0.0)
    return stopwatch


def test_hours_and_money_and_what_was_measured_is_not_measured_again(
    call: Call, file: Path, stopwatch: Stopwatch
) -> None:
    answer = call("plan", file, "-o", "resources.slots=1", "--measure", "--price", "3.6/cpu-hour")
    assert answer.code == 0, answer.err
    assert stopwatch.timed == ["convnet", "resnet18"]
    # Eight cells of ten epochs of a second each.
    assert "time:      an estimate: 80 s for 8 cells on 1 slot; without what Ray" in answer.out
    assert "digits resnet18, batch 64: 4 cells, 1 s an epoch, 10 s a cell, measured 2026-11-30 01:02 UTC" in answer.out
    assert "price:     an estimate: 0.08 for 0.0222 CPU hours at 3.6/cpu-hour" in answer.out
    again = call("plan", file, "-o", "resources.slots=1", "--measure")
    assert stopwatch.timed == ["convnet", "resnet18"]
    assert "what was measured of 2 trainings before is used again: remove " in again.err
    assert "an estimate: 80 s" in again.out
    # Another augmentation of them is not known; without --measure it is as long as the others.
    other = call("plan", file, "-o", "resources.slots=1", "-o", "augment=cutmix")
    assert "of some augmentations as the longest of the others" in other.out


@pytest.mark.usefixtures("stopwatch")
def test_images_are_decoded_once_and_by_processes_before_they_are_timed(
    call: Call, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What times trainings may be many processes: all of them would decode, and a daemon may start no other."""
    for number in range(160):
        folder = tmp_path / "data" / "mine" / ("train", "test")[number % 2] / ("ant", "bee")[number // 2 % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (number, 100, 200)).save(folder / f"{number}.png")
    monkeypatch.setattr(decode, "PARALLEL_FROM_S", 0.0)
    monkeypatch.setattr(decode, "num_cores", lambda: 1)
    words = ["-o", "dataset={image_folder: {folder: mine}}", "-o", f"data_dir={tmp_path / 'data'}"]
    words += ["-o", "model=convnet", "-o", "train.batch_size_per_worker=8", "-o", "dataset.image_folder.image_size=32"]
    answer = call("plan", file, *words, "--measure")
    assert answer.code == 0, answer.err
    assert "decoded 160 images of image_folder into" in answer.err
    assert "decoded 160" not in call("plan", file, *words, "--measure").err


@pytest.mark.usefixtures("stopwatch")
@pytest.mark.parametrize(("load", "says"), [(1000.0, True), (0.0, False)])
def test_a_measurement_beside_other_programs_is_said_to_be_one(
    call: Call, file: Path, monkeypatch: pytest.MonkeyPatch, load: float, says: bool
) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (load, load, load))
    answer = call("plan", file, "--measure")
    assert ("this machine is at work already (load 1000.0 on" in answer.err) is says


def test_finished_cells_say_how_long_the_others_take(call: Call, file: Path, new_store: Path, tmp_path: Path) -> None:
    experiment = load_experiment(file)
    erm, *_ = expand(experiment)
    experiment.storage.mkdir()
    copyfile(new_store, experiment.storage / "mlflow.db")
    tracker = Tracker(f"sqlite:///{experiment.storage / 'mlflow.db'}", artifacts=experiment.storage / "artifacts")
    tracker.sweep.open(experiment, {})
    data = replace(FACTS.dataset, num_train=1294, num_val=143, num_test=360)
    finish(tracker, erm, tmp_path, facts=replace(FACTS, dataset=data))
    tracker.sweep.close(complete=False)
    answer = call("plan", file, "-o", "resources.slots=1")
    assert answer.code == 0, answer.err
    # Another seed of it is of its kind, the mixups are taken for as long: epochs of 0.75 s, and 1.4 s once.
    assert "an estimate: 27 s for 3 of 7 cells on 1 slot" in answer.out
    assert f"as 1 finished cell took (cpu of {socket.gethostname()})" in answer.out
    assert "of some augmentations as the longest of the others" in answer.out
    assert "not known of 4 cells (digits resnet18, batch 64)" in answer.out
    placed_otherwise = call("plan", file, "-o", "resources.slots=1", "-o", "resources.feed=streaming")
    assert "as cells took that had another share of their device" in placed_otherwise.out
    assert "finished cell took" not in placed_otherwise.out


def test_finished_cells_are_told_apart_by_their_layout_without_comparing_them(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That would take as long as the number of cells times itself."""
    experiment = load_experiment(file)
    resources, kind = experiment.resources, kind_of(expand(experiment)[0])
    layouts = (resources.layout, None, resources.layout, {**resources.layout, "feed": "another"})
    finished = [Finished(kind, "cpu", socket.gethostname(), layout) for layout in layouts]
    monkeypatch.setattr(Finished, "__eq__", lambda *_: pytest.fail("finished cells are compared with each other"))
    usable = _Usable(finished, here_for(resources), resources)
    assert [cell.layout for cell in usable.alike] == [resources.layout] * 2
    assert [cell.layout for cell in usable.placed_otherwise] == [layouts[1], layouts[3]]


def test_without_a_measurement_it_is_said_what_gives_one(call: Call, file: Path) -> None:
    answer = call("plan", file)
    assert answer.code == 0, answer.err
    assert "not known of 8 cells (digits convnet, batch 64, digits resnet18, batch 64)" in answer.out
    assert "--measure measures it" in answer.out


def test_what_does_not_fit_is_a_sentence_and_the_others_are_kept(call: Call, file: Path, stopwatch: Stopwatch) -> None:
    stopwatch.too_large = frozenset({"resnet18"})
    answer = call("plan", file, "--measure")
    assert answer.code == 2
    said = answer.err.splitlines()
    (number,) = [number for number, line in enumerate(said) if "does not fit into the memory" in line]
    assert (
        "costly.yaml: digits resnet18, batch 64: does not fit into the memory of a worker (OutOfMemory" in said[number]
    )
    assert "lower train.batch_size_per_worker or dataset.image_size; --largest-batch finds" in said[number + 1]
    assert "Traceback" not in answer.err
    answer = call("plan", file, "--largest-batch")
    assert stopwatch.timed == ["convnet", "resnet18", "resnet18"]
    assert stopwatch.searched == ["convnet", "resnet18"]
    assert "lower train.batch_size_per_worker to 32, which fits, or" in answer.err
    alone = call("plan", file, "-o", "model=convnet")
    assert "a batch of 32 fits, one of 48 does not" in alone.out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--price", "abc"], "--price abc: no price"),
        (["--price", "2.5/gpu-hour"], "--price 2.5/gpu-hour: the cells use no GPU"),
        (["--gpus", "0"], "0 is not in the range x>=1"),
        (["--gpus", "2"], "--gpus 2: resources.gpus_per_worker is 0"),
    ],
)
def test_wrong_options_are_a_sentence_each(call: Call, file: Path, options: list[str], said: str) -> None:
    answer = call("plan", file, *options)
    assert answer.code == 2
    assert said in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.usefixtures("stopwatch")
@pytest.mark.skipif(torch.cuda.is_available(), reason="about a machine without a GPU")
def test_gpus_that_are_not_here_are_said_to_be_measured_on_the_cpu(call: Call, file: Path) -> None:
    gpus = ("-o", "resources.gpus_per_worker=1", "-o", "model=convnet")
    answer = call("plan", file, *gpus, "--gpus", "2", "--measure", "--price", "2.5/gpu-hour")
    assert answer.code == 0, answer.err
    assert "in fp32, one slot, since there is no such GPU here: a GPU takes another time" in answer.out
    assert "20 s for 4 cells on 2 slots, of a CPU that stands for the GPUs" in answer.out
    # Neither money nor a curve of GPUs is made of seconds of a CPU; nor is there, when it is read again.
    for again in (answer, call("plan", file, *gpus, "--gpus", "2", "--price", "2.5/gpu-hour")):
        for name in ("price:     ", "curve:     "):
            assert f"{name}not known: what was measured is the CPU's, and a GPU takes another time" in again.out


@pytest.mark.skipif(torch.cuda.is_available(), reason="about a machine without a GPU")
def test_the_memory_of_this_machine_refuses_no_gpu(call: Call, file: Path, stopwatch: Stopwatch) -> None:
    stopwatch.too_large = frozenset({"resnet18"})
    gpus = ("-o", "resources.gpus_per_worker=1", "--gpus", "2")
    answer = call("plan", file, *gpus, "--largest-batch")
    assert answer.code == 1, answer.err
    assert "resnet18, batch 64: not measured: this machine has no memory for it; of a GPU that says" in answer.err
    assert "--largest-batch: there is no such GPU here, and of its memory nothing is known" in answer.err
    assert stopwatch.searched == []
    assert "not known of 4 cells (digits resnet18, batch 64): it could not be measured, as said above" in answer.out


@pytest.mark.usefixtures("stopwatch")
def test_nothing_is_measured_beside_a_sweep(call: Call, file: Path) -> None:
    storage = Storage(load_experiment(file).storage)
    storage.prepare()
    with storage.locked("other"):
        answer = call("plan", file, "--measure")
        assert call("plan", file).code == 0
    assert answer.code == 2
    assert "--measure: a sweep is at work: run is refused while" in answer.err


def test_a_search_is_what_its_race_trains_at_most(call: Call, file: Path, stopwatch: Stopwatch) -> None:
    search = ["-o", "model=convnet", "-o", "augment=[erm, {mixup: {alpha: [0.2, 0.4, 0.6, 0.8, 1.0]}}]"]
    search += ["-o", "search={race: ladder}", "-o", "resources.slots=1", "-o", "seed=[0,1,2]"]
    answer = call("plan", file, *search, "--measure", "--price", "3.6/cpu-hour")
    assert answer.code == 0, answer.err
    (epochs,) = re.findall(r"epochs:    at most (\d+) of 180", answer.out)
    assert stopwatch.timed == ["convnet"]
    # A second each.
    assert f"an estimate, at most about: {duration_text(int(epochs))} for {epochs} epochs of the search" in answer.out
    assert f"price:     an estimate, at most about: {money_text(int(epochs) / 1000)} for" in answer.out
    search[5] = "search={race: ladder, budget: {device_hours: 0.01}}"
    budget = call("plan", file, *search)
    assert "at most about: 36 s for" in budget.out
