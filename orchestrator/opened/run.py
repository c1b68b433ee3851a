"""Runs what is missing of an experiment: what ``zetasweep run`` and `zetasweep.run` do."""

from __future__ import annotations

from orchestrator.costs import Price
from orchestrator.data import download_dataset
from orchestrator.models import fetch_weights, source_of
from orchestrator.opened.experiment import Opened
from orchestrator.opened.start import check_start
from orchestrator.plan import local_layout
from orchestrator.records import Outcome
from orchestrator.waiting import waiting_for


def download(opened: Opened) -> None:
    """Fetch data sets and published weights that are missing, where torchvision or timm can.

    Raises:
        DataError: One cannot be fetched.
    """
    for spec in opened.experiment.dataset:
        download_dataset(spec.name, opened.experiment.data_in)
    for model in opened.experiment.model:
        if model.weights is not None:
            fetch_weights(source_of(model.name, model.weights))


def run(opened: Opened, *, price: Price | None = None, retry: bool = False) -> Outcome:
    """Run the cells that are not done, print the comparison and what each row has cost, and return how it ended.

    Args:
        opened: The experiment.
        price: Of an hour; None says what rows cost in hours alone.
        retry: Whether a race trains again what failed.

    Raises:
        UserError: Anything is wrong with data, models, folders or layout, or another sweep is at work; nothing was
            started.
        SweepError: Storage does not answer any more, or was taken over, while the sweep is at work.
    """
    data = check_start(opened, local_layout)
    opened.storage.prepare()
    with opened.storage.locked(opened.experiment.name):
        # Ray and MLflow: what was checked above is said without waiting for them.
        with waiting_for("MLflow to be loaded"):
            from orchestrator.opened.costs import estimates_of
            from orchestrator.opened.tracked import tracker_of
            from orchestrator.sweep.run import run_missing

        return run_missing(
            opened.experiment,
            opened.cells,
            opened.storage,
            tracker_of(opened),
            data=data,
            known=lambda: estimates_of(opened, opened.cells, data),
            price=price,
            retry=retry,
        )
