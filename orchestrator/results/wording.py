"""A comparison in words: what its numbers are, what they say, and what must be said beside them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from orchestrator.amounts import counted, some
from orchestrator.records import ANEW
from orchestrator.results.baselines import Baseline
from orchestrator.results.column_words import FEW, NAMED, sentences
from orchestrator.results.comparison import Column, Comparison, Entry, Standing
from orchestrator.results.estimands import FewImages
from orchestrator.results.levels import joint_levels, level, told_columns
from orchestrator.results.meant_images import about
from orchestrator.results.metric import Metric
from orchestrator.results.numbers import against, number
from orchestrator.results.race_words import BIASED, percent, search_lines
from orchestrator.results.rows import last_part

__all__ = [
    "MARKS",
    "Shown",
    "against",
    "differences_title",
    "number",
    "remarks",
    "shown",
    "title",
]

# What stands before a mean.
MARKS: dict[Standing, str] = {"best": "*", "may be best": "≈", "ruled out": "", "not judged": "", "stopped": ""}
# Between the rows of a table that were raced to the end, or still are, and those that were not.
STOPPED = (
    "stopped by a race: best/error in % over the seeds of the rung, until its epoch; comparable within a rung alone"
)
MIXED_DATA = (
    "the data set was changed between these cells, they saw different images or labels: not comparable. Restore it, or "
    f"{ANEW}."
)
UNLIKE_LOSSES = (
    "train/loss is of each augmentation's own images and labels, and mixed labels alone keep it up: the rows cannot be "
    "compared by it, so none is best."
)
METHOD = (
    "In brackets: intervals of the difference, which hold together for all rows of {family} with {levels} % confidence "
    "(Dunnett, each row with a spread of its own). With as much, of each row that is ruled out some other row is at "
    "least as good (Hsu). {estimand}"
)
THESE = "Both are about trainings on these images; other test images would differ, too."
NEW = "Both are about new trainings and new test images like these."
UNSEEN = (
    "what new ones would change is hardly seen, so that the intervals allow for four more on which rows differ "
    "(Agresti and Coull 1998). More test images tell more."
)
STARRED = "Only a row with all of its seeds is starred, and none while another is not judged."
CHOSEN = (
    "The settings were chosen by the same trainings, which shows each row better than it is, the more so the more "
    "settings there were: zetasweep confirm tells without that."
)
UNLIKE_CHOICES = (
    "Rows had {least} to {most} settings to choose from: those with more are favoured, and may be called better for "
    "that alone."
)
IN_FOLDS = (
    "Folds are trained on the same images for the most part: each counts once, with the mean of its seeds, and the "
    "intervals are widened for what they share (Nadeau and Bengio 2003). Each has test images of its own, so that the "
    "intervals allow for new ones, too."
)
LOOKS = (
    "the table was looked at before seeds were added, {times}: {level} % intervals, so that it is not tested until "
    "something is found."
)


def title(comparison: Comparison, *, marks: str) -> str:
    """What the numbers are and how to read them."""
    metric = comparison.metric
    unit = (" in %" if metric.is_fraction else "") + (", exploratory" if comparison.is_exploratory else "")
    over = "seeds and folds" if _in_folds(comparison) else "seeds"
    if not metric.is_comparable:
        return f"{metric.key}{unit}: mean ± standard deviation over {over}"
    better = "higher" if metric.higher_is_better else "lower"
    if len(comparison.raced) == len(comparison.columns):
        marks = "raced: nothing is marked"
    return f"{metric.key}{unit}: mean ± standard deviation over {over} ({better} is better, {marks})"


def _in_folds(comparison: Comparison) -> bool:
    return any(_is_in_folds(comparison, column) for column in comparison.columns)


def _is_in_folds(comparison: Comparison, column: Column) -> bool:
    entries = (comparison.entries[row, column] for row in comparison.rows)
    return any(len({replicate.fold for replicate in entry.planned}) > 1 for entry in entries)


def differences_title(comparison: Comparison) -> str:
    """What stands behind a value where differences are shown."""
    if not comparison.baselines:
        return "There is no baseline to show differences from: name one with --against ROW."
    if len(comparison.raced) == len(comparison.columns):
        return "No differences are shown of rows that were raced: zetasweep confirm measures them on new seeds."
    both = " [and on these test images alone]" if comparison.new_images else ""
    is_new = any(about(comparison, column).new for column in comparison.columns)
    of = "new test images like these" if is_new else "these test images"
    return f"Behind it: the difference from {compared_with(comparison)} (its interval on {of}){both}"


def compared_with(comparison: Comparison) -> str:
    """Return what the rows of all columns are compared with: the baseline, or that of each column if they differ."""
    return comparison.baseline or "the baseline of its column"


class Shown(NamedTuple):
    """An entry as shown, e.g. ``4.42``, `` ± 0.12`` and ``n=3``."""

    mean: str
    spread: str
    seeds: str


def shown(entry: Entry, metric: Metric) -> Shown:
    """An entry as shown; ``n=2/3`` is two of three planned seeds."""
    if not entry.planned:
        return Shown("not planned", "", "")
    if entry.is_stopped:
        return Shown("stopped", "", "")
    seeds = f"n={entry.n}" if entry.n == len(entry.planned) else f"n={entry.n}/{len(entry.planned)}"
    if not entry.n:
        return Shown("missing", "", seeds)
    spread = "" if entry.std is None else f" ± {number(entry.std, metric)}"
    return Shown(number(entry.mean, metric), spread, seeds)


def shown_stopped(entry: Entry) -> Shown:
    """Likewise below the line, of a row that some column has stopped: e.g. ``58.80`` and ``rung 1, n=1``."""
    if not entry.is_stopped or entry.reached is None:
        return Shown("not stopped" if entry.planned else "not planned", "", "")
    standing = entry.reached.standing
    mean = percent(entry.reached.place.mean).removesuffix(" %")
    return Shown(mean, "", f"rung {standing.number}, n={standing.rung.seeds}")


def remarks(comparison: Comparison) -> list[str]:
    """What must be said beside the numbers: the verdict for each column, its limits, and what is missing."""
    lines = [] if comparison.metric.is_comparable else [UNLIKE_LOSSES]
    lines += _of_rows(comparison)
    if comparison.metric.is_comparable:
        for column in comparison.columns:
            if column in comparison.mixed_data:
                lines.append(f"{column.label}: {MIXED_DATA}")
            if column in comparison.mixed_data or column in comparison.raced:
                continue
            lines += [f"{column.label}: {sentence}" for sentence in sentences(comparison, column)]
            lines += [f"{column.label}: {limit}" for limit in _limits(comparison, column)]
        lines += _over_datasets(comparison)
    else:
        lines += [f"{column.label}: {MIXED_DATA}" for column in comparison.mixed_data]
    lines += _of_races(comparison)
    lines += [f"Exploratory: {reason}." for reason in comparison.exploratory]
    lines += _method(comparison)
    if comparison.num_untracked:
        lines.append(
            f"Not in MLflow yet: {comparison.num_untracked} of {counted(comparison.num_cells, 'cell')}, whose results "
            f"are in storage: {comparison.remedies.delivers}."
        )
    if counts := comparison.without_value:
        names = {state: f"{state} without this metric" for state in ("done", "trained")}
        states = ", ".join(f"{counts[state]} {names.get(state, state)}" for state in sorted(counts))
        starred = "" if comparison.raced else f" {STARRED}"
        lines.append(
            f"Without a value: {sum(counts.values())} of {counted(comparison.num_cells, 'cell')} ({states}).{starred}"
        )
    return lines


def _of_races(comparison: Comparison) -> Iterator[str]:
    """Say how far the race of each column is, what its rungs did, and what nobody may take from it."""
    for column, raced in comparison.raced.items():
        lines = search_lines(raced, comparison.called(column))
        yield from (f"{column.label}: {line}" for line in lines)
    if comparison.raced:
        yield BIASED


def _of_rows(comparison: Comparison) -> Iterator[str]:
    """Say what the rows are, where that is more than their labels."""
    if comparison.choices is not None:
        made = comparison.choices.made
        of_settings: dict[tuple[Column, str, int], list[str]] = {}
        for choice in made:
            of_settings.setdefault((choice.column, choice.settings, choice.num_settings), []).append(choice.row)
        names = ", ".join(map(last_part, comparison.choices.names))
        by = f"{comparison.choices.metric.key} (validation, mean over the same seeds)"
        yield f"Each row is shown with the {names} that {by} chose, not the test:"
        for (column, settings, num), rows in of_settings.items():
            furthest = ", which got furthest in the race" if column in comparison.raced else ""
            yield f"{column.label}: {settings} of {counted(num, 'setting')}{furthest}: {some(rows, at_most=NAMED)}."
        yield CHOSEN
        numbers = sorted({choice.num_settings for choice in made})
        if len(numbers) > 1:
            yield UNLIKE_CHOICES.format(least=numbers[0], most=numbers[-1])
        if failed := sum(choice.num_failed for choice in made):
            them = "it" if failed == 1 else "them"
            were = f"{counted(failed, 'setting')} {'was' if failed == 1 else 'were'}"
            yield f"{were} not chosen among, since a training failed with {them}."
    yield from _of_baselines(comparison)
    for column, settings in comparison.settings.items():
        yield f"{column.label}: all rows with {settings}."


def _of_baselines(comparison: Comparison) -> Iterator[str]:
    """Say which row the baseline is, where it could be another, or is another in another column."""
    groups: dict[Baseline, list[Column]] = {}
    for column, found in comparison.baselines.items():
        groups.setdefault(found, []).append(column)
    for found, columns in groups.items():
        where = f"{', '.join(column.label for column in columns)}: " if len(groups) > 1 else ""
        why = f"; {found.num} rows have its augmentation"
        if found.is_placed:
            why = f": of {found.num} rows with its augmentation it is placed best by validation"
        if found.num > 1:
            yield f"{where}{found.row} is the baseline{why}, and compare.baseline or --against names another."
        elif comparison.baseline is None:
            yield f"{where}{found.row} is the baseline."


def _limits(comparison: Comparison, column: Column) -> Iterator[str]:
    """Say what a column's words are held to."""
    analysis = comparison.analyses[column]
    if column in comparison.lacking and analysis.tells:
        yield f"{about(comparison, column).why}."
    if column in comparison.few_images and comparison.new_images[column].tells:
        yield _of_few_images(comparison.few_images[column])
    if num_looks := comparison.looks.get(column, 0):
        times = "once" if num_looks == 1 else f"{num_looks} times"
        yield LOOKS.format(times=times, level=level(analysis.alpha))


