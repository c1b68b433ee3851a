"""``zetasweep doctor``."""

from __future__ import annotations

from functools import partial

import click

from orchestrator.cli.options import examples, experiment_options
from orchestrator.exit_codes import DONE, INCOMPLETE
from orchestrator.waiting import waiting_for


@click.command(epilog=examples("zetasweep doctor quickstart.yaml --fix"))
@experiment_options
@click.option("--fix", is_flag=True, help="Mend what can be mended.")
def doctor(experiment: str, overrides: tuple[str, ...], fix: bool) -> int:
    """Find what is wrong with the environment, the runs and the checkpoints; exit with 1 if any of it is left."""
    from orchestrator.opened import Opened

    opened = Opened(experiment, overrides)
    # MLflow and Ray take seconds to import: a mistake in the file is said before.
    with waiting_for("MLflow and Ray to be loaded"):
        from orchestrator.doctor import examine
        from orchestrator.opened.tracked import tracker_of

    left = examine(
        opened.experiment,
        [*opened.cells, *opened.confirmed().cells],
        opened.storage,
        database=opened.database,
        connect=partial(tracker_of, opened),
        fix=fix,
    )
    return INCOMPLETE if left else DONE
