"""What `plan` says of plug-ins before anything is started: what they cost, and what would fail in every worker."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from own_files import DOTS, TINYNET, write

from orchestrator.errors import ConfigError, UserError
from orchestrator.experiment import expand, load_experiment
from orchestrator.plan import check_inputs
from orchestrator.plan.plan import _weight_bytes
from orchestrator.plugins import use_plugins
from orchestrator.tracking.provenance import environment

MLP = """
import math, torch
from torch import nn

def build_mlp(*, num_classes, num_channels, image_size):
    return nn.Sequential(nn.Flatten(), nn.Linear(num_channels * image_size**2, num_classes))

class Bare(nn.Module):
    def __init__(self, *, num_classes, num_channels, image_size):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(num_channels * image_size**2, num_classes))

    def forward(self, images):
        return images.flatten(1) @ self.weight

MODELS = {"mlp": build_mlp, "bare": Bare}
"""


def test_a_network_of_a_plugin_is_as_large_as_its_images_make_it(tmp_path: Path) -> None:
    use_plugins([str(write(tmp_path, "own_mlp.py", MLP))])
    text = f"{{name: x, dataset: digits, model: mlp, augment: erm, data_dir: {tmp_path}}}"
    experiment = load_experiment(write(tmp_path, "own.yaml", text))
    found = _weight_bytes(experiment.model[0], 10, experiment.dataset[0], experiment)
    assert found == 4 * (8 * 8 * 10 + 10)


def test_a_head_that_is_not_found_is_said_before_anything_is_started(tmp_path: Path) -> None:
    use_plugins([str(write(tmp_path, "own_mlp.py", MLP)), str(write(tmp_path, "own_dots.py", DOTS))])
    text = f"{{name: x, dataset: dots, model: [bare, {{bare: {{head_lr: 10}}}}], augment: erm, data_dir: {tmp_path}}}"
    experiment = load_experiment(
        write(tmp_path, "own.yaml", text.replace("augment", "train: {batch_size_per_worker: 8}, augment"))
    )
    with pytest.raises(UserError, match=r"model = bare\(head_lr=10.0\).*: the network has no linear layer") as refused:
        check_inputs(experiment)
    assert "model = bare with" not in str(refused.value)


def test_the_environment_names_what_plugins_import(tmp_path: Path) -> None:
    assert "scikit-learn" not in environment()["packages"]
    use_plugins([str(write(tmp_path, "tiny.py", "def unused():\n    import sklearn\n" + TINYNET))])
    assert environment()["packages"]["scikit-learn"]


@pytest.mark.parametrize(
    "augment",
    [
        {"mixup": {"alpha": [0.001 * number for number in range(1, 3001)]}},
        {"erm": {"combine": {"rand_augment": {"magnitude": list(range(31)), "num_ops": list(range(1, 1001))}}}},
    ],
)
def test_lists_of_thousands_are_read_at_once(augment: object, tmp_path: Path) -> None:
    text = f"{{name: x, dataset: digits, model: convnet, max_cells: 3000, augment: {json.dumps(augment)}}}"
    file = write(tmp_path, "own.yaml", text)
    began = time.process_time()
    if "mixup" in text:
        assert len(expand(load_experiment(file))) == 3000
    else:
        with pytest.raises(ConfigError, match="at least 31000: so many cells"):
            load_experiment(file)
    assert time.process_time() - began < 10
