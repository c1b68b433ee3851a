"""The ``augment`` list of an experiment: alternatives whose own lists are swept, too."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, dataclass
from itertools import product
from typing import Any

from augment import AUGMENTATIONS, ParameterError, can_be_held, check_parameter, is_unsaid, parameters
from orchestrator.errors import nearest
from orchestrator.experiment.augment_options import Beside, options_beside, read_beside
from orchestrator.experiment.augment_spec import AugmentSpec, Held
from orchestrator.experiment.axes import entries, fits, split_entry, without_repeats
from orchestrator.experiment.problems import NOT_GIVEN, Problems
from orchestrator.experiment.schedule_entry import ReadNumber, instead_of, is_schedule, read_schedule
from orchestrator.experiment.schedule_spec import AnySchedule, Schedule
from orchestrator.experiment.train_entries import Entry, Said, Written, take_train
from orchestrator.plugins import known_names, place_of, plugin_of, refusals_of

# `num_mixed: batch` mixes every sample of the worker's batch, as in the paper.
WHOLE_BATCH = "batch"


@dataclass(frozen=True)
class _Choice:
    """One value that stands in the file for a parameter."""

    key: str
    written: object
    value: Held | AnySchedule


@dataclass(frozen=True)
class OfBatchSize:
    """What an entry is: it depends on the batch size, for which ``num_mixed: batch`` stands."""

    specs: tuple[tuple[int | None, AugmentSpec], ...]

    def __getitem__(self, batch_size: int) -> AugmentSpec:
        return next(spec for size, spec in self.specs if size == batch_size)


AugmentEntry = Entry[OfBatchSize]


def read_augments(
    problems: Problems, raw: object, *, batch_sizes: Callable[[Said], Iterable[int | None]], limit: int
) -> list[AugmentEntry]:
    """Return the augmentations of ``augment: name``, ``{name: {parameter: value or list}}`` or a list of those.

    Args:
        problems: Takes the problems.
        raw: What stands in the file.
        batch_sizes: Returns those of one worker that an entry is trained with; None for one that is invalid, so that
            nothing can be said about it.
        limit: How many cells there may be.
    """
    found: list[AugmentEntry] = []
    for key, item in entries(problems, "augment", raw, allowed="the name of an augmentation, or a list"):
        named = split_entry(problems, key, item, known=known_names("augment"))
        if named is not None:
            name, options = named
            # A parameter stands below the name, also where the name stands alone and the parameter is missing.
            below = f"{key}.{name}"
            key = below if isinstance(item, dict) else key
            options, train = take_train(problems, below, options)
            sizes = list(dict.fromkeys(batch_sizes(train)))
            each = [
                _expand(problems, key, name, options, below=below, batch_size=size, num_sizes=len(sizes), limit=limit)
                for size in sizes
            ]
            for alike in zip(*each, strict=False):  # shorter ones have left a problem
                specs = tuple((size, spec) for size, (_, spec) in zip(sizes, alike, strict=True))
                found.append(Entry(Written(key, alike[0][0]), OfBatchSize(specs), train))
    without_repeats(problems, [(each.at.key, each.at.value, each.means) for each in found])
    return found


def _expand(
    problems: Problems,
    key: str,
    name: str,
    options: dict[str, Any],
    *,
    below: str,
    batch_size: int | None,
    num_sizes: int,
    limit: int,
) -> list[tuple[object, AugmentSpec]]:
    """Return every combination of the values in `options` as (what is written there, specification)."""
    known = parameters(AUGMENTATIONS[name])
    before = len(problems.noted)
    allowed = [*known, *options_beside(name)]
    for option in [option for option in options if option not in allowed]:
        problems.add_unknown(
            f"{key}.{option}", options[option], word=str(option), known=allowed, what=f"parameters of {name}"
        )
    beside = read_beside(problems, below, name, options, limit=limit)
    choices = {
        parameter: _choices(problems, f"{below}.{parameter}", field, options, name=name, batch_size=batch_size)
        for parameter, field in known.items()
    }
    for values in choices.values():
        # Of several batch sizes, one alone may be a number that stands there, too.
        apart = num_sizes > 1
        meant = [str(each.written) if apart and WHOLE_BATCH in str(each.written) else each.value for each in values]
        without_repeats(problems, [(each.key, each.written, value) for each, value in zip(values, meant, strict=True)])
    if len(problems.noted) > before or not all(choices.values()):
        return []
    if not fits(problems, len(beside) * math.prod(map(len, choices.values())), limit):
        return []
    combinations = [dict(zip(choices, values, strict=True)) for values in product(*choices.values())]
    found = [_combine(problems, key, name, chosen, batch_size=batch_size) for chosen in combinations]
    return [_with(each, combination) for combination in found if combination is not None for each in beside]


def _with(beside: Beside, found: tuple[object, AugmentSpec]) -> tuple[object, AugmentSpec]:
    written, spec = found
    shown = {**written, **beside.written} if isinstance(written, dict) else beside.written or written
    return shown, spec.model_copy(update=beside.update)


def _choices(
    problems: Problems, key: str, field: Field[Any], options: dict[str, Any], *, name: str, batch_size: int | None
) -> list[_Choice]:
    """Return the values to sweep of one parameter; empty if none could be understood."""
    if field.name not in options:
        if field.default is not MISSING:
            choice = _Choice(key, field.default, field.default)
            _check_choice(problems, name, field.name, choice, batch_size=batch_size)
            return [choice]
        words = "a number, batch, or a list" if field.name == "num_mixed" else "a number, or a list of numbers"
        words = "a value, or a list of values" if plugin_of("augment", name) else words
        problems.add(key, NOT_GIVEN, allowed=words, remedy="It is missing: add it.")
        return []

    def read_number(at: str, item: object) -> Any:
        value = _value(problems, at, field, item, batch_size=batch_size)
        if value is not None:
            _check_choice(problems, name, field.name, _Choice(at, item, value), batch_size=batch_size)
        return value

    is_own = plugin_of("augment", name) is not None
    read_one: Callable[..., list[_Choice]] = _read_own if is_own else _read_one
    return [
        choice
        for item_key, item in _items(problems, key, field, options[field.name], is_own=is_own)
        for choice in (
            _scheduled(problems, item_key, item, field, read_number)
            if is_schedule(item)
            else read_one(problems, item_key, item, field, name=name, batch_size=batch_size)
        )
    ]


def _items(problems: Problems, key: str, field: Field[Any], raw: Any, *, is_own: bool) -> Iterable[tuple[str, object]]:
    """Return what is swept of a parameter: of a plug-in's, a list may be one value, and so may null."""
    if not is_own:
        return entries(problems, key, raw, allowed="a number, or a list of numbers")
    is_tuple = isinstance(field.default, tuple) and isinstance(raw, list)
    if raw is None or (is_tuple and not any(isinstance(item, list) for item in raw)):
        return [(key, raw)]
    return entries(problems, key, raw, allowed="a value, or a list")


