"""What a sweep would do: its cells, which of them are done, how it is placed and how much disk it takes at most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.data import num_classes_of
from orchestrator.experiment import Cell, Experiment
from orchestrator.models import build_model
from orchestrator.plan.images import cache_bytes
from orchestrator.plan.placement import Layout
from orchestrator.records import CellRun
from orchestrator.storage import checkpoints as checkpoint
from orchestrator.waiting import waiting_for

# Weights are counted per copy: a resumable checkpoint has them once and the optimizer's state; the best weights and
# MLflow's model have them once each.
OPTIMIZER_COPIES = {"sgd": 1, "adamw": 2}
# Only the channels of the first layer depend on the real image, hardly a byte of the whole.
NOMINAL_CHANNELS, NOMINAL_SIZE = 3, 224


@dataclass(frozen=True)
class Plan:
    """What `run` would do.

    Attributes:
        cells: All cells of the experiment.
        pending: Those that are not done.
        trained: Those of them that are trained: MLflow lacks their results.
        layout: Where they would be placed.
        disk_peak_bytes: What checkpoints and models take at most, while the last cells run.
        cache_bytes: What decoded images take, on each machine, beside those that are there.
    """

    cells: tuple[Cell, ...]
    pending: tuple[Cell, ...]
    trained: tuple[Cell, ...]
    layout: Layout
    disk_peak_bytes: int
    cache_bytes: int


def pending_cells(cells: Sequence[Cell], runs: Mapping[str, CellRun]) -> list[Cell]:
    """Return the cells that have no finished run."""
    return [cell for cell in cells if cell.key not in runs or runs[cell.key].status != "done"]


@waiting_for("the size of data sets and models")
def make_plan(experiment: Experiment, cells: Sequence[Cell], runs: Mapping[str, CellRun], layout: Layout) -> Plan:
    """Put the plan together; the data sets must be there, since a model's size depends on the number of classes."""
    pending = pending_cells(cells, runs)
    layout = replace(layout, slots=max(1, min(layout.slots, len(pending))))
    with_result = {key for key, run in runs.items() if run.has_result}
    trained = [cell for cell in pending if cell.key in with_result]
    weights = {(cell.dataset, cell.model): 0 for cell in pending}
    for spec, model in weights:
        num_classes = num_classes_of(spec.name, experiment.data_dir, **spec.check_options())
        weights[spec, model] = _weight_bytes(model, num_classes)
    sizes = [weights[cell.dataset, cell.model] for cell in pending if cell.key not in with_result]
    kept = 2 * sum(sizes) + sum(weights[cell.dataset, cell.model] for cell in trained)
    # The newest ones, that of the best epoch, and the one that is being written.
    resumable = (
        (checkpoint.KEPT + 2)
        * (1 + OPTIMIZER_COPIES[experiment.train.optimizer])
        * max(sizes, default=0)
        * layout.slots
    )
    return Plan(
        cells=tuple(cells),
        pending=tuple(pending),
        trained=tuple(trained),
        layout=layout,
        disk_peak_bytes=kept + resumable,
        cache_bytes=cache_bytes([cell.dataset for cell in pending], experiment),
    )


def _weight_bytes(model: str, num_classes: int) -> int:
    network = build_model(model, num_classes=num_classes, num_channels=NOMINAL_CHANNELS, image_size=NOMINAL_SIZE)
    return sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
