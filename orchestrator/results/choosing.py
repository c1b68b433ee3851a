"""Which rows of a column are confirmed: the best by validation, and the baselines; and with which seeds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import count, islice

from orchestrator.amounts import counted
from orchestrator.errors import UserError
from orchestrator.experiment import Cell, Comparing
from orchestrator.metric_names import GROUP
from orchestrator.records import CellRun
from orchestrator.results.comparison import Column, Comparison, Entry, compare
from orchestrator.results.metric import Metric, resolve_metric
from orchestrator.results.race_words import progress_text
from orchestrator.results.raced import Raced, by_configuration, losses_of
from orchestrator.results.rows import rows_named
from orchestrator.results.wording import MIXED_DATA
from orchestrator.storage import FIRST_SEED, Choice, Confirmation, RankedRow


def validation_metric(comparing: Comparing) -> Metric:
    """Return what rows are chosen by: the metric that decides, of validation; the error where validation lacks it."""
    name = resolve_metric(comparing.metric).name.removeprefix(GROUP)
    try:
        return resolve_metric(name, default_stage="best")
    except UserError:  # it is of one class
        return resolve_metric("error", default_stage="best")


def ranking(table: Comparison, column: Column, losses: Mapping[str, float]) -> list[RankedRow]:
    """Return the rows of a column that have a mean, best first: those with all of their seeds before the others, which
    lucky seeds may lead; equal ones by `losses`, then in the experiment's order. Those that a race has stopped come
    last, who got furthest first: means over other seeds and epochs are not compared.
    """
    known = {row: losses.get(table.cells[row, column][0].config_key, math.inf) for row in _rows_in(table, column)}
    sign = -1.0 if table.metric.higher_is_better else 1.0
    entries = {row: table.entries[row, column] for row in known}
    found = [row for row, entry in entries.items() if math.isfinite(entry.mean)]
    found.sort(key=lambda row: (not entries[row].complete, sign * entries[row].mean, known[row]))
    stopped = {row: entry.reached for row, entry in entries.items() if entry.is_stopped and entry.reached}
    found += sorted(stopped, key=lambda row: stopped[row].sorts_as)
    return [_ranked(row, entries[row], table.cells[row, column], known[row]) for row in found]


def _rows_in(table: Comparison, column: Column) -> list[str]:
    return [row for row in table.rows if (row, column) in table.cells]


def _ranked(row: str, entry: Entry, cells: Sequence[Cell], loss: float) -> RankedRow:
    told_by = loss if math.isfinite(loss) else None
    if entry.is_stopped and entry.reached is not None:
        standing, mean = entry.reached.standing, entry.reached.place.mean
        return RankedRow(
            row=row,
            configuration=cells[0].config_key,
            mean=mean if math.isfinite(mean) else None,
            cells=tuple(cell.key for cell in cells[: standing.rung.seeds]),
            num_planned=len(cells),
            rung=standing.number,
            loss=told_by,
        )
    return RankedRow(
        row=row,
        configuration=cells[0].config_key,
        mean=entry.mean if math.isfinite(entry.mean) else None,
        cells=tuple(cell.key for cell in cells if cell.replicate in entry.values),
        num_planned=len(cells),
        loss=told_by,
    )


@dataclass(frozen=True)
class Chooser:
    """Chooses for the columns of a sweep.

    Attributes:
        cells: The sweep's.
        runs: What is known of them, by key.
        comparing: What the experiment says of comparing.
        before: What was chosen before, whose seeds are not fresh any more.
        known_keys: Returns the keys of all cells that were ever started, here or in MLflow.
        races: The searches of the columns that have one.
    """

    cells: Sequence[Cell]
    runs: Mapping[str, CellRun]
    comparing: Comparing
    before: Confirmation
    known_keys: Callable[[], Set[str]]
    races: Sequence[Raced] = ()

    def choose(
        self, columns: Set[tuple[str, str]], *, top: int, against: tuple[str, ...], num_seeds: int, now: str
    ) -> list[Choice]:
        """Return a choice for each of some columns.

        Args:
            columns: Data set and model, as tables show them.
            top: How many rows, beside the baselines.
            against: The baselines, as tables show them; of a search also names, each of which means the best row of it.
            num_seeds: How many seeds.
            now: UTC, as `Choice.chosen_at` has it.

        Raises:
            UserError: The sweep does not say yet which rows are the best.
        """
        cells = [cell for cell in self.cells if column_of(cell) in columns]
        _refuse_unfinished(cells, self.runs, self.races)
        table = compare(
            cells,
            self.runs,
            metric=validation_metric(self.comparing).key,
            comparing=self.comparing,
            races=self.races,
        )
        if table.mixed_data:
            raise UserError(f"{table.mixed_data[0].label}: {MIXED_DATA}")
        return [self._chosen(table, column, top, against, num_seeds, now) for column in table.columns]

    def _chosen(
        self, table: Comparison, column: Column, top: int, against: tuple[str, ...], num_seeds: int, now: str
    ) -> Choice:
        losses = losses_of(self.races)
        ranked = ranking(table, column, losses)
        asked, against = against, self._meant(table, column, ranked, against)
        beside = [row for row in ranked if row.row not in against]
        if not beside:
            raise UserError(
                f"{column.label}: no row beside the baseline has a finite {table.metric.key}",
                remedy="zetasweep status says why",
            )
        baselines = [
            next((each for each in ranked if each.row == row), None)
            or _ranked(row, table.entries[row, column], table.cells[row, column], math.inf)
            for row in against
            if (row, column) in table.cells
        ]
        taken = (*beside[:top], *baselines)
        place = column_of(next(members[0] for (_, at), members in table.cells.items() if at == column))
        return Choice(
            dataset=place[0],
            model=place[1],
            number=1 + sum(choice.column == place for choice in self.before.earlier),
            chosen_at=now,
            metric=table.metric.key,
            top=top,
            against=against,
            asked=asked if asked != against else (),
            taken=taken,
            passed_over=tuple(beside[top:]),
            seeds=self.fresh_seeds(place, taken, num_seeds),
        )

    def _meant(
        self, table: Comparison, column: Column, ranked: Sequence[RankedRow], against: tuple[str, ...]
    ) -> tuple[str, ...]:
        """Return the rows that the baselines are here: of those that share a name the one that is placed best, and for
        one that the column does not have the one that the table compares it with.
        """
        rows = {row: table.cells[row, column][0].augment for row in _rows_in(table, column)}
        placed = [*(each.row for each in ranked), *rows]
        usual = table.baseline_of(column)
        found = (min(rows_named(rows, name), key=placed.index, default=usual or name) for name in against)
        return tuple(dict.fromkeys(found))

    def fresh_seeds(self, column: tuple[str, str], taken: Sequence[RankedRow], num: int) -> tuple[int, ...]:
        """Return the next seeds from `FIRST_SEED` on that neither the sweep has nor any cell of these rows ever had."""
        choices = [choice for choice in (*self.before.choices, *self.before.earlier) if choice.column == column]
        used = {cell.seed for cell in self.cells}.union(*(choice.seeds for choice in choices))
        members = members_of(self.cells, column, taken)
        known = self.known_keys()

        def is_fresh(seed: int) -> bool:
            return seed not in used and known.isdisjoint(with_seed(cell, seed).key for cell in members)

        return tuple(islice(filter(is_fresh, count(FIRST_SEED)), num))


def column_of(cell: Cell) -> tuple[str, str]:
    """Return data set and model, as tables show them."""
    return cell.dataset.label, cell.model.label


def members_of(cells: Sequence[Cell], column: tuple[str, str], taken: Sequence[RankedRow]) -> list[Cell]:
    """Return one cell of each of some rows of a column, and of each fold where there are some."""
    rows = {row.configuration for row in taken}
    in_column = [cell for cell in cells if column_of(cell) == column]
    found = {(cell.config_key, cell.dataset.fold): cell for cell in in_column}
    return [cell for (configuration, _), cell in found.items() if configuration in rows]


def with_seed(cell: Cell, seed: int) -> Cell:
    """Return the same training with another seed."""
    return cell.model_copy(update={"seed": seed})


def _refuse_unfinished(cells: Sequence[Cell], runs: Mapping[str, CellRun], races: Sequence[Raced]) -> None:
    """Raise UserError if `run` would still train some of the cells; one that has failed would only fail again."""
    raced_of = by_configuration(races)
    searches = list({id(raced): raced for cell in cells if (raced := raced_of.get(cell.config_key))}.values())
    if searches:
        _refuse_open(searches)
        cells = [cell for cell in cells if cell.config_key not in raced_of]
    states = {cell: runs[cell.key].status if cell.key in runs else "missing" for cell in cells}
    open_ = {cell: state for cell, state in states.items() if state not in ("done", "trained", "failed")}
    if not open_:
        return
    counts = Counter(open_.values())
    which = f"{len(open_)} of {counted(len(cells), 'cell')}"
    told = ", ".join(f"{counts[state]} {state}" for state in sorted(counts))
    ended = sorted({cell.seed for cell in cells} - {cell.seed for cell in open_})
    by_ended = f"\nor choose by the seeds that all rows have: -o 'seed={ended}'" if ended else ""
    raise UserError(
        f"the sweep is not complete: {which} to choose by without a result ({told})",
        remedy=f"zetasweep run trains them{by_ended}",
    )


def _refuse_open(searches: Sequence[Raced]) -> None:
    """Raise UserError if the search of a column still trains, or has no winner."""
    open_ = [raced for raced in searches if not raced.is_over]
    if open_:
        raise UserError(f"the search is not over: {progress_text(open_)}", remedy="zetasweep run goes on with it")
    if any(raced.winner is None for raced in searches):
        raise UserError(
            "the search has no winner: each configuration of its last rung has a training that failed",
            remedy="zetasweep status says why: mend that, and zetasweep run --retry",
        )
