"""``zetasweep sync``."""

from __future__ import annotations

from functools import partial

import click

from orchestrator.cli.opened import Opened
from orchestrator.cli.options import experiment_options
from orchestrator.cli.outcomes import OF_OUTCOME
from orchestrator.exit_codes import DONE
from orchestrator.waiting import waiting_for


@click.command()
@experiment_options
def sync(experiment: str, overrides: tuple[str, ...]) -> int:
    """Deliver to MLflow what it did not take while the cells were trained."""
    opened = Opened(experiment, overrides)
    opened.storage.check()
    if not any(opened.storage.cell(cell.key).path.exists() for cell in opened.cells):
        click.echo(f"nothing waits to be delivered: there are no results of these cells in {opened.storage.root}")
        return DONE
    opened.storage.prepare()
    with opened.storage.locked(opened.experiment.name):
        # MLflow takes seconds to import: a mistake in the file is said before.
        with waiting_for("MLflow to be loaded"):
            from orchestrator.cli.tracked import tracker_of
            from orchestrator.sweep.run import deliver_waiting

        connect = partial(tracker_of, opened)
        outcome = deliver_waiting(
            opened.experiment, opened.cells, opened.storage, connect, store_is_there=opened.store_is_there
        )
    return OF_OUTCOME[outcome]
