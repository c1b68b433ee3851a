"""The registry of data sets: one line for each, and the defaults that go with it."""

from __future__ import annotations

from functools import partial

from orchestrator.data.dataset import DatasetInfo
from orchestrator.data.digits import open_digits
from orchestrator.data.image_folder import open_image_folder
from orchestrator.data.torchvision_sets import download_torchvision, open_torchvision


def _idx_files(folder: str) -> tuple[str, ...]:
    kinds = ("images-idx3", "labels-idx1")
    return tuple(f"{folder}/raw/{split}-{kind}-ubyte" for split in ("train", "t10k") for kind in kinds)


DATASETS: dict[str, DatasetInfo] = {
    "digits": DatasetInfo(
        open=open_digits,
        description="1,797 scanned digits, 8x8 grey; embedded in scikit-learn",
        num_classes=10,
        image_shape=(1, 8, 8),
    ),
    "mnist": DatasetInfo(
        open=partial(open_torchvision, "MNIST"),
        description="70,000 handwritten digits, 28x28 grey; torchvision's files",
        num_classes=10,
        image_shape=(1, 28, 28),
        files=_idx_files("MNIST"),
        download=partial(download_torchvision, "MNIST"),
    ),
    "fashion_mnist": DatasetInfo(
        open=partial(open_torchvision, "FashionMNIST"),
        description="70,000 articles of clothing, 28x28 grey; torchvision's files",
        num_classes=10,
        image_shape=(1, 28, 28),
        files=_idx_files("FashionMNIST"),
        download=partial(download_torchvision, "FashionMNIST"),
    ),
    "cifar10": DatasetInfo(
        open=partial(open_torchvision, "CIFAR10"),
        description="60,000 photographs in 10 classes, 32x32 RGB; torchvision's files",
        num_classes=10,
        image_shape=(3, 32, 32),
        crop_padding=4,
        hflip=True,
        files=tuple(
            f"cifar-10-batches-py/{file}"
            for file in ("batches.meta", *(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
        ),
        download=partial(download_torchvision, "CIFAR10"),
    ),
    "cifar100": DatasetInfo(
        open=partial(open_torchvision, "CIFAR100"),
        description="60,000 photographs in 100 classes, 32x32 RGB; torchvision's files",
        num_classes=100,
        image_shape=(3, 32, 32),
        crop_padding=4,
        hflip=True,
        files=tuple(f"cifar-100-python/{file}" for file in ("meta", "train", "test")),
        download=partial(download_torchvision, "CIFAR100"),
    ),
    "image_folder": DatasetInfo(
        open=open_image_folder,
        description="your own image files, as FOLDER/{train,test[,val]}/CLASS/FILE",
        crop_padding=4,
        hflip=True,
        files=("train", "test"),
        check=open_image_folder,
    ),
}
