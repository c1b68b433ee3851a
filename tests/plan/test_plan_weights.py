"""What `plan` and `run` find out of weights that networks begin with, before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from commands import Call
from sweep_samples import DIGITS, ERM

from orchestrator.errors import UserError
from orchestrator.experiment.model_spec import ModelSpec
from orchestrator.experiment.settings import Experiment
from orchestrator.models import build_model, weights_of_file
from orchestrator.plan import check_inputs, data_lines


def experiment(folder: Path, *models: ModelSpec) -> Experiment:
    return Experiment(
        name="sample",
        dataset=(DIGITS,),
        model=models,
        augment=(ERM,),
        file=Path("x.yaml"),
        data_dir=folder,
        storage=folder / "runs",
    )


def spec_of(file: Path, name: str = "convnet") -> ModelSpec:
    return ModelSpec.model_validate({"name": name, "weights": weights_of_file(file), "weights_file": str(file)})


def saved(folder: Path, *, num_classes: int) -> Path:
    file = folder / "weights.pt"
    torch.save(build_model("convnet", num_classes=num_classes, num_channels=1, image_size=8).state_dict(), file)
    return file


def test_what_is_taken_is_said_and_the_head_counts_the_classes_of_the_data_set(tmp_path: Path) -> None:
    spec = spec_of(saved(tmp_path, num_classes=3))
    lines = data_lines(check_inputs(experiment(tmp_path, ModelSpec(name="convnet"), spec)))
    (line,) = (line for line in lines if line.startswith("weights:"))
    assert line == (
        f"weights:   digits: {spec.label}: 24 of 26 tensors taken; its head 17 is new (3 classes there, 10 here); "
        "images normalised by mean and deviation of the data set"
    )


def test_all_that_is_wrong_with_weights_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    file = saved(tmp_path, num_classes=3)
    lost = spec_of(file).model_copy(update={"weights": f"sha256:{64 * '0'}", "weights_file": str(tmp_path / "lost.pt")})
    published = ModelSpec.model_validate({"name": "squeezenet1_1", "weights": "IMAGENET1K_V1"})
    with pytest.raises(UserError) as refused:
        check_inputs(experiment(tmp_path, spec_of(file, "resnet18"), lost, published))
    said = str(refused.value)
    assert "these are not the weights of resnet18: 100 of its 122 tensors are missing" in said
    assert f"are neither at {tmp_path / 'lost.pt'} nor at {tmp_path / 'runs' / 'weights' / (64 * '0')}" in said
    assert f"expected in {tmp_path / 'torch' / 'hub' / 'checkpoints'}" in said


def test_download_fetches_weights_before_anything_else(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []
    monkeypatch.setattr("orchestrator.opened.run.fetch_weights", lambda source: fetched.append(source.name))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    file = tmp_path / "x.yaml"
    file.write_text("name: x\ndataset: digits\nmodel: {squeezenet1_1: {weights: IMAGENET1K_V1}}\naugment: erm\n")
    options = ["-o", f"storage={tmp_path / 'runs'}"]
    assert call("run", file, "--download", *options).code == 2  # nothing was fetched, so it is not there
    assert fetched == ["IMAGENET1K_V1"]
    refused = call("run", file, *options)
    assert (refused.code, fetched) == (2, ["IMAGENET1K_V1"])
    assert "zetasweep run FILE --download fetches them" in refused.err
