"""Ranges in an experiment file: where they stand, and the file with a value in place of each.

A range is checked by reading the file with values of it: what is refused of a value is refused of a range.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import Problem, UserError
from orchestrator.experiment.branch import DrawnColumn
from orchestrator.experiment.problems import Problems, show
from orchestrator.experiment.schedule_entry import is_schedule
from orchestrator.experiment.search_settings import SearchSettings
from orchestrator.search import Range, is_range, read_range

Steps = tuple[int | str, ...]
Values = Mapping[Steps, Any]
_ENTRIES = ("dataset", "model", "augment")
# Neither end and no round number: an integer is not to be taken for what a range of other numbers gives.
_INNER_SHARE = 0.37


@dataclass(frozen=True)
class PlacedRange:
    """A range, and where it stands.

    Attributes:
        steps: From the top of the file.
        written: What stands there.
        range: What it means.
    """

    steps: Steps
    written: Mapping[str, Any]
    range: Range

    @property
    def key(self) -> str:
        """As messages name it."""
        return key_of(self.steps)

    @property
    def ends(self) -> tuple[int | float, int | float]:
        """The smallest and the largest value that can be drawn."""
        low, high = self.range.low, self.range.last
        return (low, high) if self.range.is_whole else (float(low), float(high))


def key_of(steps: Sequence[int | str]) -> str:
    """Return the key of a place in the file, e.g. ``augment[1].mixup.alpha``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")


def find_ranges(problems: Problems, data: Mapping[str, Any]) -> list[PlacedRange]:
    """Return the ranges of a file; one that is none, or that stands where nothing is drawn, is a problem."""
    found = []
    for steps, written, in_list in _ranges(data):
        key = key_of(steps)
        if not _is_drawn(steps):
            allowed = "ranges in augment and in train alone"
            problems.add(key, written, allowed=allowed, remedy="Write a value, or a list.")
        elif in_list:
            problems.add(key, written, allowed="a range alone, in no list", remedy="Write the range, or the values.")
        else:
            try:
                found.append(PlacedRange(steps, written, read_range(written)))
            except UserError as error:
                name, ends = next(iter(written.items()))
                problems.add(f"{key}.{name}", ends, allowed=error.allowed, remedy=error.remedy)
    return found


def _ranges(data: Mapping[str, Any]) -> Iterator[tuple[Steps, Mapping[str, Any], bool]]:
    """Yield each mapping that is meant as a range, and whether it stands in a list of values."""
    for section in _ENTRIES:
        raw = data.get(section)
        for index, entry in enumerate(raw) if isinstance(raw, list) else [(None, raw)]:
            place: Steps = (section,) if index is None else (section, index)
            # The name of an entry may be that of a range, too.
            for name, options in entry.items() if isinstance(entry, Mapping) else ():
                yield from _below(options, (*place, name), in_list=False)
    yield from _below(data.get("train"), ("train",), in_list=False)


def _below(
    value: object, steps: Steps, *, in_list: bool, above: tuple[int, ...] = ()
) -> Iterator[tuple[Steps, Mapping[str, Any], bool]]:
    if id(value) in above:
        return  # a mapping that holds itself, by an anchor, is refused where it is read
    above = (*above, id(value))
    if isinstance(value, Mapping) and is_range(value):
        yield steps, value, in_list
    elif _is_of_parameter(steps) and is_schedule(value):
        return  # what stands in it is read with it
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _below(inner, (*steps, name), in_list=in_list, above=above)
    elif isinstance(value, list):
        # A list of what is done to each image is one of alternatives, as those of `augment` are.
        of_values = in_list or steps[-1] != "combine"
        for index, inner in enumerate(value):
            yield from _below(inner, (*steps, index), in_list=of_values, above=above)


def _is_of_parameter(steps: Steps) -> bool:
    """Return whether a place is below a parameter of an augmentation, which may be called like a schedule, too."""
    return steps[0] == "augment" and sum(isinstance(step, str) for step in steps) > 2


def _is_drawn(steps: Steps) -> bool:
    named = [step for step in steps if isinstance(step, str)]
    return steps[0] in ("augment", "train") or named[2:3] == ["train"]


def settled(data: Mapping[str, Any], values: Values) -> dict[str, Any]:
    """Return a copy of `data` with a value at each of some places."""
    copy: Any = dict(data)
    for steps, value in values.items():
        copy = _with(copy, steps, value)
    found: dict[str, Any] = copy
    return found


def _with(node: Any, steps: Steps, value: Any) -> Any:
    if not steps:
        return value
    step, *rest = steps
    if isinstance(step, int):
        return [*node[:step], _with(node[step], tuple(rest), value), *node[step + 1 :]]
    return {**node, step: _with(node[step], tuple(rest), value)}


def probes(ranges: Sequence[PlacedRange]) -> list[dict[Steps, Any]]:
    """Return the values with which a file is read to check its ranges: first the low ends, then the high ends, then
    values in between; and each range at one end while the others are at the other.
    """
    lows = {each.steps: each.ends[0] for each in ranges}
    highs = {each.steps: each.ends[1] for each in ranges}
    inner: dict[Steps, Any] = {each.steps: each.range.at(_INNER_SHARE) for each in ranges}
    apart = [{**base, steps: other[steps]} for base, other in ((lows, highs), (highs, lows)) for steps in lows]
    return [lows, highs, inner, *(apart if len(ranges) > 1 else [])]


def note_of_probe(problems: Problems, found: Sequence[Problem], ranges: Sequence[PlacedRange], values: Values) -> None:
    """Note what a reading with values in place of ranges has found, at the ends that it is about.

    Args:
        problems: Takes it; where something is noted already, nothing more is.
        found: By the reading.
        ranges: Of the file.
        values: In place of them.
    """
    of_key = {each.key: each for each in ranges}
    for problem in found:
        placed = of_key.get(problem.key)
        key, value, remedy = problem.key, problem.value, problem.remedy
        if placed is not None:
            used = values[placed.steps]
            if not placed.range.is_whole and "integer" in problem.allowed:
                value, remedy = show(dict(placed.written)), "Whole numbers are drawn by randint and lograndint."
            elif used in placed.ends:
                key = f"{key}.{placed.range.name}[{placed.ends.index(used)}]"
        # Between ends that are refused the same is refused, and what is no range is no value either.
        if not problems.stand_at(key):
            problems.noted.append(Problem(problem.file, key, value, problem.allowed, remedy))


def note_undrawn(problems: Problems, ranges: Sequence[PlacedRange], search: SearchSettings | None) -> None:
    """Note the ranges of a file of which nothing says how many configurations are tried."""
    for each in ranges:
        if search is None:
            allowed = "a value or a list, as long as no search says how many values are tried"
            remedy = "Add search: {sampler: random, num_samples: 24}."
        else:
            allowed = f"a list with search.sampler={search.sampler}, which tries all: a range has no end"
            remedy = "Write sampler: random, qmc or optuna, and num_samples; or the values as a list."
        problems.add(each.key, dict(each.written), allowed=allowed, remedy=remedy)


def note_idle_ranges(problems: Problems, ranges: Sequence[PlacedRange], drawn: Sequence[DrawnColumn]) -> None:
    """Note the ranges whose values make no other cells, in no branch of any column."""
    open_ = {branch.keys[name] for column in drawn for branch in column.branches for name in branch.axes}
    for each in ranges:
        if each.key not in open_:
            problems.add(
                each.key,
                dict(each.written),
                allowed="a range of what tells cells apart: here all its values are the same training",
                remedy="Leave it out: what else is said makes it idle, or is said instead of it.",
            )
