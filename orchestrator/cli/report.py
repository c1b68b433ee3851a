"""``zetasweep report``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import confirmed_option, examples, experiment_options, price_of, price_option
from orchestrator.cli.outcomes import exit_code
from orchestrator.errors import TrackingError
from orchestrator.exit_codes import INCOMPLETE
from orchestrator.waiting import waiting_for

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.opened import Opened


@click.command(epilog=examples("zetasweep report quickstart.yaml"))
@experiment_options
@confirmed_option
@price_option
def report(experiment: str, overrides: tuple[str, ...], confirmed: bool, price: str | None) -> int:
    """Write verdict, table and figures as one page, and as files, to storage and to MLflow."""
    from orchestrator.opened import Opened
    from orchestrator.terminal import counting_bar, new_console

    opened = Opened(experiment, overrides).part(confirmed=confirmed)
    paid = price_of(price, opened)
    # MLflow takes seconds to import: a mistake in the file is said before.
    with waiting_for("MLflow to be loaded"):
        from orchestrator.opened.material import material_of
        from orchestrator.report import FIGURES, PAGE, missing_of, write_report
        from orchestrator.storage.atomic import folder_replaced

    material = material_of(opened, price=paid)
    opened.storage.check_writable()
    folder = opened.storage.reports_dir / opened.experiment.name
    with folder_replaced(folder) as new, counting_bar(new_console(sys.stderr), "drawing figures") as show:
        parts = write_report(material, FIGURES, new, on_progress=show)
    for kinds, reason in missing_of(parts):
        click.echo(f"not in it: {kinds}: {reason}", err=True)
    opened.storage.keep(folder)
    click.echo(opened.storage.shown(folder / PAGE))
    return exit_code(opened, material.runs) if _send(opened, folder) else INCOMPLETE


def _send(opened: Opened, folder: Path) -> bool:
    """Bring the report to MLflow, and say so; return False if MLflow did not take it."""
    from orchestrator.opened.tracked import tracker_of
    from orchestrator.tracking import send_report

    try:
        run_id = send_report(tracker_of(opened).store, opened.experiment, folder) if opened.store_is_there else None
    except TrackingError as error:
        click.echo(f"the report is in storage alone: {error}", err=True)
        return False
    if run_id is None:
        makes = f"{opened.experiment.trained_by} makes it"
        click.echo(f"the report is in storage alone: MLflow has no run of this sweep, {makes}", err=True)
    else:
        click.echo(f"in MLflow: report/ of the sweep's run {run_id}", err=True)
    return True
