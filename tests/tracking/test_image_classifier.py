"""What comes out of a sweep: a logged model takes images as people have them, and needs no code of this project."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from file_depths import DEEP, SHALLOW
from PIL import Image
from sweep_samples import ERM, make_cells
from torch import nn
from tracked import FACTS

from augment import Normalization
from orchestrator.data.image_files import FileSamples
from orchestrator.experiment.cells import Cell
from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.models.registry import build_model
from orchestrator.records import DatasetFacts
from orchestrator.storage import CellFolder
from orchestrator.storage import checkpoints as checkpoint
from orchestrator.tracking import logged_model

PHOTOS = DatasetSpec.model_validate(
    {"name": "cifar10", "image_size": 14, "cache_size": 20, "random_resized_crop": {"scale": [0.5, 1.0]}}
)
DATA = dataclasses.replace(
    FACTS.dataset,
    num_channels=3,
    image_size=14,
    class_names=("mel", "nv", "bkl"),
    mean=(0.5, 0.4, 0.3),
    std=(0.2, 0.3, 0.2),
)


def export(folder: Path, data: DatasetFacts, cell: Cell) -> nn.Module:
    """Save the model of a cell below `folder`; return its network."""
    torch.manual_seed(0)
    network = build_model(
        "convnet", num_classes=len(data.class_names), num_channels=data.num_channels, image_size=data.image_size
    )
    checkpoint.save(folder / "best.pt", {"model": network.state_dict(), "epoch": 1, "data": dataclasses.asdict(data)})
    logged_model._export(cell, CellFolder(folder), folder / "model")
    return network.eval()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, nn.Module]:
    folder = tmp_path_factory.mktemp("exported")
    (cell,) = make_cells(ERM, seeds=(0,), datasets=(PHOTOS,))
    return folder / "model", export(folder, DATA, cell)


@pytest.fixture(scope="module")
def classifier(exported: tuple[Path, nn.Module]) -> Any:
    return mlflow.pyfunc.load_model(str(exported[0]), model_config={"device": "cpu"})


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("photos") / "photo.png", 31, 23)


def write(path: Path, width: int, height: int) -> Path:
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def probabilities(table: pd.DataFrame) -> np.ndarray:
    return table[[f"probability/{name}" for name in DATA.class_names]].to_numpy()


@pytest.mark.parametrize(("width", "height"), [(20, 20), (14, 14), (31, 23), (9, 40), (400, 8)])
def test_images_are_prepared_as_they_were_for_the_test(
    exported: tuple[Path, nn.Module], classifier: Any, tmp_path: Path, width: int, height: int
) -> None:
    path = write(tmp_path / "x.png", width, height)
    files = FileSamples(tmp_path, ["x.png"], np.zeros(1, dtype=np.int64), reference="x.png")
    pixels = PHOTOS.transform().for_evaluation(files.read(np.arange(1), PHOTOS.stored_size))
    with torch.inference_mode():
        normalize = Normalization(DATA.mean, DATA.std, device=torch.device("cpu"))
        expected = exported[1](normalize(pixels)).softmax(1).numpy()
    table = classifier.predict(str(path))
    np.testing.assert_allclose(probabilities(table), expected, rtol=1e-4)
    assert table["class"].tolist() == [DATA.class_names[expected.argmax()]]
    np.testing.assert_allclose(table["probability"], expected.max(), rtol=1e-4)


FORMS: dict[str, Callable[[Path, np.ndarray], Any]] = {
    "path": lambda path, _: path,
    "bytes": lambda path, _: path.read_bytes(),
    "PIL image": lambda path, _: Image.open(path),
    "with transparency": lambda path, _: Image.open(path).convert("RGBA"),
    "height first": lambda _, pixels: pixels,
    "channels first": lambda _, pixels: pixels.transpose(2, 0, 1),
    "tensor": lambda _, pixels: torch.from_numpy(pixels.copy()).permute(2, 0, 1),
    "integers": lambda _, pixels: pixels.astype(np.int64),
    "batch": lambda _, pixels: pixels.transpose(2, 0, 1)[None],
    "batch of tensors": lambda _, pixels: torch.from_numpy(pixels.copy())[None],
    "list": lambda path, _: [str(path)],
    "lists, as of JSON": lambda _, pixels: pixels[None].tolist(),
    "by name": lambda path, _: {"images": [path.read_bytes()]},
    "table": lambda path, _: pd.DataFrame({"image": [str(path)]}),
    "column": lambda path, _: pd.Series([str(path)]),
}


@pytest.mark.parametrize("form", FORMS)
def test_an_image_is_the_same_however_it_comes(classifier: Any, photo: Path, form: str) -> None:
    pixels = np.asarray(Image.open(photo))
    expected = classifier.predict(str(photo))
    pd.testing.assert_frame_equal(classifier.predict(FORMS[form](photo, pixels)), expected)


@pytest.mark.parametrize(("height", "width"), [(1, 50), (50, 1), (1, 1)])
def test_an_image_one_pixel_high_or_wide_keeps_its_channels(
    classifier: Any, tmp_path: Path, height: int, width: int
) -> None:
    path = write(tmp_path / "thin.png", width, height)
    expected = classifier.predict(str(path))
    pd.testing.assert_frame_equal(classifier.predict([np.asarray(Image.open(path))]), expected)
    grey = Image.open(path).convert("L")
    grey.save(tmp_path / "grey.png")
    expected = classifier.predict(str(tmp_path / "grey.png"))
    pd.testing.assert_frame_equal(classifier.predict([np.asarray(grey)[..., None]]), expected)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_in_0_to_1_are_pixels(classifier: Any, photo: Path, dtype: type[np.floating[Any]]) -> None:
    pixels = np.asarray(Image.open(photo))
    found = classifier.predict((pixels / 255).astype(dtype))
    np.testing.assert_allclose(probabilities(found), probabilities(classifier.predict(pixels)), atol=0.02)


@pytest.mark.parametrize(("height", "width"), [(55, 60), (71, 103), (61, 55)])
def test_the_shorter_side_of_floats_is_resized_to_the_pixel(classifier: Any, height: int, width: int) -> None:
    # 14 / 55 * 55 is 13.999…: a side a pixel short would be stretched.
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    of_floats, of_bytes = (classifier.unwrap_python_model()._preparation(each) for each in (pixels / 255, pixels))
    np.testing.assert_allclose(of_floats, of_bytes, atol=0.01)


def test_images_of_several_sizes_and_kinds_come_at_once(classifier: Any, photo: Path) -> None:
    square = np.zeros((14, 14), dtype=np.uint8)
    table = classifier.predict([str(photo), square, photo.read_bytes()])
    assert len(table) == 3
    pd.testing.assert_series_equal(table.iloc[0], table.iloc[2], check_names=False)
    frame = pd.DataFrame({"image": [str(photo)] * 2}, index=["a", "b"])
    assert classifier.predict(frame).index.tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (np.full((14, 14, 3), 2.0), "floats from 2 to 2: floats have to be in [0, 1], as pixels divided by 255 are"),
        (np.full((14, 14, 3), -0.1), "floats have to be in [0, 1]"),
        (np.full((14, 14, 3), np.nan), "floats from nan to nan"),
        (np.full((14, 14, 3), 300), "integers from 300 to 300: pixels are integers from 0 to 255"),
        (np.zeros((14, 14, 3), dtype=bool), "an array of bool: integers from 0 to 255"),
        (np.zeros((14, 14, 7), dtype=np.uint8), "an array of [14, 14, 7]: [H, W], [H, W, C]"),
        ("nowhere.png", "nowhere.png cannot be read as an image: "),
        (b"no image", "bytes cannot be read as an image: "),
        (7, "int is no image: paths, bytes, PIL images and arrays are"),
        ([None], "image 0: NoneType is no image"),
        ([], "there is no image: give one"),
        (pd.DataFrame({"path": ["x"], "age": [3]}), "images are expected in one column, and there are: path, age"),
    ],
)
def test_what_is_no_image_is_refused(classifier: Any, image: Any, sentence: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the sentence is looked for below
        classifier.predict(image)
    assert sentence in str(refused.value)


@pytest.mark.parametrize("name", DEEP)
def test_what_training_refuses_as_too_deep_is_refused(classifier: Any, tmp_path: Path, name: str) -> None:
    content, _ = DEEP[name]
    (tmp_path / name).write_bytes(content)
    for image in (str(tmp_path / name), content, Image.open(tmp_path / name)):
        with pytest.raises(ValueError, match="has more than 8 bits per channel"):
            classifier.predict(image)


@pytest.mark.parametrize("name", SHALLOW)
def test_what_training_reads_is_read(classifier: Any, name: str) -> None:
    assert len(classifier.predict(SHALLOW[name])) == 1


def test_the_signature_and_the_description_say_what_it_does(classifier: Any) -> None:
    signature, said = classifier.metadata.signature, classifier.metadata.metadata
    names = ["class", "probability", *(f"probability/{name}" for name in DATA.class_names)]
    assert signature.outputs.input_names() == names
    assert signature.inputs.input_names() == ["images"]
    assert said["class_names"] == list(DATA.class_names)
    assert "14 x 14 pixels, RGB" in said["input"]


def test_the_network_can_be_moved_evaluated_and_trained(exported: tuple[Path, nn.Module]) -> None:
    path, network = exported
    graph = mlflow.pytorch.load_model(str(path))
    images = torch.rand(5, 3, 14, 14)
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (DATA.mean, DATA.std))
    with torch.inference_mode():
        torch.testing.assert_close(graph(images), network((images - mean) / std))
        assert graph.to(torch.float64)(images.double()).dtype == torch.float64
    graph.to(torch.float32).train()
    statistics = {name: value.clone() for name, value in graph.state_dict().items() if "running_mean" in name}
    optimizer = torch.optim.SGD(graph.parameters(), lr=0.1)
    losses = []
    for _ in range(8):
        loss = F.cross_entropy(graph(images), torch.tensor([0, 1, 2, 0, 1]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    # In training mode it collects statistics, in evaluation mode it does not.
    assert statistics
    assert all(not torch.equal(value, graph.state_dict()[name]) for name, value in statistics.items())
    kept = {name: value.clone() for name, value in graph.eval().state_dict().items()}
    graph(images)
    assert all(torch.equal(value, graph.state_dict()[name]) for name, value in kept.items())


def test_nothing_of_this_project_is_needed(exported: tuple[Path, nn.Module]) -> None:
    files = [file for file in exported[0].rglob("*") if file.is_file()]
    assert {"MLmodel", "image_classifier.py", "model.pth", "requirements.txt"} <= {file.name for file in files}
    for file in files:
        content = file.read_bytes()
        assert not [line for line in content.split(b"\n") if b"import" in line and b"orchestrator" in line], file
        assert b"orchestrator." not in content, file


def test_where_there_is_a_gpu_the_network_is_on_it(
    exported: tuple[Path, nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow's own loader refuses an export that was made on a CPU there."""
    moved: list[torch.device] = []

    def to(module: nn.Module, device: torch.device) -> nn.Module:
        moved.append(device)
        return module

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(nn.Module, "to", to)
    mlflow.pyfunc.load_model(str(exported[0]))
    assert [device.type for device in moved] == ["cuda"]
    monkeypatch.setenv("MLFLOW_DEFAULT_PREDICTION_DEVICE", "cpu")
    mlflow.pyfunc.load_model(str(exported[0]))
    assert moved[-1].type == "cpu"


