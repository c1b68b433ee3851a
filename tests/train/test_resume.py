"""A training that is interrupted, anywhere, ends with the numbers of one that is not."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from trainings import (
    COMPUTE_METRICS,
    CPU,
    EPOCHS,
    FEW,
    InterruptedTrainingError,
    PollUntil,
    Trained,
    interrupt,
    make_cell,
    numbers,
    run,
    same_weights,
)

from orchestrator.data import Dataset
from orchestrator.errors import CellError
from orchestrator.records import EpochResult
from orchestrator.storage import checkpoints as checkpoint
from orchestrator.storage.cell_folder import CellFolder, Point
from orchestrator.storage.checkpoints import Checkpoints
from orchestrator.train import disk_full, requests, starting_weights
from orchestrator.train.cell import train_cell
from orchestrator.train.learner import Learner
from orchestrator.train.metrics import compute_metrics
from orchestrator.train.requests import Request, StoppedError


@pytest.fixture(scope="module")
def resumed(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The same training, interrupted after every epoch."""
    folder = tmp_path_factory.mktemp("resumed")
    for epoch in range(1, EPOCHS + 1):
        interrupt(make_cell(), digits, folder, after=epoch)
    return run(make_cell(), digits, folder)


def test_interrupted_after_every_epoch_it_ends_the_same(whole: Trained, resumed: Trained) -> None:
    assert numbers(resumed.history) == numbers(whole.history)
    assert resumed.result.metrics == whole.result.metrics
    assert same_weights(resumed.weights, whole.weights)
    assert same_weights(resumed.best_weights, whole.best_weights)


def test_resumed_training_reports_its_past_unchanged(few_digits: Dataset, tmp_path: Path) -> None:
    cell = make_cell(num_train=FEW)
    first: list[EpochResult] = []

    def report(result: EpochResult) -> None:
        first.append(result)
        if result.epoch == 2:
            raise InterruptedTrainingError

    with pytest.raises(InterruptedTrainingError):
        train_cell(cell, few_digits, checkpoint_dir=tmp_path, device=CPU, report=report)
    again = run(cell, few_digits, tmp_path).history
    assert again[:2] == first
    assert [entry.epoch for entry in again] == [1, 2, 3]


def test_checkpoint_of_other_data_is_refused(few_digits: Dataset, tmp_path: Path) -> None:
    cell = make_cell(num_train=FEW)
    interrupt(cell, few_digits, tmp_path, after=1)
    with pytest.raises(CellError, match="consisted of other files"):
        run(cell, replace(few_digits, split_hash="changed"), tmp_path)


@pytest.mark.parametrize(("before", "after", "said"), [("1", "2", True), ("1", "1", False), (None, "2", False)])
def test_a_checkpoint_of_other_pixels_is_gone_on_with_and_that_is_said(
    few_digits: Dataset,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    before: str | None,
    after: str,
    said: bool,
) -> None:
    """As another version of a decoder makes them; a cache of an earlier version did not know them."""
    cell = make_cell(num_train=FEW)
    interrupt(cell, replace(few_digits, pixel_hash=before), tmp_path, after=1)
    history = run(cell, replace(few_digits, pixel_hash=after), tmp_path).history
    assert [entry.epoch for entry in history] == [1, 2, 3]
    assert ("have other pixels now" in caplog.text) == said


ADDRESS = "s3://bucket/runs/cells/0123456789abcdef"


def test_of_a_copy_it_is_said_where_the_checkpoint_is_to_be_removed(few_digits: Dataset, tmp_path: Path) -> None:
    cell = make_cell(num_train=FEW)
    interrupt(cell, few_digits, tmp_path, after=1)
    with pytest.raises(CellError) as refused:
        train_cell(
            cell,
            replace(few_digits, split_hash="changed"),
            checkpoint_dir=tmp_path,
            address=ADDRESS,
            device=CPU,
            report=lambda _: None,
        )
    assert str(refused.value).startswith(f"the checkpoint in {ADDRESS} was made when")
    assert str(tmp_path) not in str(refused.value)


