"""The keys ``weights``, ``freeze``, ``head_lr`` and ``normalization`` of a model: what they mean for a cell."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import ConfigError
from orchestrator.experiment import Cell, expand, load_experiment
from orchestrator.experiment.settings import Experiment

# SHA-256 of b"one".
ONE = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.pt").write_bytes(b"one")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "same.pth").write_bytes(b"one")
    (tmp_path / "two.safetensors").write_bytes(b"two")


def load(model: str) -> Experiment:
    Path("x.yaml").write_text(f"name: x\ndataset: digits\naugment: erm\nmodel: {model}\n")
    return load_experiment(Path("x.yaml"))


def cell(model: str) -> Cell:
    (only,) = expand(load(model))
    return only


def test_the_bytes_of_a_file_are_in_the_key_and_its_place_is_not() -> None:
    one, same = cell("{resnet18: {weights: one.pt}}"), cell("{resnet18: {weights: other/same.pth}}")
    assert one.key == same.key == cell(f"{{resnet18: {{weights: 'sha256:{ONE}'}}}}").key
    assert one.setting == same.setting
    assert one.params() == same.params()
    assert one.params()["model.weights"] == f"sha256:{ONE}"
    assert str(Path.cwd()) not in str(one.params())
    assert one.key != cell("{resnet18: {weights: two.safetensors}}").key
    assert one.key != cell("resnet18").key
    Path("one.pt").write_bytes(b"others")
    assert one.key != cell("{resnet18: {weights: one.pt}}").key


def test_a_file_is_shown_by_its_name_and_the_beginning_of_its_hash() -> None:
    one = cell("{resnet18: {weights: other/same.pth, head_lr: 10}}").model
    assert one.label == "resnet18(head_lr=10.0, weights=same.pth@7692c3ad)"
    assert one.weights_file == str(Path.cwd() / "other" / "same.pth")
    assert Cell.model_validate_json(cell("{resnet18: {weights: one.pt}}").model_dump_json()).model.weights_file


@pytest.mark.parametrize(
    ("written", "same"),
    [
        ("{resnet18: {weights: null, head_lr: 1}}", "resnet18"),
        ("{resnet50: {weights: DEFAULT}}", "{resnet50: {weights: IMAGENET1K_V2}}"),
        ("{resnet18: {weights: one.pt, normalization: dataset}}", "{resnet18: {weights: one.pt}}"),
        ("{resnet18: {weights: DEFAULT, normalization: imagenet}}", "{resnet18: {weights: DEFAULT}}"),
    ],
)
def test_what_means_the_same_has_the_same_key(written: str, same: str) -> None:
    assert cell(written).key == cell(same).key
    assert cell(written).model == cell(same).model


def test_the_normalization_of_the_weights_is_swept_once() -> None:
    with pytest.raises(ConfigError, match="each cell once"):
        load("{resnet18: {weights: DEFAULT, normalization: [null, imagenet]}}")
    assert len(load("{resnet18: {weights: one.pt, normalization: [null, imagenet]}}").model) == 2


def test_lists_are_swept() -> None:
    found = load("{resnet18: {weights: [null, IMAGENET1K_V1, one.pt], head_lr: [1, 10]}}").model
    assert [each.label for each in found] == [
        "resnet18",
        "resnet18(head_lr=10.0)",
        "resnet18(weights=IMAGENET1K_V1)",
        "resnet18(head_lr=10.0, weights=IMAGENET1K_V1)",
        "resnet18(weights=one.pt@7692c3ad)",
        "resnet18(head_lr=10.0, weights=one.pt@7692c3ad)",
    ]


@pytest.mark.parametrize(
    ("model", "sentences"),
    [
        (
            "{resnet18: {weights: IMAGENET_V1}}",
            [
                "x.yaml: model.resnet18.weights = IMAGENET_V1",
                "IMAGENET1K_V1, DEFAULT, the path",
                "Did you mean IMAGENET1K_V1?",
            ],
        ),
        ("{convnet: {weights: IMAGENET1K_V1}}", ["Name a file: of this network no weights are published."]),
        ("{resnet18: {weights: 3}}", ["model.resnet18.weights = 3", "Choose one of these."]),
        (
            "{resnet18: {weights: nowhere.pt}}",
            ["model.resnet18.weights = nowhere.pt", "there is no such file", "starts at the folder of the command"],
        ),
        (
            "{resnet18: {weights: [one.pt, other/same.pth]}}",
            ["weights[1] = other/same.pth", "remove one"],
        ),
        (
            "[{resnet18: {weights: one.pt}}, {resnet18: {weights: other/same.pth}}]",
            ["model[1]", "The same cells come from model[0]"],
        ),
        (
            "{resnet18: {freeze: backbone}}",
            ["freeze = backbone", "null without weights", "Name weights;"],
        ),
        ("{resnet18: {weights: one.pt, freeze: head}}", ["model.resnet18.freeze = head", "backbone, or null"]),
        ("{resnet18: {weights: one.pt, head_lr: 0}}", ["model.resnet18.head_lr = 0", "a finite number above 0"]),
        (
            "{resnet18: {weights: one.pt, head_lr: {loguniform: [1, 20]}}}",
            ["model.resnet18.head_lr = {loguniform: [1, 20]}", "ranges in augment and in train alone"],
        ),
        ("{resnet18: {weights: one.pt, head_lr: [[1, 2]]}}", ["head_lr[0] = [1, 2]", "above 0: times train.lr"]),
        ("{resnet18: {weights: one.pt, freeze: {backbone: true}}}", ["freeze = {backbone: true}", "backbone, or null"]),
        ("{resnet18: {weights: [[one.pt]]}}", ["model.resnet18.weights[0] = [one.pt]"]),
        ("{resnet18: {normalization: imagenet}}", ["model.resnet18.normalization = imagenet", "null without weights"]),
        ("{resnet18: {weights: one.pt, normalization: unit}}", ["normalization = unit", "dataset or imagenet"]),
        ("{resnet18: {weights_file: one.pt}}", ["model.resnet18.weights_file", "Remove it."]),
    ],
)
def test_what_is_wrong_is_said_with_its_remedy(model: str, sentences: list[str]) -> None:
    with pytest.raises(ConfigError) as refused:
        load(model)
    assert all(sentence in str(refused.value) for sentence in sentences), refused.value