def _scheduled(
    problems: Problems, key: str, item: Mapping[str, Any], field: Field[Any], read_number: ReadNumber
) -> list[_Choice]:
    schedule = read_schedule(problems, key, item, field, read_number)
    return [] if schedule is None else [_Choice(key, item, schedule)]


def _read_one(
    problems: Problems, key: str, item: Any, field: Field[Any], *, name: str, batch_size: int | None
) -> list[_Choice]:
    value = _value(problems, key, field, item, batch_size=batch_size)
    return [] if value is None else [_checked(problems, name, field, _Choice(key, item, value), batch_size)]


def _read_own(
    problems: Problems, key: str, item: Any, field: Field[Any], *, name: str, batch_size: int | None
) -> list[_Choice]:
    """Return a value of a plug-in's parameter, which the plug-in itself judges."""
    value = tuple(item) if isinstance(item, list) else item
    if field.name == "num_mixed" and item == WHOLE_BATCH:
        value = batch_size
        if value is None:  # the experiment is refused anyway
            return []
    elif not can_be_held(value):
        problems.add(key, item, allowed="a number, a word, true, false, null, or a list of these", remedy="")
        return []
    return [_checked(problems, name, field, _Choice(key, item, value), batch_size)]


def _checked(problems: Problems, name: str, field: Field[Any], choice: _Choice, batch_size: int | None) -> _Choice:
    _check_choice(problems, name, field.name, choice, batch_size=batch_size)
    return choice


