"""``zetasweep sync``."""

from __future__ import annotations

import click

from orchestrator.cli.opened import Opened
from orchestrator.cli.options import experiment_options


@click.command()
@experiment_options
def sync(experiment: str, overrides: tuple[str, ...]) -> int:
    """Deliver to MLflow what it did not take while the cells were trained."""
    opened = Opened(experiment, overrides)
    opened.storage.prepare()
    with opened.storage.locked(opened.experiment.name):
        from orchestrator.sweep.run import deliver_waiting

        return deliver_waiting(opened.experiment, opened.cells, opened.storage, opened.tracker())
