"""The curves of a race, as its runs have them: validation of the epoch that would be tested, as `select` reads it."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from orchestrator.experiment import SearchSettings
from orchestrator.records import CellRun
from orchestrator.search import ladder_epochs

METRIC, TIE = "best/error", "best/loss"


@dataclass(frozen=True)
class Heard:
    """What is known of the cells of a column, by configuration and seed.

    Attributes:
        errors: Validation error of the best epoch until each, as far as it counts.
        losses: Its validation loss, likewise.
        failed: Those that will not train on.
    """

    errors: dict[tuple[str, int], list[float]] = field(default_factory=dict)
    losses: dict[tuple[str, int], list[float]] = field(default_factory=dict)
    failed: set[tuple[str, int]] = field(default_factory=set)

    def hear(
        self, name: str, keys: Mapping[int, str], runs: Mapping[str, CellRun], *, epochs: int, at: Collection[int]
    ) -> None:
        """Take what there is of a configuration's cells.

        Args:
            name: Of the configuration.
            keys: Of its cells, by seed.
            runs: What is known of them, by key.
            epochs: Of the whole training.
            at: The epochs that rungs end with.
        """
        for seed, key in keys.items():
            if (run := runs.get(key)) is None:
                continue
            length = _length(run, epochs, at)
            self.errors[name, seed] = _sequence(run, METRIC, length)
            self.losses[name, seed] = _sequence(run, TIE, length)
            if run.status == "failed" and not run.is_lost:
                self.failed.add((name, seed))


def read_at(epochs: int, search: SearchSettings | None) -> frozenset[int]:
    """Return the epochs that a rung may end with: those that are written out, and those of a ladder, which may come.

    Args:
        epochs: Of the whole training.
        search: What the file says of it; None without.
    """
    race = search.race if search is not None else "none"
    written = () if isinstance(race, str) else (rung.epochs for rung in race)
    return frozenset({*ladder_epochs(epochs), *written})


def lacks_curve(run: CellRun, at: Collection[int]) -> bool:
    """Return whether a run has been further than an epoch that a rung ends with, and does not say how it stood there.

    E.g. one that was trained without a race: its history has it.
    """
    return any(epoch <= (run.epoch or 0) and epoch not in _values(run, METRIC) for epoch in at)


def _length(run: CellRun, epochs: int, at: Collection[int]) -> int:
    """Return how many epochs of a run count."""
    known = _values(run, METRIC)
    # The last epoch counts once its test is done: a winner without a result would be none.
    reached = min(max(known, default=0), epochs if run.has_result else epochs - 1)
    # Of an epoch that is not known, nobody may think that it was bad.
    unknown = [epoch for epoch in at if epoch <= reached and epoch not in known]
    return min([reached, *(epoch - 1 for epoch in unknown)])


def _sequence(run: CellRun, metric: str, length: int) -> list[float]:
    values = _values(run, metric)
    return [values.get(epoch, math.nan) for epoch in range(1, length + 1)]


def _values(run: CellRun, metric: str) -> Mapping[int, float]:
    return run.curve.values.get(metric, {}) if run.curve is not None else {}
