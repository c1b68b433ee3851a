"""Searches without a training: real experiments, and a trainer that returns curves that it knows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from time import process_time

from psutil import Process

from orchestrator.experiment import Cell, Experiment, columns, load_experiment
from orchestrator.racing import Course, Followed, Following, Kept, read_at
from orchestrator.records import CellResult, CellRun, EpochResult, Failed, Paused, best_epoch

EPOCHS = 8
LISTS = """
name: lists
dataset: digits
model: convnet
augment:
  - erm
  - mixup: {alpha: [0.2, 0.5, 1.0]}
  - zeta_mixup: {gamma: [2.0, 2.8, 4.0], num_mixed: 4}
train: {epochs: 8}
seed: [3, 1, 2]
search: {race: ladder, keep: [erm]}
"""
RANGES = """
name: ranges
dataset: digits
model: convnet
augment:
  - erm
  - mixup: {alpha: {uniform: [0.1, 2.0]}}
train: {epochs: 8, lr: {loguniform: [0.02, 0.5]}}
seed: [0, 1]
search: {sampler: random, num_samples: 6, race: ladder}
"""
Errors = Callable[[str, int], float]


def opened(folder: Path, text: str, *overrides: str) -> Experiment:
    file = folder / "search.yaml"
    file.write_text(text, encoding="utf-8")
    return load_experiment(file, [f"storage={folder / 'storage'}", *overrides])


def errors(key: str, epoch: int) -> float:
    """What validation says of a cell: the same whenever it is asked, and different for different cells."""
    digest = hashlib.sha256(f"{key} {epoch // 2}".encode()).hexdigest()
    # Few values, so that there are ties.
    return int(digest[:4], 16) % 12 / 12


def finished(key: str, epochs: int, *, of: Errors = errors) -> list[EpochResult]:
    return [
        EpochResult(epoch, {"val/error": of(key, epoch), "val/loss": of(key, epoch + 1)}, timestamp_ms=2_000 * epoch)
        for epoch in range(1, epochs + 1)
    ]


class Simulated:
    """What MLflow and storage would have; drivers come and go.

    Args:
        experiment: With a search.
        of: Says what validation says.
        fails: Cells that fail, by key, in which epoch.
        losses: Likewise those that are lost.
    """

    def __init__(
        self,
        experiment: Experiment,
        *,
        of: Errors = errors,
        fails: Mapping[str, int] | None = None,
        losses: Mapping[str, int] | None = None,
    ) -> None:
        self.experiment, self._of = experiment, of
        self.fails, self.losses = dict(fails or {}), dict(losses or {})
        self._columns = columns(experiment)
        self.runs: dict[str, CellRun] = {}
        self.kept = Kept(sweep=experiment.name)
        self.trained: list[tuple[str, int]] = []
        self.followed: Followed | None = None
        self.num_asked = 0
        self.decided_s: list[float] = []
        self.held_bytes: list[int] = []

    def drive(self, random: Random | None = None, *, slots: int = 1, ends_to_live: int | None = None) -> Followed:
        """Be a driver with so many slots, which end in any order; one that is killed has seen so many legs end."""
        following = Following(self.experiment, self._columns, ask=self._ask)

        def advance(runs: Mapping[str, CellRun]) -> list[tuple[object, ...]]:
            began = process_time()
            self.followed = following.followed(runs, self.kept)
            self.decided_s.append(process_time() - began)
            self.held_bytes.append(Process().memory_info().rss)
            self.kept = self.followed.kept
            return [column.legs for column in self.followed.columns]

        course = Course(self.runs, advance, read_at=lambda cell: read_at(cell.train.epochs, self.experiment.search))
        at_work: list[tuple[Cell, int]] = []
        while not course.is_over:
            while len(at_work) < slots and (leg := course.next()) is not None:
                at_work.append((leg.cell, leg.until))
            assert at_work, "a course that is not over has something to train"
            cell, until = at_work.pop(random.randrange(len(at_work)) if random else 0)
            if ends_to_live == 0:
                break
            ends_to_live = None if ends_to_live is None else ends_to_live - 1
            self._train(course, cell, until)
        assert self.followed is not None
        return self.followed

    def _ask(self, column, num, told, stay):  # type: ignore[no-untyped-def]
        self.num_asked += 1
        return column.ask(num, told, stay)

    def _train(self, course: Course, cell: Cell, until: int) -> None:
        key = cell.key
        is_lost = key in self.losses
        end = min(until, {**self.fails, **self.losses}.get(key, until + 1) - 1)
        for result in finished(key, end, of=self._of):
            course.take(cell, result)
        before = self.runs[key].epoch or 0 if key in self.runs else 0
        self.trained += [(key, epoch) for epoch in range(before + 1, end + 1)]
        tested = best_epoch(finished(key, end, of=self._of), by=cell.train.tested_by) if end else None
        best = {f"best/{name}": tested.metrics[f"val/{name}"] for name in ("error", "loss")} if tested else {}
        event = (
            Failed("nan", is_lost)
            if end < until
            else CellResult(best, 1)
            if until == cell.train.epochs
            else Paused(until, 1)
        )
        course.take(cell, event)
        # What MLflow would say of it, whichever driver asks.
        self.runs[key] = course.runs[key]
