"""One row in one column of a table: its values, and what stands beside them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from orchestrator.experiment import Replicate
from orchestrator.records import CellRun
from orchestrator.results.chance import chance_level
from orchestrator.results.metric import Metric
from orchestrator.results.raced import Reached
from orchestrator.results.statistics import mean_and_std
from orchestrator.results.values import value_in

Standing = Literal["best", "may be best", "ruled out", "not judged", "stopped"]


@dataclass(frozen=True)
class Entry:
    """One configuration on one data set and model.

    Attributes:
        values: The metric by replicate (seed, and fold if there are some), of finished cells only.
        planned: The replicates the experiment asks for; empty if it does not ask for this combination.
        mean: NaN without a value, or if a value is not finite.
        std: With ddof=1; None for fewer than two values.
        num_failed: How many of its trainings failed.
        standing: ``ruled out`` if some other row is at least as good; ``best`` if all others are, it is complete, and
            every planned row is judged; else ``may be best``. ``not judged`` where a training failed, a value is not
            finite, the metric cannot compare, or rows are raced. ``stopped`` by a race: it has no value.
        mean_with_failures: What the mean would be if a failed training counted as one that has learned nothing; None if
            none failed, that is not known of the metric or the data set, or a value is not finite.
        reached: How far it got in a race, by validation; None where there is none.
    """

    values: Mapping[Replicate, float]
    planned: tuple[Replicate, ...]
    mean: float
    std: float | None
    num_failed: int = 0
    standing: Standing = "not judged"
    mean_with_failures: float | None = None
    reached: Reached | None = None

    @property
    def is_stopped(self) -> bool:
        """A race has stopped it: all that is shown of it is validation."""
        return self.standing == "stopped"

    @property
    def n(self) -> int:
        """The number of replicates with a value."""
        return len(self.values)

    @property
    def complete(self) -> bool:
        """Every planned replicate has a finite value."""
        return bool(self.planned) and self.n == len(self.planned) and math.isfinite(self.mean)

    @property
    def settled(self) -> bool:
        """Nothing is left to come: every planned replicate has a value, finite or not, or has failed."""
        return self.n + self.num_failed == len(self.planned)

    @property
    def folds(self) -> tuple[int, ...]:
        """The folds that have a value; none where the data set is not in folds."""
        return tuple(sorted({each.fold for each in self.values if each.fold is not None}))

    @property
    def is_judged(self) -> bool:
        """Its values say what the row is: none failed, and all are finite."""
        return bool(self.values) and not self.num_failed and math.isfinite(self.mean)


def entry_of(members: Mapping[Replicate, CellRun | None], metric: Metric, *, num_classes: int | None) -> Entry:
    """Return what a place of the table has.

    Args:
        members: The runs of its cells, None of those without one; none where the experiment does not ask for the
            combination.
        metric: That is shown.
        num_classes: Of the data set; None if that is not known.
    """
    found = {replicate: value_in(run, metric) for replicate, run in members.items()}
    values = {replicate: value for replicate, value in found.items() if value is not None}
    failed = sum(run is not None and run.status == "failed" for run in members.values())
    mean, std = mean_and_std(values.values())
    chance = chance_level(metric, num_classes) if num_classes and failed and metric.is_comparable else None
    with_failures = None
    if chance is not None and all(map(math.isfinite, values.values())):
        with_failures = mean_and_std([*values.values(), *[chance] * failed])[0]
    return Entry(values, tuple(found), mean, std, failed, mean_with_failures=with_failures)


def stopped_entry(planned: Sequence[Replicate], reached: Reached) -> Entry:
    """Return what a place of the table has whose row a race has stopped: nothing of the test, however far it got."""
    return Entry({}, tuple(planned), math.nan, None, standing="stopped", reached=reached)
