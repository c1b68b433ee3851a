"""What a training writes down of itself: the content of its checkpoints, and the only place that knows their keys.

The keys are those of the first version that resumed in the middle of an epoch: files of earlier versions are read, and
earlier versions read these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from orchestrator.records import CellResult, DatasetFacts, EpochResult

State = dict[str, Any]
"""What a file holds: tensors and plain values, by key."""


@dataclass(frozen=True)
class RankState:
    """What one rank has of its own in the middle of an epoch.

    Attributes:
        generator: State of what the augmentation is drawn from: uint8, on the CPU.
        torch: State of torch's global generator, which dropout draws from.
        cuda: State of the GPU's global generator; None where the rank trained on the CPU.
        loss_sum: Of its steps in this epoch, a scalar on the CPU.
    """

    generator: Tensor
    torch: Tensor
    cuda: Tensor | None
    loss_sum: Tensor

    def to_state(self) -> State:
        """Return what is written."""
        return {"generator": self.generator, "torch": self.torch, "cuda": self.cuda, "loss_sum": self.loss_sum}

    @classmethod
    def from_state(cls, state: State) -> RankState:
        """Return what `to_state` returned it from."""
        return cls(state["generator"], state["torch"], state["cuda"], state["loss_sum"])


@dataclass(frozen=True)
class Underway:
    """The epoch that was being trained when the snapshot was taken.

    Attributes:
        lr: The learning rate of its first step.
        step: How many optimizer steps were done.
        seconds: How long they took.
        ranks: What each rank has of its own, by rank.
    """

    lr: float
    step: int
    seconds: float
    ranks: Sequence[RankState]

    def to_state(self) -> State:
        """Return what is written."""
        ranks = [rank.to_state() for rank in self.ranks]
        return {"lr": self.lr, "step": self.step, "seconds": self.seconds, "ranks": ranks}

    @classmethod
    def from_state(cls, state: State) -> Underway:
        """Return what `to_state` returned it from."""
        ranks = [RankState.from_state(rank) for rank in state["ranks"]]
        return cls(state["lr"], state["step"], state["seconds"], ranks)


@dataclass(frozen=True)
class LearnerState:
    """The state dictionaries of model, optimizer and learning rate schedule, and of the average of the weights."""

    model: State
    optimizer: State
    schedule: State
    average: State | None = None


@dataclass(frozen=True)
class Snapshot:
    """A training at one point, complete: a training goes on from it as if nothing had been between.

    Attributes:
        split_hash: Of the data that it was trained on.
        history: The finished epochs.
        epoch: How many they are.
        underway: The epoch after them; None between two epochs.
        learner: Model, optimizer and schedule.
        pixel_hash: Of the images of that data; None if it is not known.
    """

    split_hash: str
    history: Sequence[EpochResult]
    epoch: int
    underway: Underway | None
    learner: LearnerState
    pixel_hash: str | None = None

    def to_state(self) -> State:
        """Return the content of the checkpoint."""
        average = self.learner.average
        return {
            "split_hash": self.split_hash,
            "history": [asdict(entry) for entry in self.history],
            "result": None,
            "epoch": self.epoch,
            "underway": self.underway.to_state() if self.underway is not None else None,
            "model": self.learner.model,
            "optimizer": self.learner.optimizer,
            "schedule": self.learner.schedule,
            **({"average": average} if average is not None else {}),
            **({"pixel_hash": self.pixel_hash} if self.pixel_hash is not None else {}),
        }


@dataclass(frozen=True)
class Finished:
    """A training that is over and tested.

    Attributes:
        split_hash: Of the data that it was trained on.
        history: Its epochs.
        result: What it leaves.
    """

    split_hash: str
    history: Sequence[EpochResult]
    result: CellResult

    def to_state(self) -> State:
        """Return the content of ``result.pt``."""
        history = [asdict(entry) for entry in self.history]
        return {"split_hash": self.split_hash, "history": history, "result": asdict(self.result)}


@dataclass(frozen=True)
class BestWeights:
    """What a finished training keeps for ever.

    Attributes:
        model: The state dictionary of the model after the best epoch.
        epoch: The number of that epoch.
        data: What it was trained on, without which no model can be made of it.
    """

    model: State
    epoch: int
    data: DatasetFacts

    def to_state(self) -> State:
        """Return the content of ``best.pt``."""
        return {"model": self.model, "epoch": self.epoch, "data": asdict(self.data)}


def from_state(state: State) -> Snapshot | Finished:
    """Return what the content of a checkpoint, or of ``result.pt``, says."""
    history = [EpochResult(**entry) for entry in state["history"]]
    if state["result"] is not None:
        return Finished(state["split_hash"], history, CellResult(**state["result"]))
    underway = Underway.from_state(state["underway"]) if state["underway"] is not None else None
    learner = LearnerState(state["model"], state["optimizer"], state["schedule"], state.get("average"))
    return Snapshot(state["split_hash"], history, state["epoch"], underway, learner, state.get("pixel_hash"))


def evaluated_weights(state: State) -> State:
    """Return the state dictionary in a checkpoint that its training is judged by: the average, where there is one."""
    average: State | None = state.get("average")
    if average is None:
        weights: State = state["model"]
        return weights
    # torch's AveragedModel has beside the network the number of steps in it.
    return {name.removeprefix("module."): value for name, value in average.items() if name.startswith("module.")}