def _value(
    problems: Problems, key: str, field: Field[Any], item: object, *, batch_size: int | None
) -> int | float | str | None:
    """Return what one number, or word, that stands at `key` means; None, and a problem, if it is none."""
    if field.name == "num_mixed" and item == WHOLE_BATCH:
        # Without a batch size the experiment is refused anyway.
        return batch_size
    if isinstance(item, str if isinstance(field.default, str) else int | float) and not isinstance(item, bool):
        return item
    words = "a number, or batch" if field.name == "num_mixed" else "a number"
    words = "a word" if isinstance(field.default, str) else words
    meant = nearest(str(item), [WHOLE_BATCH]) if field.name == "num_mixed" else None
    remedy = f"Did you mean {meant}?" if meant else "Change it; a list of values is swept."
    if isinstance(item, dict) and not isinstance(field.default, str):
        mapping, remedy = instead_of(item)
        words = f"{words}, {mapping}"
    problems.add(key, item, allowed=words, remedy=remedy)
    return None


def _check_choice(problems: Problems, name: str, parameter: str, choice: _Choice, *, batch_size: int | None) -> None:
    """Note the augmentation's own refusal of one value, whatever the other parameters are."""
    try:
        check_parameter(AUGMENTATIONS[name], parameter, choice.value)
    except refusals_of(plugin_of("augment", name)) as error:
        allowed, remedy = f"another value{reason_of(error)}", ""
        if isinstance(error, ParameterError):
            allowed, remedy = error.allowed, error.remedy
        if choice.written == WHOLE_BATCH:
            remedy = "Raise train.batch_size_per_worker."
        problems.add(choice.key, choice.written, allowed=allowed, remedy=remedy or f"Change {parameter}.")
    else:
        num = choice.value if parameter == "num_mixed" else None
        if isinstance(num, int | float) and batch_size is not None and num > batch_size:
            problems.add(
                choice.key,
                choice.written,
                allowed=f"2 to train.batch_size_per_worker={batch_size}: mixing stays inside one worker's batch",
                remedy="Lower num_mixed or raise train.batch_size_per_worker.",
            )


def _combine(
    problems: Problems, key: str, name: str, chosen: dict[str, _Choice], *, batch_size: int | None
) -> tuple[object, AugmentSpec] | None:
    known = parameters(AUGMENTATIONS[name])
    said = {parameter: each for parameter, each in chosen.items() if not is_unsaid(known[parameter], each.value)}
    written = {parameter: choice.written for parameter, choice in said.items()} or name
    spec = AugmentSpec(name=name, params={parameter: choice.value for parameter, choice in chosen.items()})
    try:
        augmentation = spec.build()
        min_batch_size = augmentation.min_batch_size
    except refusals_of(plugin_of("augment", name)) as error:
        reason, remedy = reason_of(error), f"Change {' or '.join(chosen)}." if chosen else f"Leave {name} out."
        if isinstance(error, ParameterError):
            reason, remedy = f": instead of {error.name}={error.value!r}, {error.allowed}", error.remedy or remedy
        problems.add(key, written, allowed=f"values that suit each other{reason}", remedy=remedy)
        return None
    if batch_size is not None and min_batch_size > batch_size:
        problems.add(
            key,
            NOT_GIVEN,
            allowed=f"train.batch_size_per_worker of at least {min_batch_size} "
            f"instead of {batch_size}: mixing stays inside one worker's batch",
            remedy="Raise train.batch_size_per_worker.",
        )
    # As the augmentation holds them: `gamma: 2` and `gamma: 2.0` are the same cell.
    params = {
        parameter: each.value if isinstance(each.value, Schedule) else getattr(augmentation, parameter)
        for parameter, each in said.items()
    }
    for parameter, value in params.items():
        if isinstance(value, Schedule) or can_be_held(value):
            continue
        allowed = f"numbers, words and tuples, and the plug-in makes {value!r} of it"
        problems.add(f"{key}.{parameter}", chosen[parameter].written, allowed=allowed, remedy="Mend the plug-in.")
        return None
    return written, AugmentSpec(name=name, params=params)


def reason_of(error: Exception) -> str:
    """Return what `error` says, on one line and after a colon; nothing if it says nothing.

    What is no refusal of a value is a mistake in somebody's code: the file and the line are said.
    """
    said = " ".join(str(error).split()) if isinstance(error, refusals_of(None)) else place_of(error)
    return f": {said}" if said else ""