def test_of_a_copy_it_is_said_which_disk_is_full(
    few_digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_full, "RETRY_EVERY_S", 0)
    save, said = checkpoint.save, list[str]()

    def save_when_told(path: Path, state: dict[str, Any]) -> None:
        if not said:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(path, state)

    monkeypatch.setattr(checkpoint, "save", save_when_told)
    cell = make_cell(num_train=FEW, epochs=1)
    train_cell(
        cell,
        few_digits,
        checkpoint_dir=tmp_path,
        address=ADDRESS,
        device=CPU,
        report=lambda _: None,
        on_full_disk=said.append,
    )
    assert said == [
        f"the disk of {tmp_path}, below cache.dir, where the files of {ADDRESS} are written first, is full "
        "(No space left on device): training waits until there is space again"
    ]


@pytest.fixture
def _looks_after_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "POLL_EVERY_S", 0)


@pytest.mark.usefixtures("_looks_after_every_step")
@pytest.mark.parametrize("wanted", [pytest.param(Request.STOP, marks=pytest.mark.slow), Request.LEAVE])
def test_stopped_anywhere_it_ends_the_same(
    few_digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: Request
) -> None:
    """Every moment of two epochs, in the training and in the evaluations, and of the test."""
    steps = []
    step = Learner.step
    monkeypatch.setattr(Learner, "step", lambda *args: steps.append(1) or step(*args))
    cell = make_cell(num_train=FEW, epochs=2, batch_size_per_worker=32)
    undisturbed = PollUntil()
    whole = run(cell, few_digits, tmp_path / "whole", poll=undisturbed)
    num_steps = len(steps)
    for moment in range(1, undisturbed.asked + 1):
        folder = tmp_path / str(moment)
        steps.clear()
        with pytest.raises(StoppedError) as stopped:
            run(cell, few_digits, folder, poll=PollUntil(moment, wanted))
        assert stopped.value.request is wanted
        assert stopped.value.is_saved
        assert CellFolder(folder).points(), "it was saved"
        again = run(cell, few_digits, folder)
        assert len(steps) == num_steps, "no step was taken twice"
        assert numbers(again.history) == numbers(whole.history)
        assert again.result.metrics == whole.result.metrics
        assert same_weights(again.best_weights, whole.best_weights)
        shutil.rmtree(folder)


