"""Classifies images as people have them, with the network beside this file: MLflow's ``python_function`` of a model.

zetasweep puts a copy of it into each model that it logs; it needs MLflow, torch and Pillow, and nothing of zetasweep.
What ``MLmodel`` beside it says as ``metadata`` is which classes there are, and how an image is prepared: as it was for
the test.
"""

import io
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from mlflow.environment_variables import MLFLOW_DEFAULT_PREDICTION_DEVICE
from mlflow.models import Model
from mlflow.pyfunc import PythonModel
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin
from torch import Tensor, nn

AT_A_TIME = 64
# Of an image that is longer than this, the centre alone is resized.
MAX_ASPECT = 16
LUMA = (0.299, 0.587, 0.114)
IN_FILES = (str, os.PathLike, bytes, bytearray, Image.Image)


class ImageClassifier(PythonModel):  # type: ignore[misc] # MLflow has no types
    """Says of images which class they show.

    Attributes:
        network: From float images ``[B, C, S, S]`` in [0, 1] to logits; it can be trained further.
        class_names: In the order of the logits.
        device: Where the network is: ``model_config={"device": "cpu"}`` of `mlflow.pyfunc.load_model`, or else
            ``MLFLOW_DEFAULT_PREDICTION_DEVICE``, or else a GPU where there is one.
    """

    network: nn.Module
    class_names: tuple[str, ...]
    device: torch.device

    def load_context(self, context: Any) -> None:
        """Load the network that lies beside this file."""
        folder = Path(__file__).parent
        said = Model.load(folder).metadata
        self.class_names = tuple(said["class_names"])
        self._preparation = Preparation(**said["preparation"])
        self.device = _device((context.model_config or {}).get("device"))
        self.network = load_network(folder, self.device)

    # MLflow checks no input against this type: beside arrays there are paths, bytes, images and lists of them.
    def predict(self, context: Any, model_input: np.ndarray, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return a row for each image: its class, the probability of that, and the probability of each class.

        Args:
            context: MLflow's; not used.
            model_input: An image or a list of images, each the path of a file, its bytes, a PIL image, or an array
                ``[H, W]``, ``[H, W, C]`` or ``[C, H, W]``, C = 1, 3 or 4 (whose last one is dropped), of any size; or
                an array of images with one more axis in front; or a table with one column of images. Arrays of integers
                hold 0 to 255, of floats 0 to 1. An array of three axes is always one image: grey images are a list of
                ``[H, W]``, or an array ``[B, H, W, 1]``.
            params: None are known.

        Raises:
            ValueError: There is no image, or one is none, or its values are out of range.
        """
        images = list(_images_of(model_input))
        if not images:
            raise ValueError("there is no image: give one, or a list of them")
        probabilities = [
            self._probabilities(images[first : first + AT_A_TIME], first=first)
            for first in range(0, len(images), AT_A_TIME)
        ]
        index = model_input.index if isinstance(model_input, pd.DataFrame | pd.Series) else None
        return _table(np.concatenate(probabilities), self.class_names, index)

    def _probabilities(self, images: list[Any], *, first: int) -> NDArray[np.float64]:
        prepared = []
        for number, image in enumerate(images, start=first):
            try:
                prepared.append(self._preparation(image))
            except ValueError as error:
                raise ValueError(f"image {number}: {error}") from error
        with torch.inference_mode():
            logits = self.network(torch.stack(prepared).to(self.device))
        probabilities: NDArray[np.float64] = logits.double().softmax(1).cpu().numpy()
        return probabilities


class Preparation:
    """What is done to an image before the network sees it: the same as to the images of the test.

    Args:
        num_channels: 1 or 3: others are converted.
        resize: What the shorter side becomes, the rest is cut off around the centre.
        resize_again: What that square becomes, as after a random resized crop in training.
        size: The side in pixels of the centre that is cut out of it.
    """

    def __init__(self, *, num_channels: int, resize: int, resize_again: int, size: int) -> None:
        self._num_channels, self._resize, self._resize_again, self._size = num_channels, resize, resize_again, size

    def __call__(self, image: Any) -> Tensor:
        """Return float32 ``[C, S, S]`` in [0, 1].

        Args:
            image: See `ImageClassifier.predict`.

        Raises:
            ValueError: It is none, or its values are out of range.
        """
        if not isinstance(image, np.ndarray | Tensor):
            return self._of_pixels(_opened(image))
        array = _height_first(image.detach().cpu().numpy() if isinstance(image, Tensor) else image)
        if np.issubdtype(array.dtype, np.floating):
            return self._of_floats(array)
        pixels = _pixels(array)
        return self._of_pixels(Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels))

    def _of_pixels(self, image: Image.Image) -> Tensor:
        """The shorter side is resized and the centre cut out as Pillow does it, from 8 bits to 8 bits."""
        rgb = _resized(image.convert("RGB" if self._num_channels == 3 else "L"), self._resize)
        pixels = torch.from_numpy(np.array(rgb)).view(self._resize, self._resize, -1).permute(2, 0, 1)
        if self._resize_again != self._resize:
            pixels = _interpolated(pixels.float(), self._resize_again, self._resize_again).round()
        return _centre(pixels, self._size) / 255

    def _of_floats(self, array: NDArray[Any]) -> Tensor:
        """The same of floats, which are not rounded."""
        low, high = float(array.min()), float(array.max())
        if not (low >= 0 and high <= 1):  # also NaN
            raise ValueError(
                f"floats from {low:g} to {high:g}: floats have to be in [0, 1], as pixels divided by 255 are; else "
                "give uint8"
            )
        pixels = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)).permute(2, 0, 1)[:3]
        if self._num_channels == 1 and len(pixels) == 3:
            pixels = torch.einsum("chw,c->hw", pixels, torch.tensor(LUMA))[None]
        # Multiplied before it is divided: 14 / 55 times 55 is less than 14.
        height, width = (int(self._resize * side / min(pixels.shape[1:])) for side in pixels.shape[1:])
        pixels = _centre(_interpolated(pixels, height, width), self._resize)
        pixels = _interpolated(pixels, self._resize_again, self._resize_again)
        return _centre(pixels, self._size).expand(self._num_channels, -1, -1)


def load_network(folder: Path, device: torch.device) -> nn.Module:
    """Return the network of a logged model, on `device`."""
    exported = folder / "data" / "model.pt2"
    if exported.exists():
        # Of an exported program the graph, too, may name the device that it was made on.
        from torch.export.passes import move_to_device_pass

        return move_to_device_pass(torch.export.load(exported), device).module()
    network: nn.Module = mlflow.pytorch.load_model(str(folder))
    return network.to(device)


def _device(wanted: str | None) -> torch.device:
    return torch.device(
        wanted or MLFLOW_DEFAULT_PREDICTION_DEVICE.get() or ("cuda" if torch.cuda.is_available() else "cpu")
    )


def _images_of(given: Any) -> Iterator[Any]:
    """Yield each image of what `ImageClassifier.predict` is given."""
    if isinstance(given, Mapping) or (isinstance(given, pd.DataFrame) and given.shape[1] != 1):
        names = ", ".join(map(str, given if isinstance(given, Mapping) else given.columns))
        if len(given) != 1 or isinstance(given, pd.DataFrame):
            raise ValueError(f"images are expected in one column, and there are: {names}")
        given = next(iter(given.values()))
    if isinstance(given, pd.DataFrame):
        given = given.iloc[:, 0]
    is_array = isinstance(given, np.ndarray | Tensor)
    if isinstance(given, IN_FILES) or (is_array and given.ndim in (2, 3)):
        yield given
    elif isinstance(given, list) and given and isinstance(given[0], list | int | float):
        # What a server's JSON holds: lists in lists.
        yield from _images_of(np.asarray(given))
    elif isinstance(given, list | tuple | pd.Series) or (is_array and given.ndim > 0):
        yield from given
    else:
        raise ValueError(f"{type(given).__name__} is no image: paths, bytes, PIL images and arrays are")


def _opened(image: Any) -> Image.Image:
    """Return an image that is given as a file, as its bytes, or as it is."""
    if not isinstance(image, IN_FILES):
        raise ValueError(f"{type(image).__name__} is no image: paths, bytes, PIL images and arrays are")
    name = os.fspath(image) if isinstance(image, str | os.PathLike) else type(image).__name__
    try:
        content = io.BytesIO(image) if isinstance(image, bytes | bytearray) else image
        opened: Image.Image = content if isinstance(content, Image.Image) else Image.open(content)
        is_deep = _is_deep(opened)
        opened.load()
    except (OSError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise ValueError(f"{name} cannot be read as an image: {error}") from error
    if is_deep:
        raise ValueError(f"{name} has more than 8 bits per channel: convert it, images of 8 bits are read")
    return opened


def _is_deep(image: Image.Image) -> bool:
    """Return whether an image has more than 8 bits per channel, which are narrowed as it is decoded.

    Args:
        image: Just opened: what it says of its file is gone once it is decoded.
    """
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return bool(max(image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (8,))) > 8)
    # By place: before Pillow 11 a tile is a plain tuple.
    raws = [raw if isinstance(raw, tuple) else (raw,) for *_, raw in getattr(image, "tile", [])]
    # Of PNM files the largest value, unless it is 255 or 65,535.
    largest = [raw[1] for raw in raws if image.format == "PPM" and len(raw) == 2 and isinstance(raw[1], int)]
    if largest:
        return max(largest) > 255
    return image.mode.startswith(("I", "F")) or any(str(raw[0]).endswith(";16B") for raw in raws if raw)


def _height_first(array: NDArray[Any]) -> NDArray[Any]:
    """Return ``[H, W, C]`` of an image."""
    if array.ndim == 2:
        return array[..., None]
    if array.ndim == 3 and array.shape[2] in (1, 3, 4):
        return array
    if array.ndim == 3 and array.shape[0] in (1, 3, 4):
        return array.transpose(1, 2, 0)
    raise ValueError(f"an array of {list(array.shape)}: [H, W], [H, W, C] and [C, H, W] with C = 1, 3 or 4 are images")


def _pixels(array: NDArray[Any]) -> NDArray[np.uint8]:
    if not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"an array of {array.dtype}: integers from 0 to 255, or floats in [0, 1], are pixels")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > 255:
        raise ValueError(f"integers from {low} to {high}: pixels are integers from 0 to 255, or floats in [0, 1]")
    return np.ascontiguousarray(array[..., :3], dtype=np.uint8)


def _resized(image: Image.Image, size: int) -> Image.Image:
    """What torchvision's ``Resize(size)`` and ``CenterCrop(size)`` make of it, to the pixel."""
    shorter = min(image.size)
    width, height = (int(size * side / shorter) for side in image.size)
    left, top = round((width - size) / 2), round((height - size) / 2)
    if max(width, height) > MAX_ASPECT * size:
        across, down = image.width / width, image.height / height
        box = (left * across, top * down, (left + size) * across, (top + size) * down)
        return image.resize((size, size), Image.Resampling.BILINEAR, box=box)
    if shorter != size:
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return image.crop((left, top, left + size, top + size))


def _interpolated(pixels: Tensor, height: int, width: int) -> Tensor:
    if pixels.shape[1:] == (height, width):
        return pixels
    return F.interpolate(pixels[None], size=(height, width), mode="bilinear", antialias=True)[0]


def _centre(pixels: Tensor, size: int) -> Tensor:
    top, left = (round((side - size) / 2) for side in pixels.shape[1:])
    return pixels[:, top : top + size, left : left + size]


def _table(probabilities: NDArray[np.float64], class_names: tuple[str, ...], index: Any) -> pd.DataFrame:
    best = probabilities.argmax(1)
    columns = {"class": [class_names[place] for place in best], "probability": probabilities.max(1)}
    columns |= {f"probability/{name}": probabilities[:, place] for place, name in enumerate(class_names)}
    return pd.DataFrame(columns, index=index)
