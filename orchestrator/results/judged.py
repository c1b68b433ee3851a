"""One column of a table: the values of its rows, and what its seeds tell, of these test images and of new ones."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from orchestrator.experiment import Cell
from orchestrator.records import CellRun
from orchestrator.results.entry import Entry, Standing, entry_of, stopped_entry
from orchestrator.results.estimands import FewImages, Images, Reader, few_images, images_of
from orchestrator.results.looks import Seeds, earlier_looks
from orchestrator.results.metric import Metric
from orchestrator.results.raced import Raced
from orchestrator.results.statistics import ALPHA, Analysis, looks_alpha
from orchestrator.results.values import resolution_in, saw_different_data, value_in

Rows = Mapping[str, Sequence[Cell]]


@dataclass(frozen=True)
class Asked:
    """What is asked of every column alike.

    Attributes:
        metric: That is shown.
        margin: In the metric's unit.
        num_together: How many columns share one error rate.
        looks: The seeds that stood at earlier looks.
        read: Where predictions come from; None for nowhere.
    """

    metric: Metric
    margin: float | None
    num_together: int
    looks: Sequence[Seeds]
    read: Reader | None


@dataclass(frozen=True)
class Judged:
    """A column.

    Attributes:
        entries: By row.
        these: What may be said about the images that were tested; None where the metric cannot compare, or the cells
            did not see the same images.
        new: Likewise about new images like them; None where that is not known, and in folds, where `these` says it.
        lacking: A cell without the predictions that `new` needs.
        few: On how few images rows differ, where `new` leans on images that were added; None elsewhere.
        seen: See `Comparison.seen`.
        num_looks: After how many looks seeds were added.
        alpha: The error rate that these leave.
        mixed_data: Its cells did not see the same images.
        without_value: How many cells have no value, by their state.
        num_untracked: How many values are in storage alone.
        raced: The race that has left some of its cells out; None for none, and where all cells have ended all the same.
    """

    entries: Mapping[str, Entry]
    these: Analysis | None = None
    new: Analysis | None = None
    lacking: Cell | None = None
    few: FewImages | None = None
    seen: Seeds = field(default_factory=dict)
    num_looks: int = 0
    alpha: float = ALPHA
    mixed_data: bool = False
    without_value: Counter[str] = field(default_factory=Counter)
    num_untracked: int = 0
    raced: Raced | None = None

    @property
    def headline(self) -> Analysis | None:
        """What is said first."""
        return self.new or self.these


def judge(
    rows: Rows,
    runs: Mapping[str, CellRun],
    asked: Asked,
    *,
    baseline: str | None = None,
    raced: Raced | None = None,
) -> Judged:
    """Return a column.

    Args:
        rows: Its planned cells by row; none where a row is not planned.
        runs: The tracked runs by cell key.
        asked: Of all columns.
        baseline: The row that its others are compared with; None for none.
        raced: Its race, if that leaves cells out.
    """
    cells = [cell for of_row in rows.values() for cell in of_row]
    if raced is not None:
        return _judge_raced(rows, runs, asked, raced)
    # Once: a key is a digest, which takes as long as all else that is done with a cell.
    found = {row: {cell.replicate: runs.get(cell.key) for cell in of_row} for row, of_row in rows.items()}
    everything = [run for of_row in found.values() for run in of_row.values()]
    known = [run for run in everything if run is not None]
    num_classes = max((run.num_classes for run in known if run.num_classes), default=None)
    entries = {row: entry_of(of_row, asked.metric, num_classes=num_classes) for row, of_row in found.items()}
    without = [run for run in everything if value_in(run, asked.metric) is None]
    judged = Judged(
        entries=entries,
        mixed_data=saw_different_data(cells, runs),
        without_value=Counter("missing" if run is None else run.status for run in without),
        num_untracked=sum(run.status == "trained" for run in known),
    )
    # What differs between cells of different images is no difference of the rows.
    if not asked.metric.is_comparable or judged.mixed_data:
        return judged
    standing = _standing_seeds(rows, entries) if asked.metric.stage == "test" else {}
    looks = earlier_looks(standing, asked.looks)
    alpha = looks_alpha(looks, [(key, seed) for key, seeds in standing.items() for seed in seeds])
    # Before nothing is left to come nobody takes the table for the answer: that is no look, and earlier ones still are.
    is_settled = all(entry.settled for entry in entries.values() if entry.planned)
    told = replace(judged, seen=standing if is_settled else {}, num_looks=len(looks), alpha=alpha)
    return _analysed(told, rows, asked, baseline=baseline, resolution=resolution_in(known, asked.metric))


def _judge_raced(rows: Rows, runs: Mapping[str, CellRun], asked: Asked, raced: Raced) -> Judged:
    """Return a column of which a race leaves cells out: values, and nothing that would rank or test them.

    Rows have means over other seeds and epochs; and those that have all seeds are the best of many, which look better
    than they are.
    """
    entries, without = {}, Counter[str]()
    known = [run for of_row in rows.values() for cell in of_row if (run := runs.get(cell.key)) is not None]
    num_classes = max((run.num_classes for run in known if run.num_classes), default=None)
    for row, of_row in rows.items():
        reached = raced.reached.get(of_row[0].config_key) if of_row else None
        members = {cell.replicate: runs.get(cell.key) for cell in of_row}
        if reached is not None and reached.stop is not None:
            entries[row] = stopped_entry(tuple(members), reached)
            without["stopped"] += len(of_row)
            continue
        entries[row] = replace(entry_of(members, asked.metric, num_classes=num_classes), reached=reached)
        for cell, run in zip(of_row, members.values(), strict=True):
            if value_in(run, asked.metric) is None:
                without[raced.state(cell, run)] += 1
    return Judged(
        entries=entries,
        mixed_data=saw_different_data([cell for of_row in rows.values() for cell in of_row], runs),
        without_value=without,
        num_untracked=sum(run.status == "trained" for run in known),
        raced=raced,
    )


def _analysed(judged: Judged, rows: Rows, asked: Asked, *, baseline: str | None, resolution: float) -> Judged:
    """Add what may be said, from the rows whose values say what they are.

    Args:
        judged: The column so far.
        rows: Its cells.
        asked: Of all columns.
        baseline: See `judge`.
        resolution: The least step between two values, as far as the runs say it.
    """
    from orchestrator.results.statistics import analyse  # it needs SciPy, which commands beside compare do not

    kept = {row: entry for row, entry in judged.entries.items() if entry.is_judged}
    folds = next((cell.dataset.folds for of_row in rows.values() for cell in of_row), None)
    in_folds = folds is not None and len({fold for entry in kept.values() for fold in entry.folds}) > 1
    values = {row: _of_folds(entry) if in_folds else _of_seeds(entry) for row, entry in kept.items()}
    images = Images()
    # Each fold has test images of its own: what these add is in the spread over the folds already.
    if asked.read is not None and not in_folds and len(kept) > 1 and max(entry.n for entry in kept.values()) > 1:
        with_value = {
            row: {cell.seed: cell for cell in rows[row] if cell.replicate in entry.values}
            for row, entry in kept.items()
        }
        images = images_of(with_value, asked.metric, asked.read)
    options: dict[str, Any] = {
        "baseline": baseline if baseline in kept else None,
        "higher_is_better": asked.metric.higher_is_better,
        "margin": asked.margin,
        "alpha": judged.alpha / asked.num_together,
        "resolution": images.resolution or resolution,
        # Each image is tested in one fold, and trained on in all others.
        "overlap": 1 / (folds - 1) if folds is not None and in_folds else 0.0,
    }
    these = analyse(values, **options)
    new, few = None, None
    if images.floors is not None:
        variances, bounds = images.floors.variances, images.floors.bounds
        new = analyse(values, **options, image_variance=variances, image_bounds=bounds)
        few = few_images(images.floors)
    standings = _standings(judged.entries, new or these)
    entries = {row: replace(entry, standing=standings.get(row, "not judged")) for row, entry in judged.entries.items()}
    return replace(judged, entries=entries, these=these, new=new, lacking=images.lacking, few=few)


def _standings(entries: Mapping[str, Entry], analysis: Analysis) -> dict[str, Standing]:
    kept = analysis.may_be_best
    if not analysis.tells:
        return {}
    # A row that is not judged yet, or cannot be, may be better.
    alone = len(kept) == 1 and entries[kept[0]].complete and all(e.is_judged for e in entries.values() if e.planned)
    return {row: "ruled out" if row not in kept else "best" if alone else "may be best" for row in analysis.means}


def _standing_seeds(rows: Rows, entries: Mapping[str, Entry]) -> dict[str, frozenset[str]]:
    """Return which seeds have a value, of each configuration."""
    return {
        of_row[0].config_key: frozenset(replicate.short for replicate in entries[row].values)
        for row, of_row in rows.items()
        if of_row
    }


def _of_seeds(entry: Entry) -> dict[int, float]:
    return {replicate.seed: value for replicate, value in entry.values.items()}


def _of_folds(entry: Entry) -> dict[int, float]:
    """Return the mean of each fold's seeds."""
    of_fold: dict[int, list[float]] = {}
    for replicate, value in entry.values.items():
        assert replicate.fold is not None
        of_fold.setdefault(replicate.fold, []).append(value)
    return {fold: math.fsum(values) / len(values) for fold, values in of_fold.items()}
