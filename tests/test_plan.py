"""What would be done, and how much disk it takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from sweep_samples import DIGITS, ERM, MIXUP, make_cells, make_run

from orchestrator import checkpoint
from orchestrator.cluster import Layout, Node
from orchestrator.config import Experiment
from orchestrator.dataset_spec import DatasetSpec
from orchestrator.errors import UserError
from orchestrator.models import build_model
from orchestrator.plan import check_inputs, make_plan, pending_cells

LAYOUT = Layout(slots=1, nodes=(Node(2, 0),))


def make_experiment(tmp_path: Path, *datasets: DatasetSpec) -> Experiment:
    return Experiment(
        name="sample",
        dataset=datasets or (DIGITS,),
        model=("convnet",),
        augment=(ERM,),
        file=Path("x.yaml"),
        data_dir=tmp_path,
    )


def test_only_finished_cells_are_not_pending() -> None:
    cells = make_cells(ERM, MIXUP, seeds=(0, 1))
    runs = {
        cells[0].key: make_run(cells[0], {}),
        cells[1].key: make_run(cells[1], {}, status="failed"),
        cells[2].key: make_run(cells[2], {}, status="interrupted"),
    }
    assert pending_cells(cells, runs) == cells[1:]


def test_disk_covers_what_a_sweep_writes(tmp_path: Path) -> None:
    cells = make_cells(ERM, seeds=(0, 1, 2))
    planned = make_plan(make_experiment(tmp_path), cells, {}, LAYOUT).disk_peak_bytes
    model = build_model("convnet", num_classes=10, num_channels=1, image_size=8)
    checkpoint.save(tmp_path / "best.pt", {"model": model.state_dict()})
    weights = (tmp_path / "best.pt").stat().st_size
    # Best weights and MLflow's model per cell; and with the momentum the newest two checkpoints, that of the best epoch
    # and the one that is being written.
    assert planned == pytest.approx((2 * 3 + 4 * 2) * weights, rel=0.1)
    assert (
        make_plan(make_experiment(tmp_path), cells, {c.key: make_run(c, {}) for c in cells}, LAYOUT).disk_peak_bytes
        == 0
    )


def test_what_the_training_set_cannot_give_is_refused_before_anything_starts(tmp_path: Path) -> None:
    many = DatasetSpec.model_validate({"name": "digits", "num_train": 99999})
    few = DatasetSpec.model_validate({"name": "digits", "num_train": 60})
    with pytest.raises(UserError) as refused:
        check_inputs(make_experiment(tmp_path, DIGITS, many, few))
    first, second = str(refused.value).splitlines()
    assert "num_train=99999 is not possible" in first
    assert (
        "digits(num_train=60): the training split has 50 images, fewer than one global batch of 1 worker x 64" in second
    )


def test_every_missing_data_set_is_named_at_once(tmp_path: Path) -> None:
    missing = [
        DatasetSpec.model_validate({"name": "cifar10"}),
        DatasetSpec.model_validate({"name": "image_folder", "folder": "mine"}),
    ]
    with pytest.raises(UserError) as refused:
        check_inputs(make_experiment(tmp_path, DIGITS, *missing))
    assert "cifar10" in str(refused.value)
    assert str(tmp_path / "mine") in str(refused.value)
