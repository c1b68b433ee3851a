"""What MLflow's lists show of a cell's run."""

from __future__ import annotations

from typing import Any

import pytest
from mlflow import MlflowClient
from sweep_samples import DIGITS, ERM, ZETA, make_cells

from orchestrator.experiment.augment_spec import AugmentSpec
from orchestrator.experiment.cells import Cell
from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.experiment.model_spec import ModelSpec
from orchestrator.tracking.naming import run_name
from orchestrator.tracking.tracker import Tracker

# What MLflow's list shows of a name.
SHOWN = 15


@pytest.mark.parametrize(
    ("name", "params", "shown"),
    [
        ("erm", {}, "erm s12 digits convnet"),
        ("mixup", {"alpha": 1.0}, "mixup α1.0 s12 digits convnet"),
        ("cutmix", {"alpha": 0.5}, "cutmix α0.5 s12 digits convnet"),
        ("zeta_mixup", {"gamma": 2.8, "num_mixed": 128}, "ζ2.8 N128 s12 digits convnet"),
        (
            "zeta_mixup_range",
            {"gamma_low": 1.8, "gamma_high": 2.8, "num_mixed": 4},
            "ζ1.8-2.8 N4 s12 digits convnet",
        ),
        (
            "cutmix_zeta_mixup",
            {"alpha": 1.0, "cutmix_prob": 0.5, "gamma": 2.8, "num_mixed": 4},
            "ζ2.8 N4 cutmix α1.0 p0.5 s12 digits convnet",
        ),
        ("mixup_pseries", {"gamma": 2.8}, "pseries γ2.8 s12 digits convnet"),
        ("dirichlet", {"alpha": 0.1, "num_mixed": 4}, "dirichlet α0.1 N4 s12 digits convnet"),
    ],
)
def test_what_differs_between_rows_is_seen_where_lists_cut(name: str, params: dict[str, Any], shown: str) -> None:
    (cell,) = make_cells(AugmentSpec(name=name, params=params), seeds=(12,))
    assert run_name(cell) == shown
    if name == "zeta_mixup":
        assert "s12" in shown[:SHOWN]


def of(**changes: Any) -> Cell:
    (cell,) = make_cells(ZETA, seeds=(0,))
    train = {name: changes.pop(name) for name in ("epochs", "lr") if name in changes}
    return cell.model_copy(update={"train": cell.train.model_copy(update=train), **changes})


def test_a_setting_is_all_but_seed_and_fold() -> None:
    """Its text stays: it is a param, which MLflow keeps for ever."""
    assert of().setting == "ζ2.8 N4 · digits · convnet · train 7483"
    folds = DIGITS.model_copy(update={"folds": 3, "fold": 1})
    moles = DIGITS.model_copy(update={"shown_as": "moles"})
    same = [of(seed=7), of(dataset=moles)]
    assert {cell.setting for cell in same} == {of().setting}
    assert of(dataset=folds).setting == of(dataset=folds.model_copy(update={"fold": 2})).setting
    small = DatasetSpec.model_validate({"name": "digits", "num_train": 100})
    resnet = ModelSpec(name="resnet18")
    others = [of(augment=ERM), of(model=resnet), of(dataset=small), of(epochs=3), of(lr=0.5), of(workers=2)]
    assert len({cell.setting for cell in [of(), *others]}) == 1 + len(others)


def test_a_setting_that_a_run_has_stays(tracker: Tracker, uri: str, cells: list[Cell]) -> None:
    """Whatever this version calls it: MLflow refuses a param with another value."""
    client = MlflowClient(uri)
    for cell, before in ((cells[0], None), (cells[1], "as an earlier version called it")):
        tracker.open_cell(cell, None, sweep="sample")
        run_id = tracker.cell_runs([cell])[cell.key].run_id
        if before is not None:
            client.delete_run(run_id)
            tags = {"zetasweep.kind": "cell", "zetasweep.cell": cell.key}
            run_id = client.create_run(tracker.sweep.experiment_id, tags=tags).info.run_id
            client.log_param(run_id, "setting", before)
            tracker.open_cell(cell, tracker.cell_runs([cell])[cell.key], sweep="sample")
        data = client.get_run(run_id).data
        assert data.params["setting"] == data.tags["setting"] == before or cell.setting
