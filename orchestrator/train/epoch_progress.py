"""How far one rank is in the epoch that it trains, and its generators of random numbers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from orchestrator.train.ranks import Ranks
from orchestrator.train.seeds import AUGMENT, MODEL, derive_seed
from orchestrator.train.snapshot import RankState, Underway


@dataclass
class EpochProgress:
    """The epoch that is being trained, on one rank.

    Attributes:
        lr: The learning rate of its first step.
        generator: What its augmentation is drawn from, on the device.
        loss_sum: Of its steps so far, a scalar on the device.
        step: How many those are.
        seconds: How long they took.
    """

    lr: float
    generator: torch.Generator
    loss_sum: Tensor
    step: int = 0
    seconds: float = 0.0

    def underway(self, ranks: Ranks) -> Underway:
        """Return what is written of it; called by all ranks."""
        device = self.generator.device
        own = RankState(
            generator=self.generator.get_state(),
            torch=torch.get_rng_state(),
            cuda=torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
            loss_sum=self.loss_sum.cpu(),
        )
        return Underway(lr=self.lr, step=self.step, seconds=self.seconds, ranks=ranks.of_all(own))


def begin_epoch(*, seed: int, epoch: int, rank: int, lr: float, device: torch.device) -> EpochProgress:
    """Return the progress of an epoch before its first step, and seed this rank's generators for it."""
    torch.manual_seed(derive_seed(seed, MODEL, epoch, rank))
    generator = torch.Generator(device).manual_seed(derive_seed(seed, AUGMENT, epoch, rank))
    return EpochProgress(lr=lr, generator=generator, loss_sum=torch.zeros((), device=device))


def resume_epoch(underway: Underway, *, seed: int, epoch: int, rank: int, device: torch.device) -> EpochProgress:
    """Return the progress of an epoch that was under way, with this rank's generators where they were.

    A generator of the CPU cannot take the state of a GPU's, nor the other way round: on another kind of device the rest
    of the epoch is drawn anew, from seeds of its own.
    """
    own = underway.ranks[rank]
    generator = torch.Generator(device)
    on_cuda = device.type == "cuda"
    if on_cuda == (own.cuda is not None):
        generator.set_state(own.generator)
        torch.set_rng_state(own.torch)
        if own.cuda is not None:
            torch.cuda.set_rng_state(own.cuda, device)
    else:
        place = epoch, rank, underway.step
        generator.manual_seed(derive_seed(seed, AUGMENT, *place))
        torch.manual_seed(derive_seed(seed, MODEL, *place))
    return EpochProgress(
        lr=underway.lr,
        generator=generator,
        loss_sum=own.loss_sum.to(device),
        step=underway.step,
        seconds=underway.seconds,
    )
