"""``zetasweep submit``."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import (
    address_option,
    examples,
    experiment_options,
    price_of,
    price_option,
    retry_option,
)
from orchestrator.exit_codes import DONE


@click.command(
    epilog=examples(
        "zetasweep submit cifar10.yaml --address http://HEAD:8265 -o storage=/shared/runs -o data_dir=/shared/data",
        "zetasweep submit cifar10.yaml -o storage=/shared/runs --no-wait",
    )
)
@experiment_options
@address_option
@click.option("--download", is_flag=True, help="Fetch data sets and published weights that are missing there.")
@retry_option
@price_option
@click.option("--no-wait", is_flag=True, help="Do not follow the job.")
def submit(
    experiment: str,
    overrides: tuple[str, ...],
    address: str | None,
    download: bool,
    retry: bool,
    price: str | None,
    no_wait: bool,
) -> int:
    """Run what is missing as a job of a Ray cluster, and follow it; the same command again continues.

    The job carries this code of zetasweep, the experiment file and plug-ins, and nothing else of this folder. What it
    writes it loses, unless storage is the absolute path of a folder that all nodes see. It exits like zetasweep run.
    """
    from orchestrator.jobs import address_of, connected
    from orchestrator.jobs.parcel import packed
    from orchestrator.jobs.places import check_places, kept_here, variables_of
    from orchestrator.opened import Opened

    server_address = address_of(address)
    opened = Opened(experiment, overrides)
    price_of(price, opened)
    options = ["--download"] * download + ["--retry"] * retry + (["--price", price] if price else [])
    with packed(Path(experiment)) as parcel:
        check_places(parcel, overrides)
        # Ray takes seconds to import: a mistake in the file is said before.
        server = connected(server_address)
        job = server.submit(
            parcel,
            parcel.command(overrides, options),
            experiment=opened.experiment.name,
            variables=variables_of(opened.experiment),
        )
    # As a module of the command line it is imported late, with Ray's client.
    from orchestrator.cli.following import call, followed

    click.echo(f"job: {job}, with {parcel.num_bytes / 1e6:.1f} MB\ndashboard: {server.address.link_to(job)}")
    if kept := kept_here(opened.experiment):
        click.echo(f"note: {kept}", err=True)
    if no_wait:
        click.echo(f"follow it: {call('logs', server, job)} --follow\nstop it: {call('stop', server, job)}")
        return DONE
    return followed(server, job)
