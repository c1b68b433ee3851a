"""A confirmation in words: what was chosen, by what, and what its table is of."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from orchestrator.amounts import counted, some
from orchestrator.experiment import Cell, Comparing
from orchestrator.results.confirmation import SEEDS, Wanted, price
from orchestrator.results.metric import resolve_metric
from orchestrator.results.names import Names
from orchestrator.results.race_words import percent
from orchestrator.results.rows import lay_out
from orchestrator.results.wording import number
from orchestrator.storage import FIRST_SEED, Choice, RankedRow


def lines_above(choices: Sequence[Choice], names: Names | None = None) -> list[str]:
    """Return what stands above the table of a confirmation: that it is one, and what takes from its worth.

    Args:
        choices: Of its columns.
        names: What data sets and models are called; None for their labels.
    """
    called = names or Names()
    seeds = dict.fromkeys(ranges(choice.seeds) for choice in choices)
    lines = [f"confirmed on seeds that were never used for choosing: {'; '.join(seeds)}"]
    for choice in choices:
        label = f"{called.dataset(choice.dataset)} / {called.model(choice.model)}"
        if choice.number > 1:
            lines.append(
                f"{label}: this is its confirmation number {choice.number}. To confirm until something shows is to "
                "choose once more: say how many there were."
            )
        if choice.looked_at:
            had = ", then ".join(map(str, choice.looked_at))
            lines.append(f"{label}: seeds were added when there were results: it had {had} at first.")
    return lines


def choice_lines(choice: Choice) -> Iterator[str]:
    """What was chosen, by what, and how close it was."""
    metric = resolve_metric(choice.metric)
    best = [row for row in choice.taken if row.row not in choice.against]
    baselines = [row for row in choice.taken if row.row in choice.against]

    def shown(row: RankedRow) -> str:
        n, planned = len(row.cells), row.num_planned
        if row.rung is not None:
            failed = "a training failed" if row.mean is None else f"best/error {percent(row.mean)}"
            return f"{row.row}: stopped in rung {row.rung} of the race, {failed}, n={n}/{planned}"
        mean = "no value" if row.mean is None else number(row.mean, metric) + (" %" if metric.is_fraction else "")
        return f"{row.row}: {mean}, n={n}" + (f"/{planned}" if n < planned else "")

    rows = counted(len(best) + len(choice.passed_over), "row") + (" beside the baseline" if baselines else "")
    yield (
        f"{' / '.join(choice.column)}: the best {len(best)} of {rows} by {choice.metric} (validation, mean over the "
        f"sweep's seeds), chosen {choice.chosen_at} UTC"
    )
    yield from (f"  {place}. {shown(row)}" for place, row in enumerate(best, start=1))
    yield from (f"  against {shown(row)}" for row in baselines)
    last = best[-1]
    if tied := [row for row in choice.passed_over if (row.rung, row.mean) == (last.rung, last.mean)]:
        verb = "is" if len(tied) == 1 else "are"
        by = "the first in the file" if all(row.loss == last.loss for row in tied) else "the one of the lowest loss"
        yield f"  tie: as good as the last of these {verb} {some([row.row for row in tied])}: {by} is taken"
    skipped = set(range(FIRST_SEED, choice.seeds[-1])) - set(choice.seeds)
    yield f"  seeds: {ranges(choice.seeds)}" + (f" ({ranges(skipped)} had been used before)" if skipped else "")


def price_line(
    cells: Sequence[Cell], comparing: Comparing, *, usual: Wanted | None = None, is_searched: bool = False
) -> list[str]:
    """Return a line of a plan that says what `zetasweep confirm` would cost; none where there is nothing to choose."""
    top, baselines, num_cells = price(cells, comparing, usual=usual, is_searched=is_searched)
    if not top:
        return []
    layout = lay_out(cells)
    named = [name if name in layout.rows else f"the best row of {name}" for name in baselines]
    rows = " and ".join(["the best row" if top == 1 else f"the {top} best rows", *named])
    num_seeds = usual.num_seeds if usual is not None and usual.num_seeds else SEEDS
    return [
        f"confirm:   zetasweep confirm would train {counted(num_cells, 'cell')} more: {rows} on {num_seeds} new seeds"
    ]


def kept_lines(choices: Sequence[Choice], usual: Wanted) -> Iterator[str]:
    """Yield where what was begun is not what the file says now: it stays as it was chosen."""
    for choice in choices:
        differing = {
            # Fewer rows than the file asks for are all that there are.
            f"top: {usual.top}": usual.top not in (None, choice.top) and bool(choice.passed_over),
            f"against: [{', '.join(usual.against)}]": usual.against not in ((), choice.against, choice.asked),
            f"seeds: {usual.num_seeds}": (usual.num_seeds or len(choice.seeds)) < len(choice.seeds),
        }
        if said := [what for what, differs in differing.items() if differs]:
            yield (
                f"{' / '.join(choice.column)}: search.confirm says {', '.join(said)} now; what was begun stays: top "
                f"{choice.top} on {len(choice.seeds)} seeds against {', '.join(choice.against) or 'no baseline'}. "
                "zetasweep confirm --again chooses anew"
            )


def progress_line(num_done: int, num_left: int) -> str:
    """Return a line of a plan that says how far a confirmation is."""
    left = f"zetasweep confirm trains the other {num_left}" if num_left else "zetasweep confirm prints its table"
    return f"confirm:   {num_done} of {counted(num_done + num_left, 'cell')} done: {left}"


def ranges(seeds: Collection[int]) -> str:
    """Return e.g. ``1000000 to 1000009, 1000012``."""
    runs: list[list[int]] = []
    for seed in sorted(seeds):
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)
