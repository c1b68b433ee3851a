"""What a search chooses from: each alternative of ``augment``, with what of it and of its training is still open."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from augment import AUGMENTATIONS, SINGLE_IMAGES, parameters
from orchestrator.experiment.augment_options import COMBINE, NOTHING
from orchestrator.experiment.axes import entries, split_entry
from orchestrator.experiment.branch import TRAIN, Branch
from orchestrator.experiment.cells import resolved, resolved_for
from orchestrator.experiment.problems import Problems, in_full
from orchestrator.experiment.resources import Resources
from orchestrator.experiment.train_entries import Recipe, Said, take_train
from orchestrator.plugins import known_names
from orchestrator.search import Axis, Range, Scalar, is_range, read_range

_Read = Callable[[Mapping[str, Scalar]], object]


def read_branches(raw: object, *said: Said, file: str, resources: Resources) -> list[Branch]:
    """Return the branches of one data set and model; an axis is in those alone whose cells it makes others.

    Args:
        raw: The ``augment`` of the file, which is valid.
        said: What the file says of the training, a later place before an earlier one.
        file: Of the experiment.
        resources: Of the experiment.
    """
    found = []
    ignored = Problems(file)  # valid already
    for key, item in entries(ignored, "augment", raw, allowed=""):
        named = split_entry(ignored, key, item, known=known_names("augment"))
        assert named is not None, "the file was read before"
        options, own = take_train(ignored, f"{key}.{named[0]}", named[1])
        for each, place in _by_combine(options):
            branch = _branch(file, f"{key}.{named[0]}", named[0], each, Recipe(*said, own), combine=place)
            found += _conditional(branch, _identity(branch, resources))
    return _told_apart(found)


def _by_combine(options: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the options with each of the alternatives of ``combine``, which have parameters of their own, and where
    that stands.
    """
    combine = options.get(COMBINE)
    if not isinstance(combine, list):
        yield dict(options), COMBINE
        return
    for index, each in enumerate(combine):
        yield {**options, COMBINE: each}, f"{COMBINE}[{index}]"


def _branch(file: str, key: str, name: str, options: dict[str, Any], recipe: Recipe, *, combine: str) -> Branch:
    axes: dict[str, Axis] = {}
    keys: dict[str, str] = {}
    meant: dict[tuple[str, Scalar], Any] = {}
    fixed: dict[str, Scalar] = {}
    train = {str(setting): said.at.value for setting, said in recipe.said.items()}
    places = [
        (option, f"{key}.{option.replace(COMBINE, combine, 1) if option.startswith(COMBINE) else option}", value)
        for option, value in _open(name, options)
    ]
    for setting, said in recipe.said.items():
        if said.swept or is_range(said.at.value):
            places.append((f"{TRAIN}{setting}", said.at.key, said.at.value))
    for axis, place, value in places:
        keys[axis] = place
        if is_range(value):
            axes[axis] = read_range(value)
            continue
        shown = [each if isinstance(each, bool | int | float | str | None) else in_full(each) for each in value]
        meant |= {(axis, text): each for text, each in zip(shown, value, strict=True)}
        axes[axis] = tuple(shown)
        if len(shown) == 1:
            fixed[axis] = shown[0]
    single = options.get(COMBINE)
    single = next(iter(single)) if isinstance(single, Mapping) else single
    called = f" + {single}" if single not in (None, NOTHING) else ""
    return Branch(file, name + called, name, options, train, axes, keys, meant).fixing(fixed)


def _open(augment: str, options: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield name and value of each option that is a range or a list of values."""
    for option, value in options.items():
        if option == COMBINE:
            for single, params in value.items() if isinstance(value, Mapping) else ():
                for name, inner in (params or {}).items():
                    if _is_open(SINGLE_IMAGES[single], name, inner):
                        yield f"{option}.{single}.{name}", inner
        elif _is_open(AUGMENTATIONS[augment], option, value):
            yield option, value


def _is_open(make: type[Any], option: str, value: object) -> bool:
    """Return whether there is a choice: a list of values is one, and not the list that stands for a tuple."""
    if not isinstance(value, list):
        return is_range(value)
    field = parameters(make).get(option)
    return not (field and isinstance(field.default, tuple)) or any(isinstance(each, list) for each in value)


def _identity(branch: Branch, resources: Resources) -> _Read:
    """Return a function that gives the same for values that mean the same cells; each is read once."""
    known: dict[tuple[tuple[str, Scalar], ...], object] = {}

    def identity(values: Mapping[str, Scalar]) -> object:
        at = tuple(sorted(values.items()))
        if at not in known:
            augment, train = branch.read(values)
            known[at] = augment, resolved(resolved_for(augment, train), resources)
        return known[at]

    return identity


def _conditional(branch: Branch, identity: _Read, given: Mapping[str, Scalar] | None = None) -> list[Branch]:
    """Return the branch without the axes that nothing reads, one for each value of a list that decides what is read.

    E.g. the momentum is read by sgd and not by adam: a search that draws it for both would try adam twice.
    """
    given = given or {}
    ends = {name: _ends(axis) for name, axis in branch.axes.items()}
    bases = [{name: values[end] for name, values in ends.items()} for end in (0, -1)]

    def read(under: Mapping[str, Scalar]) -> frozenset[str]:
        return frozenset(
            name
            for name, values in ends.items()
            if name not in under
            and any(len({identity({**given, **base, **under, name: each}) for each in values}) > 1 for base in bases)
        )

    for gate, values in ends.items():
        if isinstance(branch.axes[gate], Range):
            continue
        if len({read({gate: value}) for value in values}) > 1:
            return [
                each
                for value in values
                for each in _conditional(
                    branch.fixing({gate: value}, called=f", {gate.removeprefix(TRAIN)}={value}"),
                    identity,
                    {**given, gate: value},
                )
            ]
    idle = ends.keys() - read({})
    return [branch.fixing({name: ends[name][0] for name in branch.axes if name in idle})]


def _ends(axis: Axis) -> tuple[Scalar, ...]:
    if not isinstance(axis, Range):
        return axis
    return (axis.low, axis.last) if axis.is_whole else (float(axis.low), float(axis.last))


def _told_apart(branches: Sequence[Branch]) -> list[Branch]:
    """Return the branches with names of their own: the second of a name has its number."""
    numbers: dict[str, int] = {}
    found = []
    for branch in branches:
        number = numbers[branch.name] = numbers.get(branch.name, 0) + 1
        found.append(branch if number == 1 else replace(branch, name=f"{branch.name} ({number})"))
    return found
