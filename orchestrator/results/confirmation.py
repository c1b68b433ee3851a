"""What is confirmed of a sweep: its best rows by validation and the baselines, on seeds that no choice has seen.

The row that leads a table leads by luck, too: it is shown better than it is, the more so the more rows there are. What
was chosen is therefore trained anew, and only those trainings say how good it is. What was chosen once stays chosen
(`orchestrator.storage.Confirmation`), whatever validation says later. Pure functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.errors import UserError
from orchestrator.experiment import Cell, Comparing, Configuration, Experiment, expand
from orchestrator.records import CellRun
from orchestrator.results.baselines import BASELINE, baseline_of
from orchestrator.results.choosing import Chooser, column_of, members_of, with_seed
from orchestrator.results.raced import Raced
from orchestrator.results.rows import lay_out
from orchestrator.storage import Choice, Confirmation

# Simulated, 54 rows: two seeds each and then this tells half a point in 74 of 100 tables, one shot of as many trainings
# in 7.
TOP, SEEDS = 3, 10


@dataclass(frozen=True)
class Wanted:
    """What a user asks to be confirmed; what is left out is as it was begun, or `TOP`, `SEEDS` and what tables compare
    with.

    Attributes:
        top: How many rows beside the baselines.
        num_seeds: How many seeds.
        against: The baselines, as the table has them, or by the name of an augmentation that one row has; of a search
            several may: the one that is placed best then is meant when it is chosen.
    """

    top: int | None = None
    num_seeds: int | None = None
    against: tuple[str, ...] = ()


def wanted_of(experiment: Experiment) -> Wanted:
    """Return what the file wants confirmed, under ``search.confirm``; nothing of its own where it does not say it."""
    confirm = experiment.search.confirm if experiment.search is not None else None
    return Wanted() if confirm is None else Wanted(confirm.top, confirm.seeds, confirm.against)


def check_usual(usual: Wanted, cells: Sequence[Cell]) -> Wanted:
    """Return what the file wants confirmed, with the baselines as the table has them.

    Raises:
        UserError: There is no such row.
    """
    try:
        against = _checked(usual.against, cells, is_searched=True)
    except UserError as error:
        what = error.args[0].removeprefix("--against ")
        raise UserError(f"search.confirm.against = {what}", allowed=error.allowed, remedy=error.remedy) from error
    return replace(usual, against=against)


def _checked(against: tuple[str, ...], cells: Sequence[Cell], *, is_searched: bool) -> tuple[str, ...]:
    """Return the baselines as the table has them; a name that several rows of a search have stays one."""
    layout = lay_out(cells)
    found = dict[str, None]()
    for name in against:
        row, num = baseline_of(layout, name, must_be_one=True, is_searched=is_searched, named_by="--against")
        found[str(row) if num == 1 else name] = None
    return tuple(found)


def check_wanted(wanted: Wanted, cells: Sequence[Cell], comparing: Comparing, *, is_searched: bool = False) -> Wanted:
    """Return what is wanted, with the baselines as the table has them.

    Args:
        wanted: By the user.
        cells: The sweep's.
        comparing: What the experiment says of comparing.
        is_searched: Whether it has a search.

    Raises:
        UserError: There are no such rows, or not so many, or one seed is to tell something.
    """
    against = _checked(wanted.against, cells, is_searched=is_searched)
    beside, _ = _rows_of(cells, comparing, against, is_searched=is_searched)
    if not beside:
        raise UserError("nothing can be confirmed: there is no row beside the baseline", remedy="add one to augment")
    if wanted.top is not None and not 1 <= wanted.top <= beside:
        rows = f"1 to {beside}, the rows beside the baseline" if beside > 1 else "1, the only row beside the baseline"
        what = "there are not so many rows" if wanted.top > beside else "one row is chosen at least"
        raise UserError(f"--top {wanted.top}: {what}", allowed=rows)
    if wanted.num_seeds is not None and wanted.num_seeds < 2:
        what = "one training has no spread" if wanted.num_seeds == 1 else "there is no such number of seeds"
        raise UserError(f"--seeds {wanted.num_seeds}: {what}", allowed="an integer, at least 2")
    return replace(wanted, against=against)


def _rows_of(
    cells: Sequence[Cell], comparing: Comparing, against: tuple[str, ...], *, is_searched: bool
) -> tuple[int, tuple[str, ...]]:
    """Return how many rows there are beside the baselines, and these; what tables compare with, if none is wanted."""
    layout = lay_out(cells)
    row, num = baseline_of(layout, comparing.baseline, must_be_one=False, is_searched=is_searched)
    usual = (comparing.baseline or BASELINE) if is_searched and num > 1 else row
    baselines = against or ((usual,) if usual is not None else ())
    return len(layout.rows) - len(baselines), baselines


def settle(
    cells: Sequence[Cell],
    runs: Mapping[str, CellRun],
    before: Confirmation,
    wanted: Wanted,
    *,
    comparing: Comparing,
    known_keys: Callable[[], Set[str]],
    now: str,
    usual: Wanted | None = None,
    races: Sequence[Raced] = (),
) -> Confirmation:
    """Return what is to be confirmed: what was begun, with the seeds that are added, and a choice for each new column.

    Args:
        cells: The sweep's.
        runs: What is known of them and of what is confirmed, by key.
        before: What was begun.
        wanted: From `check_wanted`.
        comparing: What the experiment says of comparing.
        known_keys: Returns the keys of all cells that were ever started, here or in MLflow.
        now: UTC, as `Choice.chosen_at` has it.
        usual: What the file wants, where the user does not say it and nothing was begun; of seeds, what it has more
            than were begun is added.
        races: The searches of the columns that have one.

    Raises:
        UserError: Something else was begun, or the sweep does not say yet which rows are the best.
    """
    usual = usual or Wanted()
    here = set(map(column_of, cells))
    for choice in before.choices:
        if choice.column in here:
            _refuse_other(choice, wanted)
    chooser = Chooser(cells, runs, comparing, before, known_keys, races)
    num_seeds = wanted.num_seeds or usual.num_seeds
    kept = [_extended(choice, num_seeds, chooser) if choice.column in here else choice for choice in before.choices]
    new = here - {choice.column for choice in before.choices}
    if new:
        if begun := next(iter(before.choices), None):  # of another column
            usual = Wanted(begun.top, len(begun.seeds), begun.asked or begun.against)
        asked = wanted.against or usual.against
        beside, baselines = _rows_of(cells, comparing, asked, is_searched=bool(races))
        kept += chooser.choose(
            new,
            top=wanted.top or min(usual.top or TOP, beside),
            against=baselines,
            num_seeds=wanted.num_seeds or usual.num_seeds or SEEDS,
            now=now,
        )
    return before.model_copy(update={"choices": tuple(kept)})


def _refuse_other(choice: Choice, wanted: Wanted) -> None:
    """Raise UserError if something else is wanted than was begun: a choice that follows results is no test of them."""
    asked = {
        f"--top {wanted.top}": wanted.top not in (None, choice.top),
        f"--against {', '.join(wanted.against)}": wanted.against not in ((), choice.against, choice.asked),
        f"--seeds {wanted.num_seeds}": (wanted.num_seeds or len(choice.seeds)) < len(choice.seeds),
    }
    for option, differs in asked.items():
        if differs:
            raise UserError(
                f"{option}: {' / '.join(choice.column)} has been confirmed since {choice.chosen_at} UTC with --top "
                f"{choice.top} --seeds {len(choice.seeds)} against {', '.join(choice.against) or 'no baseline'}",
                allowed="more seeds" if option.startswith("--seeds") else "",
                remedy=f"leave {option.split()[0]} out to go on with that\nor choose anew, on other seeds: --again",
            )


def _extended(choice: Choice, num_seeds: int | None, chooser: Chooser) -> Choice:
    """Return the choice with the seeds that it is to have; what was seen before they were added is not forgotten."""
    more = (num_seeds or 0) - len(choice.seeds)
    if more <= 0:
        return choice
    seen = any(key in chooser.runs and chooser.runs[key].has_result for key in keys_of(choice, chooser.cells))
    return choice.model_copy(
        update={
            "seeds": (*choice.seeds, *chooser.fresh_seeds(choice.column, choice.taken, more)),
            "looked_at": (*choice.looked_at, len(choice.seeds)) if seen else choice.looked_at,
        }
    )


def put_aside(before: Confirmation, cells: Sequence[Cell], known_keys: Set[str]) -> Confirmation:
    """Return the confirmation without a choice for the columns of `cells`; those that were trained become earlier ones.

    Args:
        before: What was begun.
        cells: The sweep's.
        known_keys: Of all cells that were ever started, here or in MLflow.
    """
    here = set(map(column_of, cells))
    replaced = [choice for choice in before.choices if choice.column in here]
    # One of which no cell has started has shown nothing to anybody.
    begun = [choice for choice in replaced if lost_rows(choice, cells) or known_keys & keys_of(choice, cells)]
    kept = tuple(choice for choice in before.choices if choice.column not in here)
    return before.model_copy(update={"choices": kept, "earlier": (*before.earlier, *begun)})


def keys_of(choice: Choice, cells: Sequence[Cell]) -> set[str]:
    """Return the keys of what is trained of a choice, as far as the rows of `cells` are those of then."""
    members = members_of(cells, choice.column, choice.taken)
    return {with_seed(member, seed).key for member in members for seed in choice.seeds}


def lost_rows(choice: Choice, cells: Sequence[Cell]) -> list[str]:
    """Return the rows of a choice that are not among those of `cells`, or are trained otherwise there."""
    found = {member.config_key for member in members_of(cells, choice.column, choice.taken)}
    return [row.row for row in choice.taken if row.configuration not in found]


def named_as_now(confirmation: Confirmation, cells: Sequence[Cell]) -> Confirmation:
    """Return the confirmation with its data sets named as `cells` have them: another name is the same training."""
    if not confirmation.trainings:
        return confirmation  # most experiments, and keys of many cells take a while
    names = {cell.config_key: cell.dataset.label for cell in cells}

    def renamed(choice: Choice) -> Choice:
        found = (names[row.configuration] for row in choice.taken if row.configuration in names)
        return choice.model_copy(update={"dataset": next(found, choice.dataset)})

    return confirmation.model_copy(
        update={
            "choices": tuple(map(renamed, confirmation.choices)),
            "earlier": tuple(map(renamed, confirmation.earlier)),
        }
    )


def confirming(
    experiment: Experiment, confirmation: Confirmation, configurations: Sequence[Configuration] | None = None
) -> tuple[Experiment, list[Cell]]:
    """Return the confirmation of an experiment as an experiment of its own, and its cells: no full grid, if its columns
    have chosen otherwise. In MLflow it lies in an experiment of its own: no chart puts its seeds to those of the sweep.

    Rows that the experiment has no more are left out, see `lost_rows`.

    Args:
        experiment: That is confirmed.
        confirmation: What of it.
        configurations: Those that are known of it; None for all combinations of its lists.
    """
    here = {(spec.label, model.label) for spec in experiment.dataset for model in experiment.model}
    choices = [choice for choice in confirmation.choices if choice.column in here]
    pairs = {(row.configuration, seed) for choice in choices for row in choice.taken for seed in choice.seeds}
    number = max((choice.number for choice in choices), default=1)
    suffix = "-confirm" if number == 1 else f"-confirm-{number}"
    whole = experiment.model_copy(
        update={
            "name": experiment.name + suffix,
            "tracking": experiment.tracking.model_copy(update={"experiment": experiment.tracked_in + suffix}),
            "seed": tuple(dict.fromkeys(seed for choice in choices for seed in choice.seeds)),
        }
    )
    # Without a choice there is no seed either.
    cells = [cell for cell in expand(whole, configurations) if (cell.config_key, cell.seed) in pairs]
    changes: dict[str, object] = {
        "dataset": tuple(dict.fromkeys(cell.dataset for cell in cells)),
        "model": tuple(dict.fromkeys(cell.model for cell in cells)),
        "augment": tuple(dict.fromkeys(cell.augment for cell in cells)),
        "confirmed": frozenset(filter(None, map(_baseline, choices))),
    }
    if experiment.search is not None:
        # What is confirmed is trained to the end: neither drawn nor raced once more.
        changes |= {"search": None, "drawn": (), "configurations": tuple(configurations or experiment.grid)}
    return whole.model_copy(update=changes), cells


def _baseline(choice: Choice) -> str | None:
    """Return the configuration of the first baseline, as far as the column has one: the table compares with it."""
    taken = {row.row: row.configuration for row in choice.taken}
    return next((taken[row] for row in choice.against if row in taken), None)


def refuse_kept_seeds(cells: Sequence[Cell], confirmations: Iterable[Confirmation], *, file: Path) -> None:
    """Raise UserError if a sweep has trainings that a confirmation keeps: what they choose they cannot confirm."""
    for confirmation in confirmations:
        kept = confirmation.trainings
        if shared := sorted({cell.seed for cell in cells if (cell.config_key, cell.seed) in kept}):
            raise UserError(
                f"{file}: seed = {', '.join(map(str, shared))}: kept for what zetasweep confirm trains of "
                f"{confirmation.sweep}: what a seed helps to choose cannot be confirmed on it",
                remedy="take others; zetasweep confirm --seeds N trains what was chosen on more of them",
            )


def price(
    cells: Sequence[Cell], comparing: Comparing, *, usual: Wanted | None = None, is_searched: bool = False
) -> tuple[int, tuple[str, ...], int]:
    """Return what `zetasweep confirm` would train: how many rows of each column, beside which baselines, in how many
    cells; no rows where there are none beside the baseline.

    Args:
        cells: The sweep's.
        comparing: What the experiment says of comparing.
        usual: What it says of confirming.
        is_searched: Whether it has a search.
    """
    usual = usual or Wanted()
    beside, baselines = _rows_of(cells, comparing, usual.against, is_searched=is_searched)
    top = min(usual.top or TOP, beside)
    num_places = len({(cell.dataset, cell.model) for cell in cells})  # a fold is one, too
    return top, baselines, (top + len(baselines)) * num_places * (usual.num_seeds or SEEDS)
