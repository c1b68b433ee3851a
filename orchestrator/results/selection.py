"""The choice of a configuration for each data set, on validation only: the test set takes no part in it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.errors import UserError
from orchestrator.experiment import Cell, Replicate
from orchestrator.records import CellRun
from orchestrator.results.comparison import saw_different_data, value_of
from orchestrator.results.metric import Metric, resolve_metric
from orchestrator.results.statistics import mean_and_std


@dataclass(frozen=True)
class Candidate:
    """A configuration: what its cells share, i.e. everything but the seed and the fold.

    Attributes:
        cells: Its cells, one for each planned seed and fold.
        values: The validation metric by replicate, of finished cells only.
        mean: Over the seeds; NaN without a value, or if one is not finite.
        std: With ddof=1; None for fewer than two values.
    """

    cells: tuple[Cell, ...]
    values: Mapping[Replicate, float]
    mean: float
    std: float | None

    @property
    def label(self) -> str:
        """``model, augmentation``."""
        return f"{self.cells[0].model}, {self.cells[0].augment.label}"

    @property
    def eligible(self) -> bool:
        """All of its seeds are done with a finite value: the mean over fewer seeds would favour lucky ones."""
        return len(self.values) == len(self.cells) and math.isfinite(self.mean)


@dataclass(frozen=True)
class Selection:
    """The best configuration on one data set.

    Attributes:
        dataset: The data set's label.
        metric: ``best/<metric>``: validation, at the epoch that was tested.
        ranked: The eligible configurations, best first; equal ones in the experiment's order.
        not_eligible: Configurations with seeds that are not done, in the experiment's order.
        mixed_data: Its cells did not see the same images: the data set was changed between them.
        cell: The chosen configuration's cell with the best seed on validation; None if nothing is eligible.
        run_id: MLflow's run of that cell; None if MLflow does not have its result yet.
        model_uri: The model that run logged.
        test_mean: The chosen configuration's test metric, for information; NaN where a seed lacks it.
        test_std: With ddof=1; None for fewer than two seeds.
    """

    dataset: str
    metric: Metric
    ranked: tuple[Candidate, ...]
    not_eligible: tuple[Candidate, ...]
    mixed_data: bool
    cell: Cell | None = None
    run_id: str | None = None
    model_uri: str | None = None
    test_mean: float = math.nan
    test_std: float | None = None

    @property
    def best(self) -> Candidate | None:
        """The chosen configuration; None if nothing is eligible."""
        return self.ranked[0] if self.ranked else None

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


def select(cells: Sequence[Cell], runs: Mapping[str, CellRun], *, metric: str = "error") -> list[Selection]:
    """Choose for each data set the configuration with the best mean over seeds on validation.

    Args:
        cells: The planned cells, in the experiment's order.
        runs: The tracked runs by cell key.
        metric: A metric's name without a stage; ``best/<metric>`` is the same.

    Raises:
        UserError: No such metric, or one that is not of the tested epoch's validation.
    """
    chosen = check_metric(metric)
    return [
        _selection(dataset.label, [cell for cell in cells if cell.dataset.over_folds == dataset], runs, chosen)
        for dataset in dict.fromkeys(cell.dataset.over_folds for cell in cells)
    ]


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


def _selection(dataset: str, cells: Sequence[Cell], runs: Mapping[str, CellRun], metric: Metric) -> Selection:
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(cell.config_key, []).append(cell)
    candidates = [_candidate(members, runs, metric) for members in groups.values()]
    sign = _sign(metric)
    ranked = tuple(sorted((c for c in candidates if c.eligible), key=lambda candidate: sign * candidate.mean))
    not_eligible = tuple(candidate for candidate in candidates if not candidate.eligible)
    mixed_data = saw_different_data(cells, runs)
    if not ranked:
        return Selection(dataset, metric, ranked, not_eligible, mixed_data)
    best = ranked[0]
    cell = min(best.cells, key=lambda member: sign * best.values[member.replicate])
    test_mean, test_std = _test(best, runs, metric)
    run = runs[cell.key]
    run_id = run.run_id if run.status == "done" else None
    return Selection(
        dataset, metric, ranked, not_eligible, mixed_data, cell, run_id, run.model_uri, test_mean, test_std
    )


def _candidate(members: Sequence[Cell], runs: Mapping[str, CellRun], metric: Metric) -> Candidate:
    found = {cell.replicate: value_of(cell, runs, metric) for cell in members}
    values = {replicate: value for replicate, value in found.items() if value is not None}
    return Candidate(tuple(members), values, *mean_and_std(values.values()))


def _test(candidate: Candidate, runs: Mapping[str, CellRun], metric: Metric) -> tuple[float, float | None]:
    test = resolve_metric(metric.name, default_stage="test")
    values = [value_of(cell, runs, test) for cell in candidate.cells]
    return mean_and_std(math.nan if value is None else value for value in values)


def _sign(metric: Metric) -> float:
    """Factor that makes smaller better."""
    return -1.0 if metric.higher_is_better else 1.0
