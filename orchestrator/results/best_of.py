"""Each augmentation at its best: of several settings those that validation prefers; the test set chooses none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.errors import UserError, nearest
from orchestrator.experiment import Cell
from orchestrator.metric_names import GROUP, METRICS
from orchestrator.records import CellRun
from orchestrator.results.metric import Metric, resolve_metric
from orchestrator.results.raced import Raced, Reached
from orchestrator.results.rows import Column, Layout, last_part, lay_out, varying
from orchestrator.results.values import value_of


@dataclass(frozen=True)
class Choice:
    """The settings that a row is shown with.

    Attributes:
        row: Its label.
        column: Where.
        settings: As shown, e.g. ``lr=0.05``.
        num_settings: How many there were to choose from.
        num_failed: How many of those were left out, since a training failed.
    """

    row: str
    column: Column
    settings: str
    num_settings: int
    num_failed: int


@dataclass(frozen=True)
class Choices:
    """Which settings were chosen, and by what.

    Attributes:
        metric: Of validation, at the tested epoch; its mean over the seeds that all settings of a row have.
        names: The settings that were chosen among, as in `Cell.settings`.
        made: One for each place of the table.
    """

    metric: Metric
    names: tuple[str, ...]
    made: tuple[Choice, ...]


def best_of(
    cells: Sequence[Cell],
    runs: Mapping[str, CellRun],
    names: Sequence[str],
    metric: Metric,
    *,
    raced: Mapping[Column, Raced] | None = None,
) -> tuple[Layout, Choices]:
    """Return the layout of a table that has each row at its best, and what was chosen.

    Args:
        cells: All planned cells, in the experiment's order.
        runs: Their runs by key.
        names: The settings to choose among, as `settings_named` returns them.
        metric: That the table shows: the same of validation chooses, or the error where validation has none.
        raced: The races of columns that leave cells out: there the settings are chosen that got furthest.

    Raises:
        UserError: A choice cannot be made yet, for want of finished cells.
    """
    layout = lay_out(cells, left_out=names)
    name = metric.name.removeprefix(GROUP)
    by = resolve_metric(name if name in METRICS else "error", default_stage="best")
    raced = raced or {}
    found = {
        place: _furthest(place, members, raced[place[1]], names)
        if place[1] in raced
        else _best(place, members, runs, names, by)
        for place, members in layout.cells.items()
    }
    chosen = replace(layout, cells={place: members for place, (members, _) in found.items()})
    return chosen, Choices(by, tuple(names), tuple(choice for _, choice in found.values()))


def _furthest(
    place: tuple[str, Column], members: Sequence[Cell], raced: Raced, names: Sequence[str]
) -> tuple[tuple[Cell, ...], Choice]:
    """Return the cells with the settings that got furthest in the race; none are ranked by means of other rungs."""
    groups: dict[str, list[Cell]] = {}
    for cell in members:
        groups.setdefault(_settings(cell, names), []).append(cell)
    reached = {settings: raced.reached.get(cells[0].config_key) for settings, cells in groups.items()}

    def key(settings: str) -> tuple[bool, object]:
        found: Reached | None = reached[settings]
        return found is None, found.sorts_as if found is not None else ()

    best = min(groups, key=key)  # the first of equals, and of those that no rung has decided
    return tuple(groups[best]), Choice(*place, best, len(groups), num_failed=0)


def settings_named(names: Sequence[str], cells: Sequence[Cell]) -> tuple[str, ...]:
    """Return the settings that are meant, as in `Cell.settings`.

    Args:
        names: Those, or the last part of each: ``lr``.
        cells: All planned cells.

    Raises:
        UserError: The cells do not differ in one of them.
    """
    differing = varying(cells) if names else []
    return tuple(dict.fromkeys(_named(name, differing) for name in names))


def _named(name: str, differing: Sequence[str]) -> str:
    meant = [known for known in differing if name in (known, last_part(known))]
    if len(meant) == 1:
        return meant[0]
    suggested = nearest(name, [*differing, *map(last_part, differing)], cutoff=0.5)
    remedy = f"write {suggested}" if suggested else "write one of them" if differing else "leave it out"
    raise UserError(
        f"--best-of {name}: the cells do not differ in it",
        allowed=", ".join(differing) if differing else "nothing: they differ in no setting",
        remedy=remedy,
    )


def _best(
    place: tuple[str, Column],
    members: Sequence[Cell],
    runs: Mapping[str, CellRun],
    names: Sequence[str],
    metric: Metric,
) -> tuple[tuple[Cell, ...], Choice]:
    row, column = place
    groups: dict[str, list[Cell]] = {}
    for cell in members:
        groups.setdefault(_settings(cell, names), []).append(cell)
    failed = {
        settings
        for settings, of_settings in groups.items()
        if any(cell.key in runs and runs[cell.key].status == "failed" for cell in of_settings)
    }
    # Where all have failed, what is left of them still says which is the best.
    running = [settings for settings in groups if settings not in failed] or list(groups)
    if len(running) == 1:
        best = running[0]
    else:
        where = f"{row} on {column.label}"
        means = _means({settings: groups[settings] for settings in running}, runs, metric, where=where)
        best = (max if metric.higher_is_better else min)(means, key=means.__getitem__)
    return tuple(groups[best]), Choice(row, column, best, len(groups), len(groups) - len(running))


def _settings(cell: Cell, names: Sequence[str]) -> str:
    return ", ".join(f"{last_part(name)}={cell.settings[name]}" for name in names if name in cell.settings)


def _means(
    groups: Mapping[str, Sequence[Cell]], runs: Mapping[str, CellRun], metric: Metric, *, where: str
) -> dict[str, float]:
    """Return the mean of each over the replicates that all have."""
    values = {
        settings: {cell.replicate: value for cell in cells if (value := value_of(cell, runs, metric)) is not None}
        for settings, cells in groups.items()
    }
    common = set.intersection(*(set(of_settings) for of_settings in values.values()))
    if not common:
        least = min(values, key=lambda settings: len(values[settings]))
        raise UserError(
            f"--best-of: {where} cannot choose yet: {least} has no finished seed in common with the others",
            remedy="have its cells finished first, or leave --best-of out",
        )
    # What is not finite is never the best.
    worst = -math.inf if metric.higher_is_better else math.inf
    # Equal but for the order of summing is equal, as `select` has it.
    means = {s: round(math.fsum(of[each] for each in common) / len(common), 9) for s, of in values.items()}
    return {settings: mean if math.isfinite(mean) else worst for settings, mean in means.items()}
