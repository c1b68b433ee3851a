"""``zetasweep run``."""

from __future__ import annotations

import shlex

import click

from orchestrator.cli.options import examples, experiment_options, price_of, price_option, retry_option
from orchestrator.cli.outcomes import OF_OUTCOME


@click.command(
    epilog=examples("zetasweep run quickstart.yaml", "zetasweep run quickstart.yaml -o train.epochs=2 -o 'seed=[0,1]'")
)
@experiment_options
@click.option("--download", is_flag=True, help="Fetch data sets and published weights that are missing.")
@retry_option
@price_option
def run(experiment: str, overrides: tuple[str, ...], download: bool, retry: bool, price: str | None) -> int:
    """Run what is missing; the same command again continues, extends or does nothing."""
    from orchestrator.opened import Opened
    from orchestrator.opened.run import download as fetch
    from orchestrator.opened.run import run as run_opened
    from orchestrator.plugins import plugin_words
    from orchestrator.records import Outcome

    opened = Opened(experiment, overrides)
    paid = price_of(price, opened)
    if download:
        fetch(opened)
    outcome = run_opened(opened, price=paid, retry=retry)
    overriding = [*plugin_words(), *(part for override in overrides for part in ("-o", override))]
    search = opened.experiment.search
    if search is not None and search.confirm is not None and outcome is not Outcome.INTERRUPTED:
        said = shlex.join(["zetasweep", "confirm", experiment, *overriding])
        click.echo(f"on new seeds, which the search did not have (search.confirm): {said}")
    click.echo(f"look at it: {shlex.join(['zetasweep', 'ui', experiment, *overriding])}")
    return OF_OUTCOME[outcome]
