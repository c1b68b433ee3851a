"""What a sweep would do: its cells, which of them are done, how it is placed and how much disk it takes at most."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import nn

from orchestrator.data import num_classes_of, shape_of
from orchestrator.experiment import OPTIMIZERS, Cell, DatasetSpec, Experiment, ModelSpec, TrainSettings
from orchestrator.models import build_model
from orchestrator.plan.images import cache_bytes, readable_source
from orchestrator.plan.placement import Layout
from orchestrator.plan.searching import Searched, searched
from orchestrator.plugins import plugin_of
from orchestrator.racing import Followed
from orchestrator.records import CellRun
from orchestrator.storage import Storage
from orchestrator.storage import checkpoints as checkpoint
from orchestrator.train import bytes_to_keep
from orchestrator.waiting import waiting_for

# Only the channels of the first layer depend on the real image, hardly a byte of the whole.
NOMINAL_CHANNELS, NOMINAL_SIZE = 3, 224
# What a cell that waits goes on from, and its best epoch.
_KEPT_PAUSED = 2


@dataclass(frozen=True)
class Plan:
    """What `run` would do.

    Attributes:
        cells: All cells of the experiment.
        pending: Those that are not done, and that no race has stopped.
        trained: Those of them that are trained: MLflow lacks their results.
        searched: What each column of a search trains at most; empty without a search.
        left_out: What is to be said of configurations that a search has no more; None if there is none.
        num_stopped: How many cells a race has stopped.
        layout: Where they would be placed.
        paused_bytes: What of `disk_peak_bytes` checkpoints of cells take that a race has stopped, or that wait for its
            next rung.
        disk_peak_bytes: What checkpoints, models and the weights that they begin with take at most, while the last
            cells run.
        cache_bytes: What decoded images take, on each machine, beside those that are there.
        copied_bytes: What copies of checkpoints take at most where they are kept as objects: on each machine, for the
            slots that it has of them all.
        reached: The epoch that a pending cell goes on behind, by key; of those that have a checkpoint in the storage.
    """

    cells: tuple[Cell, ...]
    pending: tuple[Cell, ...]
    trained: tuple[Cell, ...]
    searched: tuple[Searched, ...]
    left_out: str | None
    num_stopped: int
    layout: Layout
    paused_bytes: int
    disk_peak_bytes: int
    cache_bytes: int
    copied_bytes: int
    reached: Mapping[str, int]


def pending_cells(cells: Sequence[Cell], runs: Mapping[str, CellRun]) -> list[Cell]:
    """Return the cells that have no finished run, but for those that a race has stopped."""
    return [cell for cell in cells if cell.key not in runs or runs[cell.key].status not in ("done", "stopped")]


@waiting_for("the size of data sets and models")
def make_plan(
    experiment: Experiment,
    cells: Sequence[Cell],
    runs: Mapping[str, CellRun],
    layout: Layout,
    *,
    followed: Followed | None = None,
) -> Plan:
    """Put the plan together; the data sets must be there, since a model's size depends on the number of classes.

    Args:
        experiment: What is planned.
        cells: Of it.
        runs: What is known of them, by key.
        layout: Where they run.
        followed: How far its search is; None without, or before anybody has looked.
    """
    pending = pending_cells(cells, runs)
    layout = replace(layout, slots=max(1, min(layout.slots, len(pending))))
    with_result = {key for key, run in runs.items() if run.has_result}
    trained = [cell for cell in pending if cell.key in with_result]
    weights = {(cell.dataset, cell.model): 0 for cell in pending}
    for spec, model in weights:
        num_classes = num_classes_of(spec.name, experiment.data_in, **spec.check_options())
        weights[spec, model] = _weight_bytes(model, num_classes, spec, experiment)
    to_run = [cell for cell in pending if cell.key not in with_result]
    exported = {
        "all": pending,
        "best": list({cell.config_key: cell for cell in pending}.values()),
        "none": [],
    }[experiment.tracking.models]
    copies = max((_copies(cell.train) for cell in to_run), default=0)
    found = searched(experiment, followed)
    if not found:
        # The best weights, and MLflow's model where there is to be one.
        kept, paused = sum(weights[cell.dataset, cell.model] for cell in (*to_run, *exported)), 0
    else:
        kept, paused = _kept_by_search(found, experiment, weights, copies)
    state = max((copies * weights[cell.dataset, cell.model] for cell in to_run), default=0)
    # The newest ones, that of the best epoch, and the one that is being written.
    resumable = (checkpoint.KEPT + 2) * state * layout.slots
    begun_with = bytes_to_keep([cell.model for cell in pending], experiment.kept_in)
    is_copied = experiment.kept_in.is_copied
    return Plan(
        cells=tuple(cells),
        pending=tuple(pending),
        trained=tuple(trained),
        searched=found,
        left_out=followed.left_out_text if followed is not None else None,
        num_stopped=sum(cell.key in runs and runs[cell.key].status == "stopped" for cell in cells),
        layout=layout,
        paused_bytes=paused,
        disk_peak_bytes=kept + paused + resumable + begun_with,
        cache_bytes=cache_bytes([cell.dataset for cell in pending], experiment),
        copied_bytes=resumable + begun_with if is_copied else 0,
        reached=reached_epochs(pending, experiment.kept_in),
    )


def reached_epochs(cells: Iterable[Cell], storage: Storage) -> dict[str, int]:
    """Return the epoch that each cell goes on behind, by key: of those that have a checkpoint."""
    with storage.glance():
        found = {cell.key: max((point.epoch for point in storage.cell(cell.key).points()), default=0) for cell in cells}
    return {key: epoch for key, epoch in found.items() if epoch}


def _kept_by_search(
    found: Sequence[Searched],
    experiment: Experiment,
    weights: Mapping[tuple[DatasetSpec, ModelSpec], int],
    copies: int,
) -> tuple[int, int]:
    """Return what the cells of a search leave, and what those of them that wait take at most.

    Which cells they are is not known yet, and those that are there already are counted, too: there are no more of them
    than that.
    """
    kept = paused = 0
    for each in found:
        of_model = weights.get((each.column.dataset, each.column.model), 0)
        exported = {"all": each.cells.finished, "best": each.column.num_samples, "none": 0}[experiment.tracking.models]
        kept += of_model * (each.cells.finished + min(exported, each.cells.finished))
        paused += of_model * copies * _KEPT_PAUSED * each.cells.paused
    return kept, paused


def _weight_bytes(model: ModelSpec, num_classes: int, spec: DatasetSpec, experiment: Experiment) -> int:
    def built(num_channels: int, image_size: int) -> nn.Module:
        return build_model(
            model.name, num_classes=num_classes, num_channels=num_channels, image_size=image_size, **model.options
        )

    def built_for_its_images() -> nn.Module:
        source, _ = readable_source(spec, experiment)
        _, (num_channels, _, side) = shape_of(source, spec.stored_size)
        return built(num_channels, spec.image_size or side)

    if plugin_of("model", model.name) is not None:
        # It may have weights for each pixel, and need take no images but those that it is for.
        network = built_for_its_images()
    else:
        try:
            network = built(NOMINAL_CHANNELS, NOMINAL_SIZE)
        except ValueError:
            network = built_for_its_images()
    return sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())


def _copies(train: TrainSettings) -> int:
    """Return how many tensors of each weight's size a resumable checkpoint has, itself among them."""
    return 1 + OPTIMIZERS[train.optimizer].state_copies + (train.ema_decay is not None)
