"""The registry of data sets: one line for each, and the defaults that go with it."""

from __future__ import annotations

from functools import partial

from orchestrator.data.dataset import DatasetInfo
from orchestrator.data.digits import open_digits
from orchestrator.data.image_folder import open_image_folder
from orchestrator.data.skin_lesions import (
    DERMOFIT_CLASSES,
    ISIC2016_CLASSES,
    ISIC2017_CLASSES,
    ISIC2018_CLASSES,
    open_dermofit,
    open_isic2016,
    open_isic2017,
    open_isic2018,
)
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
    "isic2016": DatasetInfo(
        open=open_isic2016,
        description="1,279 skin lesions, benign or malignant; the files of the ISIC 2016 challenge, part 3",
        num_classes=len(ISIC2016_CLASSES),
        crop_padding=4,
        hflip=True,
        files=("ISBI2016_ISIC_Part3_Training_Data", "ISBI2016_ISIC_Part3_Test_Data"),
        check=open_isic2016,
    ),
    "isic2017": DatasetInfo(
        open=open_isic2017,
        description="2,750 skin lesions in 3 classes; the files of the ISIC 2017 challenge, part 3",
        num_classes=len(ISIC2017_CLASSES),
        crop_padding=4,
        hflip=True,
        files=tuple(f"ISIC-2017_{split}_Data" for split in ("Training", "Validation", "Test_v2")),
        check=open_isic2017,
    ),
    "isic2018": DatasetInfo(
        open=open_isic2018,
        description="10,015 skin lesions in 7 classes (HAM10000); the files of the ISIC 2018 challenge, task 3",
        num_classes=len(ISIC2018_CLASSES),
        crop_padding=4,
        hflip=True,
        files=("ISIC2018_Task3_Training_Input",),
        check=open_isic2018,
    ),
    "dermofit": DatasetInfo(
        open=open_dermofit,
        description="1,300 skin lesions in 10 classes; the folders of the DermoFit image library",
        num_classes=len(DERMOFIT_CLASSES),
        crop_padding=4,
        hflip=True,
        files=tuple(DERMOFIT_CLASSES),
        check=open_dermofit,
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