@pytest.mark.usefixtures("_looks_after_every_step")
def test_dropout_goes_on_in_the_middle_of_an_epoch(
    few_digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its masks come from the global generator, which has a state of its own."""
    build = starting_weights.build_model
    monkeypatch.setattr(starting_weights, "build_model", lambda *args, **options: DropsOut(build(*args, **options)))
    cell = make_cell(num_train=FEW, epochs=1, batch_size_per_worker=32)
    whole = run(cell, few_digits, tmp_path / "whole")
    with pytest.raises(StoppedError):
        run(cell, few_digits, tmp_path / "stopped", poll=PollUntil(4))
    torch.manual_seed(99)
    again = run(cell, few_digits, tmp_path / "stopped")
    assert numbers(again.history) == numbers(whole.history)


class DropsOut(torch.nn.Module):
    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.drop, self.network = torch.nn.Dropout(0.2), network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(self.drop(images))


@pytest.mark.usefixtures("_looks_after_every_step")
def test_a_long_epoch_is_saved_in_its_middle(few_digits: Dataset, tmp_path: Path) -> None:
    cell = make_cell(num_train=FEW, epochs=1, batch_size_per_worker=32)
    with pytest.raises(InterruptedTrainingError):
        train_cell(
            cell,
            few_digits,
            checkpoint_dir=tmp_path,
            device=CPU,
            report=lambda _: None,
            poll=DieAt(7),
            checkpoint_every_s=0,
        )
    assert CellFolder(tmp_path).points() == [Point(0, 6), Point(0, 5)], "the newest two"


class DieAt:
    def __init__(self, last: int) -> None:
        self._last, self._asked = last, 0

    def __call__(self) -> Request:
        self._asked += 1
        if self._asked == self._last:
            raise InterruptedTrainingError
        return Request.GO_ON


def test_keeps_the_newest_two_and_the_best_while_it_trains(
    few_digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([0.5, 0.1, 0.3, 0.4, 0.2])
    monkeypatch.setattr(COMPUTE_METRICS, lambda *_, **__: {"error": 0.1, "loss": next(losses)})
    kept: list[list[Point]] = []
    cell = make_cell(num_train=FEW, epochs=5)
    train_cell(
        cell,
        few_digits,
        checkpoint_dir=tmp_path,
        device=CPU,
        report=lambda _: kept.append(CellFolder(tmp_path).points()),
    )
    assert [[point.epoch for point in points] for points in kept] == [[1], [2, 1], [3, 2], [4, 3, 2], [5, 4, 2]]
    assert not CellFolder(tmp_path).points()
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["audit", "best.pt", "predictions.npz", "result.pt", "test"]


def best_at_first(*args: Any, **options: Any) -> dict[str, float]:
    metrics = compute_metrics(*args, **options)
    return {**metrics, "error": 10 - metrics["loss"]}


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [truncate, flip, Path.unlink], ids=["truncated", "flipped", "missing"])
@pytest.mark.parametrize("which", ["newest", "best", "all"])
def test_damaged_checkpoints_cost_time_and_nothing_else(
    few_digits: Dataset,
    tmp_path: Path,
    damage: Callable[[Path], None],
    which: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(COMPUTE_METRICS, best_at_first)
    cell = make_cell(num_train=FEW, epochs=4)
    whole = run(cell, few_digits, tmp_path / "whole")
    folder = tmp_path / "damaged"
    interrupt(cell, few_digits, folder, after=3)
    points = CellFolder(folder).points()
    chosen = {"newest": points[:1], "best": points[-1:], "all": points}[which]
    for point in chosen:
        damage(folder / point.file_name)
    again = run(cell, few_digits, folder)
    assert numbers(again.history)[-4:] == numbers(whole.history)
    assert again.result.metrics == whole.result.metrics
    assert same_weights(again.best_weights, whole.best_weights)
    if damage is not Path.unlink:
        assert "damaged" in caplog.text


def test_a_checkpoint_that_came_without_its_best_epoch_is_passed_over(
    few_digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where uploads lag behind and are cut off: the one before, with all that it needs, is better than the start."""
    losses = {1: 0.5, 2: 0.6, 3: 0.1, 4: 0.2}
    epochs = iter([*losses, 3, 4])
    monkeypatch.setattr(COMPUTE_METRICS, lambda *_, **__: {"error": 0.1, "loss": losses[next(epochs)]})
    cell, folder, early = make_cell(num_train=FEW, epochs=4), tmp_path / "cell", tmp_path / "early"

    def keep(result: EpochResult) -> None:
        if result.epoch == 2:
            shutil.copytree(folder, early)
        if result.epoch == 4:
            raise InterruptedTrainingError

    with pytest.raises(InterruptedTrainingError):
        train_cell(cell, few_digits, checkpoint_dir=folder, device=CPU, report=keep)
    assert CellFolder(folder).points() == [Point(4), Point(3)]
    shutil.copy(folder / Point(4).file_name, early)
    told: list[int] = []
    train_cell(cell, few_digits, checkpoint_dir=early, device=CPU, report=lambda result: told.append(result.epoch))
    assert told == [1, 2, 3, 4], "neither the fourth, whose best is the third, nor from the start"
    assert next(epochs, None) is None


@pytest.mark.parametrize("name", ["best.pt", "result.pt"])
def test_a_damaged_result_is_made_again(few_digits: Dataset, tmp_path: Path, name: str) -> None:
    cell = make_cell(num_train=FEW, epochs=2)
    whole = run(cell, few_digits, tmp_path)
    flip(tmp_path / name)
    again = run(cell, few_digits, tmp_path)
    assert again.result.metrics == whole.result.metrics


def test_the_best_weights_are_lost_just_before_the_test(few_digits: Dataset, tmp_path: Path) -> None:
    cell = make_cell(num_train=FEW, epochs=2)
    whole = run(cell, few_digits, tmp_path / "whole")

    def lose(result: EpochResult) -> None:
        if result.epoch == 2 and not (tmp_path / "lost").exists():
            (tmp_path / "lost").touch()
            for point in CellFolder(tmp_path / "cell").points():
                (tmp_path / "cell" / point.file_name).unlink()

    result = train_cell(cell, few_digits, checkpoint_dir=tmp_path / "cell", device=CPU, report=lose)
    assert (tmp_path / "lost").exists()
    assert result.metrics == whole.result.metrics


def test_on_a_full_disk_it_waits_and_goes_on(
    few_digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = make_cell(num_train=FEW, epochs=2)
    whole = run(cell, few_digits, tmp_path / "whole")
    monkeypatch.setattr(disk_full, "RETRY_EVERY_S", 0)
    save, said = checkpoint.save, []

    def save_when_told(path: Path, state: dict[str, Any]) -> None:
        if len(said) < 3:
            raise OSError(errno.ENOSPC, "No space left on device")  # a write does not name its file
        save(path, state)

    monkeypatch.setattr(checkpoint, "save", save_when_told)
    result = train_cell(
        cell, few_digits, checkpoint_dir=tmp_path / "cell", device=CPU, report=lambda _: None, on_full_disk=said.append
    )
    assert result.metrics == whole.result.metrics
    assert len(said) == 3
    assert str(tmp_path / "cell") in said[0]


@pytest.mark.usefixtures("_looks_after_every_step")
def test_who_is_stopped_on_a_full_disk_says_that_it_is_not_saved(
    few_digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "save", save)
    with pytest.raises(StoppedError) as stopped:
        run(
            make_cell(num_train=FEW, epochs=1, batch_size_per_worker=32),
            few_digits,
            tmp_path,
            poll=lambda: Request.STOP,
        )
    assert not stopped.value.is_saved


@pytest.mark.usefixtures("_looks_after_every_step")
def test_the_middle_of_an_epoch_on_a_gpu_is_taken_up_on_the_cpu(few_digits: Dataset, tmp_path: Path) -> None:
    """The generators of a GPU have another state, so what is left of the epoch is drawn anew."""
    cell = make_cell(num_train=FEW, epochs=2, batch_size_per_worker=32)
    with pytest.raises(StoppedError):
        run(cell, few_digits, tmp_path, poll=PollUntil(3))
    point, state = next(Checkpoints(CellFolder(tmp_path)).newest_first())
    assert point == Point(0, 3)
    for own in state["underway"]["ranks"]:
        own |= {"generator": torch.zeros(16, dtype=torch.uint8), "cuda": torch.zeros(16, dtype=torch.uint8)}
    checkpoint.save(tmp_path / point.file_name, state)
    trained = run(cell, few_digits, tmp_path)
    assert [entry.epoch for entry in trained.history] == [1, 2]


def test_waiting_for_space_can_be_ended(few_digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, _: dict[str, Any]) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded", str(path))

    monkeypatch.setattr(checkpoint, "save", refuse)
    said: list[str] = []
    with pytest.raises(StoppedError):
        train_cell(
            make_cell(num_train=FEW, epochs=1),
            few_digits,
            checkpoint_dir=tmp_path,
            device=CPU,
            report=lambda _: None,
            on_full_disk=said.append,
            poll=lambda: Request.STOP if said else Request.GO_ON,
        )
