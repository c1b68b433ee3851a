"""Whether schedules suit the trainings that they meet: how long these are, and all values that they take there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from augment import ParameterError
from orchestrator.experiment.augment_spec import OF_IMAGES, AugmentSpec
from orchestrator.experiment.augments import reason_of
from orchestrator.experiment.problems import Problems
from orchestrator.experiment.train_entries import Written
from orchestrator.experiment.train_settings import TrainSettings
from orchestrator.plugins import plugin_of, refusals_of


def check_schedules(
    problems: Problems, met: Iterable[tuple[AugmentSpec, TrainSettings]], places: Mapping[AugmentSpec, Written]
) -> None:
    """Note a problem for each schedule that does not suit a training, or becomes what cannot be.

    Args:
        problems: Takes the problems.
        met: Which augmentation is trained how.
        places: Where augmentations stand.
    """
    scheduled = {spec: at.key for spec, at in places.items() if spec.schedules}
    first: dict[tuple[TrainSettings, tuple[AugmentSpec, ...]], AugmentSpec] = {}
    for spec, train in dict.fromkeys(each for each in met if each[0] in scheduled) if scheduled else ():
        key, before = scheduled[spec], len(problems.noted)
        _check_lengths(problems, key, spec, train)
        if len(problems.noted) > before:
            continue
        epochs = tuple(spec.at(epoch, of=train.epochs) for epoch in range(1, train.epochs + 1))
        if (same := first.setdefault((train, epochs), spec)) is not spec:
            remedy = f"With train.epochs={train.epochs} it is what {same.label} is: remove one of the two."
            problems.add(key, spec.label, allowed="each cell once", remedy=remedy)
        _check_values(problems, key, epochs, batch_size=train.batch_size_per_worker)


def _check_lengths(problems: Problems, key: str, spec: AugmentSpec, train: TrainSettings) -> None:
    """Note the schedules that have no time to become all that is written."""
    for name, schedule in spec.schedules.items():
        off, place = train.mixing_off_epochs or 0 if spec.mixes else 0, name
        if name.startswith(OF_IMAGES) and spec.combine is not None:
            # What is done to each image goes on where nothing is mixed.
            off, place = 0, name.replace(OF_IMAGES, f"{OF_IMAGES}{spec.combine.name}.", 1)
        num_epochs, where = train.epochs - off, f"train.epochs={train.epochs}"
        if off:
            where = f"the first {num_epochs} of {where} (in the last {off} nothing is mixed)"
        if schedule.num_epochs > num_epochs:
            allowed = f"a schedule that is over within {where}: this one takes {schedule.num_epochs}"
            remedy = "Shorten the schedule or raise train.epochs."
            problems.add(f"{key}.{place}", str(schedule), allowed=allowed, remedy=remedy)


def _check_values(problems: Problems, key: str, epochs: Sequence[AugmentSpec], *, batch_size: int) -> None:
    """Note the first epoch whose values the augmentation refuses, or the batch cannot be mixed with."""
    tried: set[AugmentSpec] = set()
    for epoch, now in enumerate(epochs, start=1):
        if now in tried:
            continue
        tried.add(now)
        try:
            needed = now.build().min_batch_size
        except refusals_of(plugin_of("augment", now.name)) as error:
            allowed, remedy = f"what {now.name} takes in each epoch{reason_of(error)}", ""
            if isinstance(error, ParameterError):
                allowed, remedy = f"in each epoch {error.allowed}", error.remedy
            problems.add(key, _in(epoch, now), allowed=allowed, remedy=remedy or "Change the schedule.")
            return
        if needed > batch_size:
            allowed = f"what needs at most train.batch_size_per_worker={batch_size} samples, not {needed}"
            remedy = "Change the schedule or raise train.batch_size_per_worker."
            problems.add(key, _in(epoch, now), allowed=allowed, remedy=remedy)
            return


def _in(epoch: int, spec: AugmentSpec) -> str:
    return f"{spec.label} in epoch {epoch}"
