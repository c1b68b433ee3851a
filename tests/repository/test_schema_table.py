"""For every key and many values the JSON schema says of a file what reading it says, but for what it cannot say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from augment import AUGMENTATIONS, parameters
from orchestrator.errors import ConfigError
from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.experiment.load import load_experiment
from orchestrator.experiment.settings import General
from tools.reference.schema import experiment_schema
from tools.reference.yaml_keys import SECTIONS, SWEPT

SMALL = {"name": "small", "dataset": "digits", "model": "convnet", "augment": "erm"}
VALUES: list[Any] = [
    *(None, True, 0, 1, 2, -1, 0.5, 1.5, 10**7, "", "  ", "x", "auto", "Auto", "/a", "../a", "a\nb", "s3://b/x"),
    *("sqlite:///x.db", "http://u:p@h", [], [1], [2, 1], [1, 1], [0.5, 1.0], ["x"], {}, {"x": 1}, {"image": "file"}),
    {"linear": [6, 2]},
]
# Another key's value decides, or a list's order, or the installed torchvision.
BEYOND_A_SCHEMA: dict[tuple[str, ...], list[Any]] = {
    ("model",): ["x", "auto", ["x"]],
    ("train", "mixing_off_epochs"): [[2, 1]],
    ("train", "milestones"): [[2, 1]],
    ("train", "lr_decay"): [[0.5, 1.0]],  # without effect with the schedule
    # They name no row.
    ("names",): [{"image": "file"}],
    ("search", "keep"): ["x", "auto", "Auto", "/a", "../a", "s3://b/x", "sqlite:///x.db", "http://u:p@h", ["x"]],
    ("dataset", "*", "folds"): [10**7],
    ("augment", "*", "num_mixed"): [10**7],
    ("augment", "zeta_mixup_range", "gamma_low"): [10**7, {"linear": [6, 2]}],
    ("augment", "zeta_mixup_range", "gamma_high"): [
        1,
        2,
        0.5,
        1.5,
        [1],
        [2, 1],
        [1, 1],
        [0.5, 1.0],
        {"linear": [6, 2]},
    ],
}
NEEDED = {"image_folder": {"folder": "f"}, "medmnist_npz": {"file": "f.npz"}}
OF_AUGMENTATIONS = {
    **{"gamma": 2.8, "num_mixed": 4, "gamma_low": 2.0, "gamma_high": 4.0, "alpha": 1.0, "cutmix_prob": 0.5},
    "per": "batch",
}


def keys() -> Iterator[tuple[str, ...]]:
    yield from ((name,) for name in (*General.model_fields, *SWEPT, *SECTIONS))
    yield from ((section, name) for section, model in SECTIONS.items() for name in model.model_fields)
    yield from (("dataset", "image_folder", option) for option in DatasetSpec.options_of("image_folder"))
    yield ("dataset", "medmnist_npz", "file")
    yield from (("augment", name, option) for name, make in AUGMENTATIONS.items() for option in parameters(make))


def with_value(key: tuple[str, ...], value: Any) -> dict[str, Any]:
    if len(key) == 1:
        return SMALL | {key[0]: value}
    if len(key) == 2:
        return SMALL | {key[0]: {key[1]: value}}
    part, name, option = key
    rest: dict[str, Any] = dict(NEEDED.get(name, {}))
    if part == "augment":
        rest = {parameter: OF_AUGMENTATIONS[parameter] for parameter in parameters(AUGMENTATIONS[name])}
    return SMALL | {part: {name: rest | {option: value}}}


def is_read(data: dict[str, Any], path: Path) -> bool:
    path.write_text(yaml.safe_dump(data))
    try:
        load_experiment(path)
    except ConfigError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_schema_says_what_reading_says(tmp_path: Path) -> None:
    validator = jsonschema.Draft7Validator(experiment_schema())
    read_but_invalid, refused_but_valid = [], []
    for key in keys():
        beyond = BEYOND_A_SCHEMA.get(key, []) + BEYOND_A_SCHEMA.get((key[0], "*", key[-1]), [])
        for value in VALUES:
            data = with_value(key, value)
            read, valid = is_read(data, tmp_path / "small.yaml"), bool(validator.is_valid(data))
            if read and not valid:
                read_but_invalid.append((key, value))
            if valid and not read and value not in beyond:
                refused_but_valid.append((key, value))
    assert read_but_invalid == []
    assert refused_but_valid == []
