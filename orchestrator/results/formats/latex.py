"""A comparison as a paper prints it: a table with caption, label and a note, for which booktabs is enough."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from orchestrator.amounts import counted
from orchestrator.results.best_words import BEST, RULED_OUT
from orchestrator.results.comparison import Column, Comparison, Standing
from orchestrator.results.formats.source import Source
from orchestrator.results.levels import joint_levels, told_columns
from orchestrator.results.meant_images import about
from orchestrator.results.names import Names, named
from orchestrator.results.readable import metric_name
from orchestrator.results.statistics import Verdict
from orchestrator.results.tex import escaped
from orchestrator.results.wording import number, remarks, shown, shown_stopped

_MAY_BE_BEST, _NONE = r"$\approx$", "--"
_AGAINST: dict[Verdict, str] = {"better": r"\dagger", "worse": r"\ddagger", "equal within margin": "="}


def latex(source: Source) -> str:
    """Return a ``table`` with the best in bold, what may be the best marked, and a note that states the test.

    The remarks stand before it as comments.
    """
    comparison = source.comparison
    columns = comparison.columns
    lines = [
        *(f"% {' '.join(line.split())}" for line in remarks(named(comparison, source.names))),
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_caption(source)}}}",
        rf"\label{{tab:{_key(comparison)}}}",
        rf"\begin{{tabular}}{{l{'r' * len(columns)}}}",
        r"\toprule",
        *_header(columns, source.names),
        r"\midrule",
        *(_line([source.names.row_tex(row), *_amounts(source, row)]) for row in comparison.standing_rows),
        *_stopped(source),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    if note := " ".join(_note(source)):
        lines += ["", r"\smallskip", rf"\parbox{{\linewidth}}{{\footnotesize {note}}}"]
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _key(comparison: Comparison) -> str:
    """Return what tells this table from others of a paper, in letters that a label may have."""
    datasets = dict.fromkeys(column.dataset.partition("(")[0][:30] for column in comparison.columns)
    words = " ".join([*list(datasets)[:3], comparison.metric.key]).lower()
    return re.sub(r"[^a-z0-9]+", "-", words).strip("-")


def _caption(source: Source) -> str:
    comparison, metric = source.comparison, source.comparison.metric
    models = {column.model for column in comparison.columns}
    unit = r" in \%" if metric.is_fraction else ""
    of = f" of {source.names.model_tex(models.pop())}" if len(models) == 1 else ""
    better = f"; {'higher' if metric.higher_is_better else 'lower'} is better" if metric.is_comparable else ""
    what = escaped(metric_name(metric))
    return rf"{what}{unit}{of}: mean $\pm$ standard deviation over {_replicates(comparison)}{better}."


def _replicates(comparison: Comparison) -> str:
    """Return what the means are over: with the number, if it is the same everywhere."""
    planned = [replicate for entry in comparison.entries.values() for replicate in entry.planned]
    what = "seeds and folds" if len({replicate.fold for replicate in planned}) > 1 else "seeds"
    common = _common(comparison)
    return what if common is None else counted(common, "seed") if what == "seeds" else f"{common} {what}"


def _common(comparison: Comparison) -> int | None:
    """Return how many values each entry has, if that is all that were planned and the same everywhere."""
    found = {(entry.n, len(entry.planned)) for entry in comparison.entries.values() if entry.planned}
    n, planned = found.pop() if len(found) == 1 else (0, 1)
    return n if n == planned else None


def _header(columns: tuple[Column, ...], names: Names) -> Iterator[str]:
    """Yield a line for the data sets, and one for the models where there are several."""
    if len({column.model for column in columns}) == 1:
        yield _line(["Augmentation", *(names.dataset_tex(column.dataset) for column in columns)])
        return
    cells, rules, first = [""], [], 2
    for dataset, members in groupby(columns, key=lambda column: column.dataset):
        width = len(list(members))
        cells.append(rf"\multicolumn{{{width}}}{{c}}{{{names.dataset_tex(dataset)}}}")
        rules.append(rf"\cmidrule(lr){{{first}-{first + width - 1}}}")
        first += width
    yield _line(cells)
    yield " ".join(rules)
    yield _line(["Augmentation", *(names.model_tex(column.model) for column in columns)])


def _amounts(source: Source, row: str) -> Iterator[str]:
    comparison = source.comparison
    common = _common(comparison)
    marks: dict[Standing, str] = {"may be best": f"{_MAY_BE_BEST} "}
    for column in comparison.columns:
        entry = comparison.entries[row, column]
        mean, spread, seeds = shown(entry, comparison.metric)
        amount = escaped(mean + spread) if entry.n else _NONE
        amount = rf"\textbf{{{amount}}}" if entry.standing == "best" else amount
        seeds = rf" (${seeds}$)" if entry.n and common is None else ""
        yield f"{marks.get(entry.standing, '')}{amount}{seeds}{_against(comparison, row, column)}"


def _stopped(source: Source) -> Iterator[str]:
    """Yield what stands below a line: the rows that a race has stopped, of validation alone."""
    comparison = source.comparison
    if not comparison.stopped_rows:
        return
    yield r"\midrule"
    width = len(comparison.columns) + 1
    yield rf"\multicolumn{{{width}}}{{l}}{{Stopped by a race: validation error in \%, comparable within a rung}} \\"
    for row in comparison.stopped_rows:
        parts = [shown_stopped(comparison.entries[row, column]) for column in comparison.columns]
        texts = [escaped(f"{part.mean} ({part.seeds})") if part.seeds else _NONE for part in parts]
        yield _line([source.names.row_tex(row), *texts])


def _against(comparison: Comparison, row: str, column: Column) -> str:
    """Return the mark of what a row is against the baseline."""
    analysis = comparison.headline(column)
    verdict = analysis.rows.get(row) if analysis else None
    mark = _AGAINST.get(verdict.verdict) if verdict else None
    # Without a width, so that the numbers stay in line.
    return rf"\rlap{{$^{{{mark}}}$}}" if mark else ""


def _note(source: Source) -> Iterator[str]:
    """Yield what the marks mean, and by which test they were set."""
    comparison = source.comparison
    if not all(entry.n for entry in comparison.entries.values()):
        yield f"{_NONE}: no value."
    if comparison.raced:
        yield "Raced by validation: the first of many looks better than it is, so that nothing is marked or tested."
    if comparison.metric.is_comparable and comparison.mixed_data:
        which = ", ".join(source.names.dataset_tex(column.dataset) for column in comparison.mixed_data)
        yield f"Not compared, since the data set was changed between trainings: {which}."
    columns = told_columns(comparison)
    told = [analysis for column in columns if (analysis := comparison.headline(column))]
    if not told:
        if comparison.analyses and not comparison.raced:
            yield "Too few values to tell rows apart."
        return
    standings = {entry.standing for entry in comparison.entries.values()}
    if "best" in standings:
        yield f"Bold: the best, {BEST}."
    if "may be best" in standings:
        others = f"; of the others{' that are judged' if 'not judged' in standings else ''}, {RULED_OUT}"
        yield f"{_MAY_BE_BEST}: may be the best{others if 'ruled out' in standings else ''}."
    found = {verdict.verdict for analysis in told for verdict in analysis.rows.values()}
    meanings = ", ".join(f"${_AGAINST[each]}$ {_words(comparison, each)}" for each in _AGAINST if each in found)
    baseline = _baseline(source)
    if meanings:
        yield f"Against {baseline}: {meanings}."
    confidence, of = joint_levels(comparison, columns)
    tests = f"with {baseline} (Dunnett) and with the best (Hsu)" if baseline else "with the best (Hsu)"
    yield rf"Multiple comparisons {tests} over seeds, each row with a variance of its own, shrunk to the common one;"
    yield rf"of each kind, all statements of {of} hold together with {confidence}\,\% confidence,"
    yield f"about {_about(comparison, columns)}."
    for reason in comparison.exploratory:
        yield f"Exploratory: {escaped(reason)}."


def _baseline(source: Source) -> str:
    """Return the row that the others are compared with, or those of all columns, with the columns; empty for none."""
    comparison, names = source.comparison, source.names
    if comparison.baseline is not None or not comparison.baselines:
        return "" if comparison.baseline is None else names.row_tex(comparison.baseline)
    several = len({column.model for column in comparison.columns}) > 1
    return " or ".join(
        f"{names.row_tex(found.row)} on {names.dataset_tex(column.dataset)}"
        + (f", {names.model_tex(column.model)}" if several else "")
        for column, found in comparison.baselines.items()
    )


def _words(comparison: Comparison, verdict: Verdict) -> str:
    if verdict != "equal within margin" or comparison.margin is None:
        return verdict
    unit = " points" if comparison.metric.is_fraction else ""
    return f"equal within {number(comparison.margin, comparison.metric)}{unit}"


def _about(comparison: Comparison, columns: Sequence[Column]) -> str:
    """Return what the statements are about, where columns differ in it both."""
    return " or, in other columns, ".join(sorted({about(comparison, column).text for column in columns}))


def _line(texts: list[str]) -> str:
    return " & ".join(texts) + r" \\"
