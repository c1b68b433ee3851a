"""A plan in words."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping

from orchestrator.amounts import bytes_text, counted
from orchestrator.experiment import DatasetSpec, Experiment, TrainSettings
from orchestrator.folders import nearest_folder
from orchestrator.plan.inputs import DataFound
from orchestrator.plan.plan import Plan


def plan_lines(plan: Plan, experiment: Experiment) -> list[str]:
    """Return the plan's summary, a line for each subject and each warning."""
    resources, layout = experiment.resources, plan.layout
    used = f"{counted(resources.workers, 'worker')} x {counted(resources.cpus_per_worker, 'CPU')}"
    if resources.gpus_per_worker:
        used += f" and {counted(resources.gpus_per_worker, 'GPU')}"
    offered = ", ".join(f"{counted(node.cpus, 'CPU')} / {counted(node.gpus, 'GPU')}" for node in layout.nodes)
    trained = f"{len(plan.trained)} trained and to be delivered, " if plan.trained else ""
    lines = [
        f"cells:     {len(plan.cells)}: {len(plan.cells) - len(plan.pending)} done, {trained}"
        f"{len(plan.pending) - len(plan.trained)} to run, "
        f"{counted(experiment.train.epochs, 'epoch')} each",
        f"slots:     {layout.slots} at a time, {used} each, on {offered}",
        f"disk:      at most {bytes_text(plan.disk_peak_bytes)} more in {experiment.storage}",
    ]
    if plan.cache_bytes:
        lines.append(f"cache:     {bytes_text(plan.cache_bytes)} of decoded images more in {experiment.cache.dir}")
    return [*lines, *(f"warning:   {warning}" for warning in _warnings(plan, experiment))]


def _warnings(plan: Plan, experiment: Experiment) -> Iterator[str]:
    train = experiment.train
    for folder, needed in ((experiment.storage, plan.disk_peak_bytes), (experiment.cache.dir, plan.cache_bytes)):
        free = shutil.disk_usage(nearest_folder(folder)).free
        if needed > free:
            yield f"{bytes_text(free)} are free in {folder}, fewer than that"
    if train.class_weights and train.sampling:
        yield "train.class_weights and train.sampling correct the same imbalance twice: drop one of them"
    if (train.class_weights or train.sampling) and train.best_by in (None, "error"):
        balanced = "class_weights" if train.class_weights else "sampling"
        yield (
            f"train.{balanced} is for the rare classes, but the epoch to test is chosen by the error, which the "
            "frequent ones decide: set train.best_by to balanced_accuracy, f1_macro or auroc"
        )
    if ignored := _without_effect(train):
        yield ignored
    yield from plan.layout.warning.splitlines()


def data_lines(data: Mapping[DatasetSpec, DataFound]) -> list[str]:
    """Return how the data sets are split, which images are known to belong together, where a split tears them, and
    what cannot be measured with its images.
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
    lines += dict.fromkeys(
        f"warning:   {spec.label}: {line}" for spec, found in data.items() for line in found.unmeasured
    )
    return lines


def _without_effect(train: TrainSettings) -> str:
    """Say which settings were written although nothing reads them; empty if none were."""
    idle = [("momentum", "optimizer=adamw")] if train.optimizer == "adamw" else []
    if train.schedule == "cosine":
        idle += [("milestones", "schedule=cosine"), ("lr_decay", "schedule=cosine")]
    usual = type(train)()
    found = [
        f"train.{name} has no effect with train.{owner}"
        for name, owner in idle
        if getattr(train, name) not in (None, getattr(usual, name))
    ]
    return "; ".join(found)
