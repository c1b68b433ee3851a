"""A plan in words."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from orchestrator.amounts import bytes_text, counted
from orchestrator.experiment import OPTIMIZERS, USUAL_TF32, DatasetSpec, Experiment, Resources, TrainSettings
from orchestrator.folders import by_disk, nearest_folder
from orchestrator.plan.inputs import DataFound
from orchestrator.plan.packing import packing_lines
from orchestrator.plan.plan import Plan
from orchestrator.plan.searching import search_lines
from orchestrator.plugins import plugins_in_use


def plan_lines(plan: Plan, experiment: Experiment) -> list[str]:
    """Return the plan's summary, a line for each subject and each warning."""
    resources, layout = experiment.resources, plan.layout
    used = f"{counted(resources.workers, 'worker')} x {counted(resources.cpus_per_worker, 'CPU')}"
    if resources.gpus_per_worker:
        used += f" and {counted(resources.gpus_per_worker, 'GPU')}"
    offered = ", ".join(f"{counted(node.cpus, 'CPU')} / {counted(node.gpus, 'GPU')}" for node in layout.nodes)
    trained = f"{len(plan.trained)} trained and to be delivered, " if plan.trained else ""
    stopped = f"{plan.num_stopped} stopped, " if plan.num_stopped else ""
    num_to_run = len(plan.pending) - len(plan.trained)
    # Of a search, more may be asked, and some are stopped.
    to_run = f"{num_to_run} to run, " if experiment.search is None else f"{num_to_run} known that may run, up to "
    paused = f", {bytes_text(plan.paused_bytes)} of it for cells that wait" if plan.paused_bytes else ""
    lines = [
        f"cells:     {len(plan.cells)}: {len(plan.cells) - len(plan.pending) - plan.num_stopped} done, {stopped}"
        f"{trained}{to_run}"
        f"{_epochs(cell.train.epochs for cell in plan.cells)} each",
        *search_lines(plan.searched),
        *([f"left out:  {plan.left_out}"] if plan.left_out else []),
        f"slots:     {layout.slots} at a time, {used} each, on {offered}",
        *packing_lines(layout, experiment),
        f"disk:      at most {bytes_text(plan.disk_peak_bytes)} more in {experiment.storage}{paused}",
    ]
    if plan.cache_bytes:
        lines.append(f"cache:     {bytes_text(plan.cache_bytes)} of decoded images more in {experiment.cache.dir}")
    if plan.copied_bytes:
        lines.append(
            f"copies:    at most {bytes_text(plan.copied_bytes)} of checkpoints in {experiment.cache.dir}, where one "
            "machine has all slots"
        )
    lines += [f"own code:  {plugin.file}: {plugin.code}" for plugin in plugins_in_use()]
    return [*lines, *(f"warning:   {warning}" for warning in _warnings(plan, experiment))]


def _warnings(plan: Plan, experiment: Experiment) -> Iterator[str]:
    yield from _of_room(plan, experiment)
    yield from dict.fromkeys(warning for train in experiment.train for warning in _of_imbalance(train))
    if ignored := _without_effect(experiment.train):
        yield ignored
    if idle := idle_without_gpus(experiment.resources):
        yield idle
    ending = [each.augment for each in experiment.grid if each.train.mixing_off_epochs]
    if ending and not any(augment.mixes for augment in ending):
        yield "train.mixing_off_epochs has no effect: none of the augmentations that have it mixes"
    yield from _of_search(experiment)
    yield from plan.layout.warning.splitlines()


def _of_room(plan: Plan, experiment: Experiment) -> Iterator[str]:
    """Yield what a disk has free where it lacks room for all that goes there."""
    needed = {experiment.storage: plan.disk_peak_bytes} if isinstance(experiment.storage, Path) else {}
    cache = experiment.cache.dir
    needed[cache] = needed.get(cache, 0) + plan.cache_bytes + plan.copied_bytes
    for folders in by_disk(folder for folder, num_bytes in needed.items() if num_bytes):
        free, wanted = shutil.disk_usage(nearest_folder(folders[0])).free, sum(needed[folder] for folder in folders)
        if wanted > free:
            those = "that" if len(folders) == 1 else f"the {bytes_text(wanted)} of both, which are on one disk"
            yield f"{bytes_text(free)} are free in {' and '.join(map(str, folders))}, fewer than {those}"


