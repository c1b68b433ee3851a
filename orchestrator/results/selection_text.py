"""The selection in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.results.formats.markdown import escaped
from orchestrator.results.metric import Metric
from orchestrator.results.race_words import stopped_text
from orchestrator.results.selection import Candidate, Selection
from orchestrator.results.wording import MIXED_DATA, number

NONE_WHOLE = "no configuration has all its seeds done"
# More configurations than that are counted.
NAMED = 8


def render_selection(selections: Sequence[Selection]) -> RenderableType:
    """For each data set and metric the chosen configuration, by validation only, and what was not eligible.

    Of several metrics it is said for each data set whether they choose the same.
    """
    of_dataset: dict[str, list[Selection]] = {}
    for selection in selections:
        of_dataset.setdefault(selection.dataset, []).append(selection)
    lines: list[str] = []
    for members in of_dataset.values():
        for selection in members:
            lines += _selection_lines(selection, by=f" by {selection.metric.name}" if len(members) > 1 else "")
        lines += _agreement(members)
    return Group(*map(Text, lines))


def describe_selection(selection: Selection, *, experiment: str) -> str:
    """Return in markdown what a chosen model is: its setting, and how good it was on validation.

    Args:
        selection: It has chosen something.
        experiment: The name of the experiment.
    """
    best, cell = selection.best, selection.cell
    assert best is not None, "something was chosen"
    assert cell is not None, "something was chosen"
    settings = ", ".join(f"{name}={value}" for name, value in cell.params().items())
    own = number(best.values[cell.replicate], selection.metric)
    where = escaped(f"on {selection.dataset}, chosen on validation by zetasweep in {experiment}.")
    said = (
        f"Validation {selection.metric.name}: {_amount(best, selection)} (mean ± standard deviation of "
        f"n={len(best.values)}); this is {cell.replicate.label}, the best of them: {own}."
    )
    return f"**{escaped(best.label)}** {where}\n\n{escaped(said)}\n\n{escaped(f'Setting: {settings}')}"


def _selection_lines(selection: Selection, *, by: str) -> Iterator[str]:
    metric, best = selection.metric, selection.best
    if best is None or selection.cell is None:
        why = f"no finished cell has {metric.key}" if selection.lacks_metric else NONE_WHOLE
        yield f"{selection.dataset}{by}: nothing to select, {why}"
    else:
        yield f"{selection.dataset}{by}: {best.label}"
        if selection.tied:
            others = "; ".join(candidate.label for candidate in selection.tied)
            alike = all(candidate.loss == best.loss for candidate in selection.tied)
            by_what = "the first in the file" if alike else "the one of the lowest loss, as in the race,"
            yield f"  tie: as good on validation are {others}: {by_what} is chosen"
        seeds = f"n={len(best.values)}"
        yield f"  validation {metric.name}: {_amount(best, selection)}, {seeds} (the choice looks at nothing else)"
        yield f"  {_sureness(selection)}"
        yield f"  {_test(selection)}"
        run = f"run {selection.run_id}" if selection.run_id else "not in MLflow yet: zetasweep run delivers it"
        where = f"(cell {selection.cell.key}, {run})"
        yield f"  best on validation: {selection.cell.replicate.label}{_tied_cells(selection)} {where}"
        if selection.model_uri:
            yield f"  its model: {selection.model_uri}"
        elif selection.run_id:
            yield "  its model: not in MLflow; --register and zetasweep predict export it"
        for second in selection.ranked[1:2]:
            yield f"  next of {len(selection.ranked)} on validation: {second.label}: {_amount(second, selection)}"
    if selection.mixed_data:
        yield f"  {MIXED_DATA}"
    for candidate in selection.not_eligible:
        yield f"  not eligible: {candidate.label}: {_why_not(candidate, metric)}"


def _amount(candidate: Candidate, selection: Selection) -> str:
    metric = selection.metric
    spread = "" if candidate.std is None else f" ± {number(candidate.std, metric)}"
    return f"{number(candidate.mean, metric)}{spread}{' %' if metric.is_fraction else ''}"


def _sureness(selection: Selection) -> str:
    """Say which configurations the seeds leave as the best on validation."""
    if selection.is_raced:
        return "how sure: the picked one of a race looks better than it is; zetasweep confirm compares it on new seeds"
    kept, num_judged = selection.may_be_best, selection.num_judged
    num_all = len(selection.ranked) + len(selection.not_eligible)
    if num_all == 1:
        return "how sure: there is no other configuration to choose"
    if selection.mixed_data:
        return "how sure: not known, since the data set was changed between trainings"
    if num_judged < 2:
        return "how sure: no other configuration is judged yet, so there is nothing to tell it apart from"
    if kept is None:
        return "how sure: too few seeds to tell any two configurations apart on validation"
    left = f"; {num_all - num_judged} of {num_all} were not judged" if num_judged < num_all else ""
    if len(kept) == 1:
        if not left and kept[0].eligible:
            return "how sure: no other configuration is better on validation"
        said = f"{kept[0].label} alone of {num_judged} that are judged is not ruled out on validation"
        return f"how sure: {said}{left or ', and it lacks seeds'}"
    if len(kept) == num_judged:
        return (
            f"how sure: any of the {num_judged} configurations may be the best on validation, none is ruled out{left}"
        )
    alone = len({candidate.cells[0].model.label for candidate in kept}) == 1
    labels = "; ".join(each.cells[0].variant if alone else each.label for each in kept[:NAMED])
    more = f"; and {len(kept) - NAMED} more" if len(kept) > NAMED else ""
    return f"how sure: any of these {len(kept)} may be the best on validation: {labels}{more}{left}"


def _test(selection: Selection) -> str:
    metric, mean = selection.metric, selection.test_mean
    if mean is not None:
        value = f"{number(mean, metric)}{' %' if metric.is_fraction else ''}"
        return f"test {metric.name}: {value} (for information: of each seed, with the choice made by the others)"
    if selection.is_raced:
        return f"test {metric.name}: not told of what was raced: zetasweep confirm measures it on new seeds"
    why = "not every seed has it" if selection.best and len(selection.best.values) > 1 else "it takes two seeds"
    return f"test {metric.name}: not known ({why}: of each seed it is told with the choice made by the others)"


def _why_not(candidate: Candidate, metric: Metric) -> str:
    if candidate.reached is not None and candidate.reached.stop is not None:
        why = stopped_text(candidate.reached)
        return f"stopped in rung {why.rung}, place {why.place}: {why.mean}, the last to go on had {why.cut}"
    n, planned = len(candidate.values), len(candidate.cells)
    failed = f", {candidate.num_failed} failed" if candidate.num_failed else ""
    if n == planned:
        return "its metric is not finite"
    lacking = candidate.num_done - n
    without = f", {'it lacks' if lacking == 1 else f'{lacking} lack'} {metric.key}" if lacking else ""
    return f"{candidate.num_done} of {planned} seeds done{without}{failed}"


def _tied_cells(selection: Selection) -> str:
    labels = [cell.replicate.label for cell in selection.tied_cells]
    verb = "is" if len(labels) == 1 else "are"
    return f", and {', '.join(labels)} {verb} as good: the first is taken" if labels else ""


def _agreement(selections: Sequence[Selection]) -> Iterator[str]:
    """Say whether several metrics choose the same on a data set."""
    chosen: dict[str, list[str]] = {}
    for selection in selections:
        if selection.best is not None:
            chosen.setdefault(selection.best.label, []).append(selection.metric.name)
    without = ", ".join(selection.metric.name for selection in selections if selection.best is None)
    if len(selections) > 1 and chosen:
        parts = "; ".join(f"{', '.join(metrics)}: {label}" for label, metrics in chosen.items())
        said = "the metrics choose the same" if len(chosen) == 1 else f"the metrics disagree: {parts}"
        yield f"{selections[0].dataset}: {f'{parts}; by {without} nothing is chosen' if without else said}"
