"""``zetasweep sync``."""

from __future__ import annotations

from functools import partial

import click

from orchestrator.cli.options import examples, experiment_options
from orchestrator.cli.outcomes import OF_OUTCOME
from orchestrator.exit_codes import DONE
from orchestrator.waiting import waiting_for


@click.command(epilog=examples("zetasweep sync quickstart.yaml"))
@experiment_options
def sync(experiment: str, overrides: tuple[str, ...]) -> int:
    """Deliver to MLflow what it did not take while the cells were trained."""
    from orchestrator.opened import Opened

    opened = Opened(experiment, overrides)
    opened.storage.check()
    # What is confirmed is a sweep of its own, and mostly there is none.
    confirmed = opened.confirmed()
    with opened.storage.glance():
        parts = [opened] if any(opened.storage.cell(cell.key).exists for cell in opened.cells) else []
        parts += [confirmed] if any(opened.storage.cell(cell.key).undelivered for cell in confirmed.cells) else []
    if not parts:
        click.echo(f"nothing waits to be delivered: there are no results of these cells in {opened.storage.shown()}")
        return DONE
    opened.storage.prepare()
    with opened.storage.locked(opened.experiment.name):
        # MLflow takes seconds to import: a mistake in the file is said before.
        with waiting_for("MLflow to be loaded"):
            from orchestrator.opened.tracked import tracker_of
            from orchestrator.sweep.run import deliver_waiting

        outcomes = [
            deliver_waiting(
                part.experiment,
                part.cells,
                part.storage,
                partial(tracker_of, part),
                store_is_there=part.store_is_there,
            )
            for part in parts
        ]
    return max(OF_OUTCOME[outcome] for outcome in outcomes)