def _of_search(experiment: Experiment) -> Iterator[str]:
    """Yield where a search looks at another metric than the file decides by: it may stop what that finds best."""
    search, metric = experiment.search, experiment.compare.metric
    if search is None or (search.race == "none" and search.sampler != "optuna"):
        return
    others = {train.best_by for train in experiment.train} & {"balanced_accuracy", "f1_macro", "auroc"}
    written = [f"train.best_by is {name}" for name in sorted(filter(None, others))]
    if metric.removeprefix("test/") != "error":
        written.append(f"compare.metric is {metric}")
    if written:
        yield (
            f"the search goes by the validation error, and {' and '.join(written)}: it may stop what is best by that. "
            "search.race=none with another sampler than optuna trains all to the end"
        )


def idle_without_gpus(resources: Resources) -> str:
    """Say which keys were written for GPUs that the workers do not have; empty if none were."""
    if resources.gpus_per_worker:
        return ""
    idle = ["tf32"] if resources.tf32 != USUAL_TF32 else []
    if not resources.deterministic and resources.compile != "max-autotune":
        idle.append("deterministic")
    return "; ".join(f"resources.{name} has no effect with resources.gpus_per_worker=0" for name in idle)


def _epochs(epochs: Iterable[int]) -> str:
    """Return e.g. ``5 epochs``, ``5 or 100 epochs`` or, of many, ``5 to 100 epochs``."""
    *fewer, most = sorted(set(epochs))
    if len(fewer) > 2:
        return f"{fewer[0]:,} to {counted(most, 'epoch')}"
    return " or ".join(filter(None, (", ".join(f"{number:,}" for number in fewer), counted(most, "epoch"))))


def _of_imbalance(train: TrainSettings) -> Iterator[str]:
    if train.class_weights and train.sampling:
        yield "train.class_weights and train.sampling correct the same imbalance twice: drop one of them"
    if (train.class_weights or train.sampling) and train.best_by in (None, "error"):
        balanced = "class_weights" if train.class_weights else "sampling"
        yield (
            f"train.{balanced} is for the rare classes, but the epoch to test is chosen by the error, which the "
            "frequent ones decide: set train.best_by to balanced_accuracy, f1_macro or auroc"
        )


def data_lines(data: Mapping[DatasetSpec, DataFound]) -> list[str]:
    """Return how the data sets are split, which images are known to belong together, where a split tears them, what
    cannot be measured with its images, and what networks take of the weights that they begin with.
    """
    of_groups: dict[str, dict[str, None]] = {}
    for spec, found in data.items():
        of_groups.setdefault(found.groups, {})[spec.label] = None
    of_splits: dict[str, str] = {}
    for spec, found in data.items():  # of a set in folds the first
        of_splits.setdefault(spec.label, found.splits)
    lines = [f"splits:    {label}: {splits}" for label, splits in of_splits.items()]
    lines += [f"groups:    {', '.join(labels)}: {groups}" for groups, labels in of_groups.items()]
    lines += [
        f"warning:   {counted(len(found.torn), 'group')} of {spec.label} stand in two splits, e.g. {found.torn[0]}: "
        "zetasweep data check lists them"
        for spec, found in data.items()
        if found.torn
    ]
    # Of a set in folds all may say the same.
    lines += dict.fromkeys(f"weights:   {spec.label}: {line}" for spec, found in data.items() for line in found.weights)
    lines += dict.fromkeys(f"warning:   {spec.label}: {line}" for spec, found in data.items() for line in found.doubts)
    lines += dict.fromkeys(
        f"warning:   {spec.label}: {line}" for spec, found in data.items() for line in found.unmeasured
    )
    return lines


def _without_effect(trainings: Sequence[TrainSettings]) -> str:
    """Say which settings were written although nothing reads them in any of the trainings; empty if none were."""
    usual = TrainSettings()
    found = []
    for name, owner in dict.fromkeys(pair for train in trainings for pair in _idle(train)):
        off = (None, getattr(usual, name))
        written = [train for train in trainings if (value := getattr(train, name)) not in off and value is not False]
        if written and all((name, owner) in _idle(train) for train in written):
            found.append(f"train.{name} has no effect with train.{owner}")
    return "; ".join(found)


def _idle(train: TrainSettings) -> list[tuple[str, str]]:
    """Return the settings that nothing reads, each with what makes it so."""
    info = OPTIMIZERS[train.optimizer]
    reads = {"momentum": info.momentum, "nesterov": info.nesterov, "betas": info.betas is not None}
    idle = [(name, f"optimizer={train.optimizer}") for name, is_read in reads.items() if not is_read]
    if train.schedule != "multistep":
        idle += [(name, f"schedule={train.schedule}") for name in ("milestones", "lr_decay")]
    if train.schedule == "onecycle":
        idle += [("warmup_epochs", "schedule=onecycle")]
    if train.weight_decay == 0:
        idle += [("no_decay_norm_bias", "weight_decay=0")]
    return idle