@pytest.mark.gpu
def test_on_a_real_gpu(exported: tuple[Path, nn.Module], classifier: Any, photo: Path) -> None:
    loaded = mlflow.pyfunc.load_model(str(exported[0]))
    assert loaded.unwrap_python_model().device.type == "cuda"
    found, expected = (probabilities(each.predict(str(photo))) for each in (loaded, classifier))
    np.testing.assert_allclose(found, expected, atol=1e-3)
    graph = mlflow.pytorch.load_model(str(exported[0])).to("cuda").train()
    graph(torch.rand(2, 3, 14, 14, device="cuda")).sum().backward()


def test_a_network_without_a_graph_is_logged_as_an_exported_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photo: Path, classifier: Any
) -> None:
    (cell,) = make_cells(ERM, seeds=(0,), datasets=(PHOTOS,))
    monkeypatch.setattr(logged_model, "trainable_graph", lambda *_: None)
    export(tmp_path, DATA, cell)
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "model"), model_config={"device": "cpu"})
    assert loaded.metadata.metadata["can_be_trained"] is False
    found, expected = (probabilities(each.predict(str(photo))) for each in (loaded, classifier))
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert mlflow.pytorch.load_model(str(tmp_path / "model"))(torch.rand(3, 3, 14, 14)).shape == (3, 3)


WITHOUT_PROJECT = """
import sys
sys.modules["orchestrator"] = sys.modules["augment"] = sys.modules["zetasweep"] = None
import mlflow
print(mlflow.pyfunc.load_model(sys.argv[1]).predict(sys.argv[2])["class"][0])
print(mlflow.pytorch.load_model(sys.argv[1]).train().training)
"""


@pytest.mark.slow
def test_it_loads_where_this_project_is_not(
    exported: tuple[Path, nn.Module], classifier: Any, photo: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-I", "-c", WITHOUT_PROJECT, str(exported[0]), str(photo)]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=250, check=False)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.split() == [classifier.predict(str(photo))["class"][0], "True"]
