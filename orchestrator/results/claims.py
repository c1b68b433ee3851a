"""What may be said over several data sets: on how many of them a row is shown to be better, or worse."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from orchestrator.experiment import Cell
from orchestrator.records import CellRun
from orchestrator.results.rows import Column
from orchestrator.results.statistics import Analysis, partial_conjunction

_VERDICTS: tuple[Literal["better", "worse"], ...] = ("better", "worse")


@dataclass(frozen=True)
class Claim:
    """A row against the baseline, over data sets.

    Attributes:
        row: Its label.
        verdict: What it is.
        num_shown: On how many data sets at least; two or more.
        num_datasets: How many there are.
    """

    row: str
    verdict: Literal["better", "worse"]
    num_shown: int
    num_datasets: int


def sources_of(cells: Mapping[Column, Sequence[Cell]], runs: Mapping[str, CellRun]) -> dict[Column, Hashable]:
    """Return the same for all columns that are tested on images of one source: two models of one data set, two
    selections of it, or two copies, such as of another size, are not two data sets.

    Args:
        cells: Of each column.
        runs: By cell key: where two columns have the same samples with the same labels in a split, these are copies.
    """
    sources: list[tuple[set[Hashable], list[Column]]] = []
    for column, of_column in cells.items():
        signs: set[Hashable] = {(cell.dataset.name, cell.dataset.path) for cell in of_column}
        found = (runs.get(cell.key) for cell in of_column)
        signs |= {run.split_hash for run in found if run is not None and run.split_hash is not None}
        columns = [column]
        for source in [each for each in sources if each[0] & signs]:
            sources.remove(source)
            signs, columns = signs | source[0], source[1] + columns
        sources.append((signs, columns))
    return {column: number for number, (_, columns) in enumerate(sources) for column in columns}


def claims_of(
    rows: Sequence[str],
    analyses: Mapping[Column, Analysis],
    sources: Mapping[Column, Hashable],
    *,
    higher_is_better: bool,
    alpha: float,
) -> tuple[Claim, ...]:
    """Return the rows that are shown to be better, or worse, than the baseline on at least two data sets.

    Args:
        rows: In the table's order.
        analyses: What is said of each column.
        sources: The data set of each column.
        higher_is_better: Of the metric.
        alpha: The error rate of each claim.
    """
    num_datasets = len({sources[column] for column in analyses})
    found = []
    for row in rows if num_datasets > 1 else ():
        for verdict in _VERDICTS:
            upwards = (verdict == "better") == higher_is_better
            of_source: dict[Hashable, float] = {}
            for column, analysis in analyses.items():
                # On a data set it is shown if it is with every model.
                p = _p(analysis, row, upwards=upwards)
                of_source[sources[column]] = max(p, of_source.get(sources[column], 0.0))
            num_shown = partial_conjunction(list(of_source.values()), alpha=alpha)
            if num_shown > 1:
                found.append(Claim(row, verdict, num_shown, num_datasets))
    return tuple(found)


def _p(analysis: Analysis, row: str, *, upwards: bool) -> float:
    verdict = analysis.rows.get(row)
    if verdict is None or not verdict.p >= 0 or not analysis.tells:
        return 1.0
    return verdict.p if (verdict.difference > 0) == upwards else 1.0
