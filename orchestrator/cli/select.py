"""``zetasweep select``."""

from __future__ import annotations

from collections.abc import Sequence

import click

from orchestrator.cli.opened import Opened
from orchestrator.cli.options import experiment_options
from orchestrator.errors import UserError
from orchestrator.results import Selection, check_metric, render_selection
from orchestrator.results import select as select_runs
from orchestrator.terminal import new_console
from orchestrator.waiting import waiting_for


@click.command()
@experiment_options
@click.option("--metric", default="error", show_default=True, help="A validation metric.")
@click.option("--register", metavar="NAME", help="Register the best seed's model under NAME, with the alias 'best'.")
def select(experiment: str, overrides: tuple[str, ...], metric: str, register: str | None) -> int:
    """Choose the best configuration on validation, mean over seeds; the test metric is shown but not used."""
    opened = Opened(experiment, overrides)
    check_metric(metric)
    if register is not None:
        _check_name(register)
    # MLflow takes seconds to import: a mistake in the file is said before.
    with waiting_for("MLflow to be loaded"):
        from orchestrator.cli.tracked import runs_of, tracker_of
        from orchestrator.tracking import register_model

    runs = runs_of(opened)
    selections = select_runs(opened.cells, runs, metric=metric)
    new_console().print(render_selection(selections))
    if register is not None:
        model_uri = _model_to_register(selections, register)
        version = register_model(tracker_of(opened).store, model_uri, register)
        click.echo(f"registered as {register}, version {version}, alias 'best'")
    return opened.exit_code(runs)


def _check_name(name: str) -> None:
    """Refuse a name that no model in MLflow's registry can have, before MLflow is asked anything."""
    if not name.strip() or set(name) & set("/:"):
        raise UserError(f"--register {name!r}: no name of a model", allowed="text that is not blank, without / and :")


def _model_to_register(selections: Sequence[Selection], name: str) -> str:
    """Return the address of the model of the only selection.

    Raises:
        UserError: There are more, or nothing was selected, or the numbers that decided cannot be compared.
    """
    models = [selection.model_uri for selection in selections if selection.model_uri is not None]
    if len(selections) != 1 or len(models) != 1:
        raise UserError(
            f"--register {name}: needs exactly one data set with a finished selection, got {len(models)} of "
            f"{len(selections)}",
            remedy="name one with -o dataset=NAME, or let zetasweep run train and deliver what is missing",
        )
    if selections[0].mixed_data:
        raise UserError(
            f"--register {name}: the cells of {selections[0].dataset} saw different images or labels: not comparable",
            remedy="restore the data set, or train the cells again with another storage and tracking.experiment",
        )
    return models[0]
