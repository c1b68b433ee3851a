"""A plan of cells that are trained in several ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.errors import UserError
from orchestrator.experiment import Experiment, expand, load_experiment
from orchestrator.plan import Layout, Node, check_inputs, make_plan, plan_lines

LAYOUT = Layout(slots=1, nodes=(Node(2, 0),))


def load(folder: Path, **parts: Any) -> Experiment:
    path = folder / "x.yaml"
    minimal = {"name": "sweep", "dataset": "digits", "model": "convnet", "augment": "erm", "data_dir": str(folder)}
    path.write_text(yaml.safe_dump(minimal | parts, sort_keys=False))
    return load_experiment(path)


def lines_of(experiment: Experiment) -> str:
    return "\n".join(plan_lines(make_plan(experiment, expand(experiment), {}, LAYOUT), experiment))


@pytest.mark.parametrize(
    ("epochs", "words"),
    [
        (5, "5 epochs each"),
        ([1], "1 epoch each"),
        ([5, 100], "5 or 100 epochs each"),
        ([100, 5, 20], "5, 20 or 100 epochs each"),
        ([1, 2, 3, 4000], "1 to 4,000 epochs each"),
    ],
)
def test_it_says_how_long_cells_train(tmp_path: Path, epochs: Any, words: str) -> None:
    assert f" to run, {words}\n" in lines_of(load(tmp_path, train={"epochs": epochs}))


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"train": {"optimizer": ["sgd", "adamw"], "momentum": 0.8}}, False),
        ({"train": {"optimizer": ["adamw"], "momentum": 0.8}}, True),
        ({"train": {"optimizer": "adamw"}, "augment": ["erm", {"mixup": {"train": {"momentum": 0.8}}}]}, True),
    ],
)
def test_a_setting_is_without_effect_if_no_training_reads_it(tmp_path: Path, parts: dict[str, Any], said: bool) -> None:
    assert ("train.momentum has no effect with train.optimizer=adamw" in lines_of(load(tmp_path, **parts))) == said


def test_the_disk_is_that_of_the_optimizer_with_the_larger_state(tmp_path: Path) -> None:
    sgd, adamw, both = (
        make_plan(experiment, expand(experiment)[-1:], {}, LAYOUT).disk_peak_bytes
        for experiment in (load(tmp_path, train={"optimizer": each}) for each in ("sgd", "adamw", ["sgd", "adamw"]))
    )
    assert sgd < adamw == both


def test_every_batch_size_is_tried_on_the_data(tmp_path: Path) -> None:
    check_inputs(load(tmp_path, train={"batch_size_per_worker": [8, 64]}))
    with pytest.raises(UserError, match="5000"):
        check_inputs(load(tmp_path, train={"batch_size_per_worker": [8, 5000]}))
