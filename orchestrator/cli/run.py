"""``zetasweep run``."""

from __future__ import annotations

import click

from orchestrator.cli.opened import Opened
from orchestrator.cli.options import experiment_options
from orchestrator.cli.outcomes import OF_OUTCOME
from orchestrator.data import download_dataset
from orchestrator.waiting import waiting_for


@click.command()
@experiment_options
@click.option("--download", is_flag=True, help="Fetch data sets that are missing, where torchvision can.")
def run(experiment: str, overrides: tuple[str, ...], download: bool) -> int:
    """Run what is missing; the same command again continues, extends or does nothing."""
    opened = Opened(experiment, overrides)
    from orchestrator.cli.start import check_start
    from orchestrator.plan import local_layout

    if download:
        for spec in opened.experiment.dataset:
            download_dataset(spec.name, opened.experiment.data_dir)
    data = check_start(opened, local_layout)
    opened.storage.prepare()
    with opened.storage.locked(opened.experiment.name):
        # Ray and MLflow: what was checked above is said without waiting for them.
        with waiting_for("MLflow to be loaded"):
            from orchestrator.cli.tracked import tracker_of
            from orchestrator.sweep.run import run_missing

        outcome = run_missing(opened.experiment, opened.cells, opened.storage, tracker_of(opened), data=data)
    return OF_OUTCOME[outcome]
