"""``zetasweep compare``."""

from __future__ import annotations

from typing import cast

import click

from orchestrator.cli.opened import Opened
from orchestrator.cli.options import experiment_options
from orchestrator.results import Format, remarks, render, resolve_metric
from orchestrator.results import compare as compare_runs
from orchestrator.terminal import new_console
from orchestrator.waiting import waiting_for

FORMATS = ("table", "markdown", "csv", "latex")


@click.command()
@experiment_options
@click.option("--metric", default=None, help="test/..., val/... or best/...  [default: compare.metric of the file]")
@click.option(
    "--against", metavar="ROW", default=None, help="show the differences from this row in columns of their own"
)
@click.option("--format", "format_", type=click.Choice(FORMATS), default="table", show_default=True)
def compare(experiment: str, overrides: tuple[str, ...], metric: str | None, against: str | None, format_: str) -> int:
    """Print augmentations x (data set, model): mean ± standard deviation over seeds."""
    opened = Opened(experiment, overrides)
    if metric is not None:
        resolve_metric(metric)  # a mistake in it is said before MLflow is asked
    # MLflow takes seconds to import: a mistake in the file is said before.
    with waiting_for("MLflow to be loaded"):
        from orchestrator.cli.tracked import runs_of

    runs = runs_of(opened)
    settings = opened.experiment.compare
    comparison = compare_runs(opened.cells, runs, metric=metric, baseline=against, comparing=settings)
    shown = render(comparison, cast(Format, format_), differences=against is not None)
    if format_ == "csv":
        # The lines of a CSV file are all data; what must be said beside them goes past it.
        click.echo("\n".join(remarks(comparison)), err=True)
    if isinstance(shown, str):
        click.echo(shown, nl=False)
    else:
        new_console().print(shown)
    return opened.exit_code(runs)
