"""What of `resources` changes numbers is in the key where it is not as usual, and only there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from orchestrator.experiment.cells import Cell, expand
from orchestrator.experiment.resources import Resources
from orchestrator.experiment.settings import Experiment

GPU = {"gpus_per_worker": 1}
TUNED = {"compile": "max-autotune", "deterministic": False}


def cell_with(**resources: Any) -> Cell:
    experiment = Experiment.model_validate(
        {
            "name": "arithmetic",
            "file": Path("arithmetic.yaml"),
            "dataset": [{"name": "digits"}],
            "model": ["convnet"],
            "augment": [{"name": "erm"}],
            "train": {"precision": "fp32"},
            "resources": resources,
        }
    )
    return expand(experiment)[0]


@pytest.mark.parametrize(
    "resources",
    [
        {"compile": "off", "deterministic": True, "tf32": "convolutions"},
        {"deterministic": False},  # of cuDNN, which a CPU has not
        {"tf32": "all"},
        GPU,
        {**GPU, "backend": "triton"},
    ],
)
def test_what_changes_no_number_is_not_in_the_key(resources: dict[str, Any]) -> None:
    assert cell_with(**resources).key == cell_with().key
    assert cell_with(**resources).arithmetic is None


@pytest.mark.parametrize(
    ("resources", "values"),
    [
        ({"compile": "default"}, {"resources.compile": "default"}),
        ({**GPU, "compile": "default", "cuda_graphs": True}, {"resources.compile": "default"}),
        ({**GPU, **TUNED}, {"resources.compile": "max-autotune", "resources.deterministic": False}),
        (TUNED, {"resources.compile": "max-autotune"}),
        ({**GPU, "tf32": "all"}, {"resources.tf32": "all"}),
        ({**GPU, "tf32": "none"}, {"resources.tf32": "none"}),
    ],
)
def test_what_changes_numbers_is_in_key_params_and_settings(resources: dict[str, Any], values: dict[str, Any]) -> None:
    cell, usual = cell_with(**resources), cell_with()
    assert (cell.key != usual.key, cell.setting != usual.setting) == (True, True)
    assert cell.values().items() - usual.values().items() == values.items()
    texts = {name: value if isinstance(value, str) else "false" for name, value in values.items()}
    assert cell.params().items() - usual.params().items() == texts.items()
    assert cell.settings.items() - usual.settings.items() == texts.items()
    assert Cell.model_validate(cell.model_dump(mode="json")).key == cell.key


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        ({"compile": "max-autotune"}, "off or default with resources.deterministic=true"),
        ({**GPU, "cuda_graphs": True}, "false with resources.compile=off"),
        ({"compile": "default", "cuda_graphs": True}, "false with resources.gpus_per_worker=0"),
        ({"compile": True}, "'off', 'default' or 'max-autotune'"),
        ({"tf32": "yes"}, "'convolutions', 'all' or 'none'"),
    ],
)
def test_what_does_not_go_together_is_refused(resources: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Resources.model_validate(resources)
    assert said in str(refused.value)