def _of_few_images(few: FewImages) -> str:
    """Say that what new images would change is hardly seen, and what is done for it."""
    if few.num_none == few.num_pairs:
        rows = "no two rows" if few.num_pairs > 1 else "the rows do not"
        return f"{rows} differ on any of these test images: {UNSEEN}"
    of_pairs = "the rows" if few.num_pairs == 1 else f"{few.num_few} of {few.num_pairs} pairs of rows"
    none = f", {few.num_none} of them on none" if few.num_none else ""
    little = f"differ as little as on fewer than four of these test images{none}"
    return f"{of_pairs}, their seeds averaged, {little}: {UNSEEN}"


def _over_datasets(comparison: Comparison) -> Iterator[str]:
    groups: dict[tuple[str, int], list[str]] = {}
    for claim in comparison.claims:
        groups.setdefault((claim.verdict, claim.num_shown), []).append(claim.row)
    for (verdict, num_shown), rows in groups.items():
        on = f"{num_shown} of {comparison.claims[0].num_datasets} data sets"
        than = f"{verdict} than {compared_with(comparison)}"
        yield f"{than} on at least {on}: {some(rows, at_most=FEW)} (partial conjunction)."


def _method(comparison: Comparison) -> Iterator[str]:
    told = told_columns(comparison)
    if not told:
        return
    found = {column: about(comparison, column) for column in told}
    new = [column for column in told if found[column].new]
    some_new = f"Both are about new test images like these on {', '.join(column.label for column in new)}; else about "
    levels, family = joint_levels(comparison, told)
    yield METHOD.format(
        levels=levels,
        family=family,
        estimand=NEW if len(new) == len(told) else THESE if not new else f"{some_new}these alone.",
    )
    if any(each.in_folds for each in found.values()):
        yield IN_FOLDS
