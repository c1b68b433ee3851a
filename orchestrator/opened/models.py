"""The models of finished cells in MLflow.

It takes seconds to import: a command does so once the experiment file was read, whose mistakes are said before.
"""

from __future__ import annotations

from orchestrator.errors import UserError
from orchestrator.experiment import Cell
from orchestrator.opened.experiment import Opened
from orchestrator.opened.tracked import tracker_of
from orchestrator.records import CellRun
from orchestrator.tracking import UntellableError
from orchestrator.waiting import waiting_for


def model_of(opened: Opened, cell: Cell, run: CellRun | None) -> str:
    """Return the address of a cell's model in MLflow; it is exported from the best weights if MLflow has none.

    Args:
        opened: The experiment.
        cell: One of its cells.
        run: What is known of it.

    Raises:
        UserError: MLflow does not have the cell finished, or no model can be made of it.
        TrackingError: MLflow does not take the model.
        OSError: There is no room for it.
    """
    if run is None or run.status != "done" or run.run_id is None:
        raise UserError(
            f"cell {cell.key} ({cell.label}): MLflow does not have it finished, so there is no model of it",
            remedy=f"zetasweep run {opened.experiment.file} trains and delivers it",
        )
    if run.model_uri is not None:
        return run.model_uri
    try:
        with waiting_for(f"the model of {cell.label} to be exported"):
            return tracker_of(opened).export_model(cell, run.run_id, opened.storage.cell(cell.key))
    except UntellableError as error:
        raise UserError(str(error)) from error
