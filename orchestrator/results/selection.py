"""The choice of a configuration for each data set, on validation only: the test set takes no part in it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.errors import UserError
from orchestrator.experiment import Cell, Replicate
from orchestrator.records import CellRun
from orchestrator.results.metric import Metric, resolve_metric
from orchestrator.results.raced import Raced, Reached, by_configuration, losses_of
from orchestrator.results.statistics import mean_and_std
from orchestrator.results.statistics.leave_out import leave_one_seed_out
from orchestrator.results.values import resolution_in, saw_different_data, value_of


@dataclass(frozen=True)
class Candidate:
    """A configuration: what its cells share, i.e. everything but the seed and the fold.

    Attributes:
        cells: Its cells, one for each planned seed and fold.
        values: The validation metric by replicate, of finished cells only.
        mean: Over the seeds; NaN without a value, or if one is not finite.
        std: With ddof=1; None for fewer than two values.
        num_failed: How many of its trainings failed.
        num_done: How many have a result, with the metric or without.
        reached: How far it got in a race that leaves cells out; None without one.
        loss: What tells it apart from equal ones, of a search; infinite without one.
    """

    cells: tuple[Cell, ...]
    values: Mapping[Replicate, float]
    mean: float
    std: float | None
    num_failed: int = 0
    num_done: int = 0
    reached: Reached | None = None
    loss: float = math.inf

    @property
    def label(self) -> str:
        """``model, augmentation``, and what else is its own."""
        return f"{self.cells[0].model.label}, {self.cells[0].variant}"

    @property
    def eligible(self) -> bool:
        """All of its seeds are done with a finite value: the mean over fewer seeds would favour lucky ones.

        What a race has stopped is not, whatever had been trained of it before.
        """
        is_stopped = self.reached is not None and self.reached.stop is not None
        return not is_stopped and len(self.values) == len(self.cells) and math.isfinite(self.mean)

    @property
    def is_judged(self) -> bool:
        """Its values say what it is, even if seeds are to come: none failed, and all are finite."""
        return not self.num_failed and math.isfinite(self.mean)


@dataclass(frozen=True)
class Selection:
    """The best configuration on one data set.

    Attributes:
        dataset: The data set's label.
        metric: ``best/<metric>``: validation, at the epoch that was tested.
        ranked: The eligible configurations, best first; equal ones of a search by the loss, as its race has them, and
            then, as without one, in the experiment's order.
        not_eligible: Configurations with seeds that are not done, in the experiment's order.
        mixed_data: Its cells did not see the same images: the data set was changed between them.
        cell: The chosen configuration's cell with the best seed on validation; None if nothing is eligible.
        run_id: MLflow's run of that cell; None if MLflow does not have its result yet.
        model_uri: The model that run logged.
        test_mean: For information: the mean over seeds of the test metric of what all other seeds would choose; None
            with fewer than two seeds, or where one lacks it.
        may_be_best: The configurations that are not ruled out on validation, where some other would be at least as
            good; None if there are too few seeds to tell, if the cells did not see the same images, and where they are
            raced.
        is_raced: Some configurations were stopped, or may still be: those that are left are the best of many, which
            neither the seeds nor the test of theirs can tell apart fairly.
    """

    dataset: str
    metric: Metric
    ranked: tuple[Candidate, ...]
    not_eligible: tuple[Candidate, ...]
    mixed_data: bool
    cell: Cell | None = None
    run_id: str | None = None
    model_uri: str | None = None
    test_mean: float | None = None
    may_be_best: tuple[Candidate, ...] | None = None
    is_raced: bool = False

    @property
    def best(self) -> Candidate | None:
        """The chosen configuration; None if nothing is eligible."""
        return self.ranked[0] if self.ranked else None

    @property
    def lacks_metric(self) -> bool:
        """Some trainings have a result, and none of these has the metric."""
        return not self.has_values and any(each.num_done for each in (*self.ranked, *self.not_eligible))

    @property
    def has_values(self) -> bool:
        """Some training has the metric."""
        return any(each.values for each in (*self.ranked, *self.not_eligible))

    @property
    def num_judged(self) -> int:
        """How many configurations have values that say what they are."""
        return sum(candidate.is_judged for candidate in (*self.ranked, *self.not_eligible))

    @property
    def tied(self) -> tuple[Candidate, ...]:
        """The other configurations that are as good as the chosen one."""
        return tuple(other for other in self.ranked[1:] if other.mean == self.ranked[0].mean)

    @property
    def tied_cells(self) -> tuple[Cell, ...]:
        """The other cells of the chosen configuration that are as good as the chosen one."""
        best, cell = self.best, self.cell
        if best is None or cell is None:
            return ()
        value = best.values[cell.replicate]
        return tuple(other for other in best.cells if other != cell and best.values[other.replicate] == value)


def select(
    cells: Sequence[Cell], runs: Mapping[str, CellRun], *, metric: str = "error", races: Sequence[Raced] = ()
) -> list[Selection]:
    """Choose for each data set the configuration with the best mean over seeds on validation.

    Args:
        cells: The planned cells, in the experiment's order.
        runs: The tracked runs by cell key.
        metric: A metric's name without a stage; ``best/<metric>`` is the same.
        races: The searches of the columns that have one: what they stopped is not eligible.

    Raises:
        UserError: No such metric, or one that is not of the tested epoch's validation.
    """
    chosen = check_metric(metric)
    return [
        _selection(dataset.label, [cell for cell in cells if cell.dataset.over_folds == dataset], runs, chosen, races)
        for dataset in dict.fromkeys(cell.dataset.over_folds for cell in cells)
    ]


def check_selected(selections: Sequence[Selection]) -> None:
    """Raise UserError if no finished cell of any data set has a metric that was to choose, though there are some."""
    of_metric: dict[Metric, list[Selection]] = {}
    for selection in selections:
        of_metric.setdefault(selection.metric, []).append(selection)
    for metric, members in of_metric.items():
        if any(each.lacks_metric for each in members) and not any(each.has_values for each in members):
            raise UserError(
                f"metric = {metric.key}: none of the finished cells has it, since it does not exist with these images "
                "or they are of an earlier version",
                remedy="name another with --metric, e.g. error",
            )


def check_metric(metric: str) -> Metric:
    """Return the metric that `select` is to look at.

    Raises:
        UserError: No such metric, or one that is not of the tested epoch's validation.
    """
    chosen = resolve_metric(metric, default_stage="best")
    if chosen.stage != "best":
        raise UserError(
            f"metric={metric}: select looks at validation at the tested epoch only, so that the test set stays unseen. "
            f"Give {chosen.name}, or use compare for a table of {chosen.key}."
        )
    return chosen


def _selection(
    dataset: str, cells: Sequence[Cell], runs: Mapping[str, CellRun], metric: Metric, races: Sequence[Raced]
) -> Selection:
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(cell.config_key, []).append(cell)
    reached = _reached(groups, runs, races)
    is_raced = bool(reached)
    losses = losses_of(races)
    candidates = [
        replace(_candidate(members, runs, metric), reached=reached.get(name), loss=losses.get(name, math.inf))
        for name, members in groups.items()
    ]
    sign = _sign(metric)
    ranked = tuple(sorted((c for c in candidates if c.eligible), key=lambda each: (sign * each.mean, each.loss)))
    not_eligible = tuple(candidate for candidate in candidates if not candidate.eligible)
    mixed_data = saw_different_data(cells, runs)
    if not ranked:
        return Selection(dataset, metric, ranked, not_eligible, mixed_data, is_raced=is_raced)
    best = ranked[0]
    cell = min(best.cells, key=lambda member: sign * best.values[member.replicate])
    run = runs[cell.key]
    return Selection(
        dataset,
        metric,
        ranked,
        not_eligible,
        mixed_data,
        cell,
        run_id=run.run_id if run.status == "done" else None,
        model_uri=run.model_uri,
        test_mean=None if is_raced else _test([each for each in candidates if each.eligible], runs, metric),
        may_be_best=None if is_raced or mixed_data else _may_be_best(candidates, runs, metric),
        is_raced=is_raced,
    )


def _reached(
    groups: Mapping[str, Sequence[Cell]], runs: Mapping[str, CellRun], races: Sequence[Raced]
) -> dict[str, Reached | None]:
    """Return how far the configurations of those races got that leave cells out; empty without one."""
    raced_of = by_configuration(races)
    members: dict[int, list[Cell]] = {}
    for name, cells in groups.items():
        if name in raced_of:
            members.setdefault(id(raced_of[name]), []).extend(cells)
    return {
        name: raced.reached.get(name)
        for name in groups
        if (raced := raced_of.get(name)) is not None and raced.leaves_out(members[id(raced)], runs)
    }


def _candidate(members: Sequence[Cell], runs: Mapping[str, CellRun], metric: Metric) -> Candidate:
    found = {cell.replicate: value_of(cell, runs, metric) for cell in members}
    values = {replicate: value for replicate, value in found.items() if value is not None}
    failed = sum(cell.key in runs and runs[cell.key].status == "failed" for cell in members)
    done = sum(cell.key in runs and runs[cell.key].has_result for cell in members)
    return Candidate(tuple(members), values, *mean_and_std(values.values()), num_failed=failed, num_done=done)


def _test(eligible: Sequence[Candidate], runs: Mapping[str, CellRun], metric: Metric) -> float | None:
    """Return what the choice among the eligible brings in the test, made by all other seeds each time."""
    test = resolve_metric(metric.name, default_stage="test")
    validated, tested = {}, {}
    in_folds = _are_in_folds(eligible)
    for index, candidate in enumerate(eligible):
        found = {cell.replicate: value_of(cell, runs, test) for cell in candidate.cells}
        validated[str(index)] = _units(candidate.values, in_folds=in_folds)
        values = {each: math.nan if value is None else value for each, value in found.items()}
        tested[str(index)] = _units(values, in_folds=in_folds)
    return leave_one_seed_out(validated, tested, higher_is_better=metric.higher_is_better)


def _may_be_best(
    candidates: Sequence[Candidate], runs: Mapping[str, CellRun], metric: Metric
) -> tuple[Candidate, ...] | None:
    from orchestrator.results.statistics import analyse  # it needs SciPy, which commands beside this do not

    judged = {str(index): candidate for index, candidate in enumerate(candidates) if candidate.is_judged}
    folds = candidates[0].cells[0].dataset.folds
    in_folds = _are_in_folds(list(judged.values()))
    known = [runs[cell.key] for candidate in candidates for cell in candidate.cells if cell.key in runs]
    analysis = analyse(
        {name: _units(candidate.values, in_folds=in_folds) for name, candidate in judged.items()},
        baseline=None,
        higher_is_better=metric.higher_is_better,
        resolution=resolution_in(known, metric),
        overlap=1 / (folds - 1) if folds is not None and in_folds else 0.0,
    )
    return tuple(judged[name] for name in analysis.may_be_best) if analysis.tells else None


def _units(values: Mapping[Replicate, float], *, in_folds: bool) -> dict[int, float]:
    """Return the values by seed; in folds by fold, each the mean of its seeds."""
    found: dict[int, list[float]] = {}
    for replicate, value in values.items():
        unit = replicate.fold if in_folds and replicate.fold is not None else replicate.seed
        found.setdefault(unit, []).append(value)
    return {unit: math.fsum(each) / len(each) for unit, each in found.items()}


def _are_in_folds(candidates: Sequence[Candidate]) -> bool:
    """Return whether there are several folds: asked of all alike, else seeds of one would meet folds of another."""
    return len({replicate.fold for candidate in candidates for replicate in candidate.values}) > 1


def _sign(metric: Metric) -> float:
    """Factor that makes smaller better."""
    return -1.0 if metric.higher_is_better else 1.0
