"""What the driver tells a slot and its workers once, for all cells that they train."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.data import Cache
from orchestrator.experiment.settings import Resources


@dataclass(frozen=True)
class SlotSettings:
    """What is the same for all cells of a slot.

    Attributes:
        data_dir: Absolute folder of the data sets.
        cells_dir: Absolute folder that holds one folder of checkpoints per cell, by key.
        train_dir: Absolute folder for Ray Train's own files.
        resources: What each worker occupies, and how it is fed, saved and restarted.
        cache: Where decoded images lie on each machine.
        preemptible: Whether nodes may be taken away with a notice.
    """

    data_dir: str
    cells_dir: str
    train_dir: str
    resources: Resources
    cache: Cache
    preemptible: bool
