"""``zetasweep compare``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import click

from orchestrator.cli.completing import metrics
from orchestrator.cli.options import confirmed_option, examples, experiment_options
from orchestrator.cli.outcomes import exit_code
from orchestrator.cli.output import format_for, write_output
from orchestrator.errors import UserError
from orchestrator.exit_codes import INCOMPLETE
from orchestrator.waiting import waiting_for

if TYPE_CHECKING:
    from rich.console import RenderableType

    from orchestrator.results import Format

FORMATS = ("table", "markdown", "csv", "latex", "json")


@click.command(
    epilog=examples(
        "zetasweep compare quickstart.yaml --metric auroc",
        "zetasweep compare quickstart.yaml --against mixup --output table.tex",
    )
)
@experiment_options
@click.option(
    "--metric",
    default=None,
    help="test/..., val/... or best/...  [default: compare.metric of the file]",
    shell_complete=metrics,
)
@click.option(
    "--against", metavar="ROW", default=None, help="show the differences from this row in columns of their own"
)
@click.option(
    "--best-of",
    metavar="SETTING,...",
    default=None,
    help="Show each augmentation with the settings that validation chooses, e.g. train.lr,train.weight_decay.",
)
@click.option(
    "--family",
    type=click.Choice(("column", "table")),
    default=None,
    help="What is wrong in one of twenty at most: a column, or the table.  [default: compare.family of the file]",
)
@click.option("--final", is_flag=True, help="The table as it is published: exit with 1 while anything is missing.")
@confirmed_option
@click.option(
    "--format", "format_", type=click.Choice(FORMATS), help="[default: table, or what the ending of --output says]"
)
@click.option("--output", metavar="FILE", help="write to a file: .csv, .json, .md, .tex or .txt")
def compare(
    experiment: str,
    overrides: tuple[str, ...],
    metric: str | None,
    against: str | None,
    best_of: str | None,
    family: str | None,
    final: bool,
    confirmed: bool,
    format_: str | None,
    output: str | None,
) -> int:
    """Print augmentations x (data set, model): mean ± standard deviation over seeds."""
    from orchestrator.opened import Opened
    from orchestrator.results import (
        Names,
        check_asked,
        check_metric_is_there,
        lacks_for_publication,
        lines_above,
        named,
        remarks,
        render,
    )
    from orchestrator.terminal import new_console

    opened = Opened(experiment, overrides)
    written_as = format_for(format_, output, formats=FORMATS)
    opened = opened.part(confirmed=confirmed)
    names = Names(opened.experiment.names)
    above = lines_above(opened.choices, names) if confirmed else []
    baseline = None if against is None else names.label(against)
    settings = _settings_in(best_of)
    # MLflow takes seconds to import: a mistake in the file or in an option is said before.
    check_asked(
        opened.cells,
        metric=metric,
        baseline=baseline,
        best_of_settings=settings,
        is_searched=opened.experiment.search is not None,
        named_by="--against",
    )
    with waiting_for("MLflow to be loaded"):
        from orchestrator.opened.compared import comparison_of
        from orchestrator.opened.tracked import runs_of

    runs = runs_of(opened)
    changed: dict[str, Any] = {} if family is None else {"family": family}
    comparison = comparison_of(
        opened,
        runs,
        metric=metric,
        baseline=baseline,
        comparing=opened.experiment.compare.model_copy(update=changed),
        best_of_settings=settings,
    )
    check_metric_is_there(comparison)
    if final and (lacking := list(lacks_for_publication(comparison))):
        click.echo("\n".join(["not final:", *(f"- {what}" for what in lacking)]), err=True)
        return INCOMPLETE
    shown = render(comparison, cast("Format", written_as), differences=against is not None, names=names, runs=runs)
    if written_as == "csv":
        # The lines of a CSV file are all data; what must be said beside them goes past it.
        click.echo("\n".join(remarks(named(comparison, names))), err=True)
    if confirmed and not opened.is_done(runs):
        above.append("it is not complete: zetasweep confirm trains and delivers what is missing")
    shown = _below(above, shown, written_as)
    if output is not None:
        write_output(output, shown, format=written_as, asked=format_)
    elif isinstance(shown, str):
        click.echo(shown, nl=False)
    else:
        new_console().print(shown)
    return exit_code(opened, runs)


def _settings_in(best_of: str | None) -> list[str]:
    """Return the settings that ``--best-of`` names; none without it."""
    settings = [name.strip() for name in (best_of or "").split(",") if name.strip()]
    if best_of is not None and not settings:
        raise UserError(
            f"--best-of {best_of!r}: it names no setting",
            allowed="settings in which rows differ, with commas between them",
            remedy="write e.g. --best-of train.lr, or leave it out",
        )
    return settings


def _below(lines: Sequence[str], shown: RenderableType, written_as: str) -> RenderableType:
    """Return what is shown with lines above it; where all is data, they go past it."""
    from rich.console import Group
    from rich.text import Text

    from orchestrator.results import markdown_text

    if not isinstance(shown, str):
        return Group(*(Text(f"{line}\n") for line in lines), shown)
    if written_as in ("markdown", "latex"):
        if written_as == "latex":
            return "".join(f"% {' '.join(line.split())}\n" for line in lines) + shown
        return "".join(f"{markdown_text(line)}\n\n" for line in lines) + shown
    click.echo("\n".join(lines), err=True, nl=bool(lines))
    return shown
