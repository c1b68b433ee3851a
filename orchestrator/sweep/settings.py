"""What the driver tells a slot and its workers once, for all cells that they train."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.data import Cache, DataDir
from orchestrator.experiment import Resources
from orchestrator.plugins import Carried
from orchestrator.storage import Storage
from orchestrator.sweep.proof import Proof


@dataclass(frozen=True)
class SlotSettings:
    """What is the same for all cells of a slot.

    Attributes:
        data_dir: Where the data sets lie.
        storage: Of the experiment: where the folders of the cells are.
        train_dir: Absolute folder for Ray Train's own files.
        resources: What each worker occupies, and how it is fed, saved and restarted.
        cache: Where decoded images lie on each machine.
        preemptible: Whether nodes may be taken away with a notice.
        plugins: Code of the user's own that the cells are trained with.
        proof: What a node is asked before workers start on it; None on the cluster that was started here.
        able_nodes: The ids of those that were asked and can train.
        refused_nodes: Of those that cannot.
    """

    data_dir: DataDir
    storage: Storage
    train_dir: str
    resources: Resources
    cache: Cache
    preemptible: bool
    plugins: Carried
    proof: Proof | None = None
    able_nodes: tuple[str, ...] = ()
    refused_nodes: tuple[str, ...] = ()
