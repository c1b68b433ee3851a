"""``zetasweep select``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from orchestrator.cli.completing import metrics as metric_names
from orchestrator.cli.options import examples, experiment_options
from orchestrator.cli.outcomes import exit_code
from orchestrator.errors import UserError
from orchestrator.records import ANEW
from orchestrator.waiting import waiting_for

if TYPE_CHECKING:
    from orchestrator.results import Selection


@click.command(epilog=examples("zetasweep select quickstart.yaml --metric balanced_accuracy --register digits"))
@experiment_options
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    default=("error",),
    show_default=True,
    shell_complete=metric_names,
    help="A validation metric; several, also with commas between them, choose each for itself.",
)
@click.option(
    "--register",
    metavar="NAME",
    help="Register the best seed's model under NAME, with the alias 'best'; it is exported if MLflow lacks it.",
)
def select(experiment: str, overrides: tuple[str, ...], metrics: tuple[str, ...], register: str | None) -> int:
    """Choose the best configuration on validation, mean over seeds; the test metric is shown but not used."""
    from orchestrator.opened import Opened
    from orchestrator.results import check_metric, check_selected, races_of, render_selection
    from orchestrator.results import select as select_runs
    from orchestrator.terminal import new_console

    opened = Opened(experiment, overrides)
    chosen = list(dict.fromkeys(check_metric(name.strip()).name for given in metrics for name in given.split(",")))
    if register is not None:
        _check_name(register, chosen)
    # MLflow takes seconds to import: a mistake in the file is said before.
    with waiting_for("MLflow to be loaded"):
        from orchestrator.opened.models import model_of
        from orchestrator.opened.tracked import runs_of, tracker_of
        from orchestrator.results import describe_selection
        from orchestrator.tracking import register_model

    runs = runs_of(opened)
    races = races_of(opened.followed)
    selections = [
        selection for metric in chosen for selection in select_runs(opened.cells, runs, metric=metric, races=races)
    ]
    check_selected(selections)
    new_console().print(render_selection(selections))
    if register is not None:
        selection = _to_register(selections, register)
        assert selection.cell is not None, "what is registered was selected"
        model_uri = model_of(opened, selection.cell, runs.get(selection.cell.key))
        about = describe_selection(selection, experiment=opened.experiment.name)
        version = register_model(tracker_of(opened).store, model_uri, register, description=about)
        click.echo(f"registered as {register}, version {version}, alias 'best'")
    return exit_code(opened, runs)


def _check_name(name: str, metrics: Sequence[str]) -> None:
    """Refuse a name that no model in MLflow's registry can have, or several choices, before MLflow is asked."""
    if len(metrics) > 1:
        raise UserError(
            f"--register {name}: {len(metrics)} metrics choose each for itself",
            allowed="one metric",
            remedy=f"name the one that decides, e.g. --metric {metrics[0]}",
        )
    if not name.strip() or set(name) & set("/:"):
        raise UserError(f"--register {name!r}: no name of a model", allowed="text that is not blank, without / and :")


def _to_register(selections: Sequence[Selection], name: str) -> Selection:
    """Return the only selection.

    Raises:
        UserError: There are more, or nothing was selected, or the numbers that decided cannot be compared.
    """
    finished = [selection for selection in selections if selection.run_id is not None]
    if len(selections) != 1 or len(finished) != 1:
        raise UserError(
            f"--register {name}: needs exactly one data set with a finished selection, got {len(finished)} of "
            f"{len(selections)}",
            remedy="name one with -o dataset=NAME, or let zetasweep run train and deliver what is missing",
        )
    if selections[0].mixed_data:
        raise UserError(
            f"--register {name}: the cells of {selections[0].dataset} saw different images or labels: not comparable",
            remedy=f"restore the data set, or {ANEW}",
        )
    return finished[0]
