"""The registry of data sets: one line for each, and the defaults that go with it."""

from __future__ import annotations

from functools import partial

from orchestrator.data.dataset import LAYOUT_OPTIONS, DatasetInfo
from orchestrator.data.sets.digits import open_digits
from orchestrator.data.sets.image_folder import open_image_folder
from orchestrator.data.sets.medmnist import open_medmnist_npz
from orchestrator.data.sets.skin_lesions import (
    DERMOFIT_CLASSES,
    HAM10000_CLASSES,
    ISIC2016_CLASSES,
    ISIC2017_CLASSES,
    ISIC2018_CLASSES,
    open_dermofit,
    open_ham10000,
    open_isic2016,
    open_isic2017,
    open_isic2018,
)
from orchestrator.data.sets.torchvision_arrays import (
    STL10_CLASSES,
    SVHN_CLASSES,
    download_svhn,
    download_torchvision,
    fetch,
    open_stl10,
    open_svhn,
    open_torchvision,
)
from orchestrator.data.sets.torchvision_files import (
    EUROSAT_CLASSES,
    IMAGENETTE_CLASSES,
    PET_CLASSES,
    download_imagenette,
    open_eurosat,
    open_flowers102,
    open_imagenette,
    open_oxford_pets,
)


def _idx_files(folder: str) -> tuple[str, ...]:
    kinds = ("images-idx3", "labels-idx1")
    return tuple(f"{folder}/raw/{split}-{kind}-ubyte" for split in ("train", "t10k") for kind in kinds)


DATASETS: dict[str, DatasetInfo] = {
    "digits": DatasetInfo(
        open=open_digits,
        description="1,797 scanned digits, 8x8 grey; embedded in scikit-learn",
        num_classes=10,
        image_shape=(1, 8, 8),
        embedded=True,
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
        description="60,000 photographs, 10 classes, 32x32 RGB; torchvision's files",
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
        description="60,000 photographs, 100 classes, 32x32 RGB; torchvision's files",
        num_classes=100,
        image_shape=(3, 32, 32),
        crop_padding=4,
        hflip=True,
        files=tuple(f"cifar-100-python/{file}" for file in ("meta", "train", "test")),
        download=partial(download_torchvision, "CIFAR100"),
    ),
    "stl10": DatasetInfo(
        open=open_stl10,
        description="13,000 photographs, 96x96 RGB; torchvision's files, 2.6 GB",
        num_classes=len(STL10_CLASSES),
        image_shape=(3, 96, 96),
        crop_padding=12,
        hflip=True,
        files=tuple(f"stl10_binary/{split}_{kind}.bin" for split in ("train", "test") for kind in "Xy"),
        download=partial(fetch, "STL10"),
    ),
    "svhn": DatasetInfo(
        open=open_svhn,
        description="99,289 digits of house numbers, 32x32 RGB; torchvision's files",
        num_classes=len(SVHN_CLASSES),
        image_shape=(3, 32, 32),
        crop_padding=4,
        files=("train_32x32.mat", "test_32x32.mat"),
        download=download_svhn,
    ),
    "flowers102": DatasetInfo(
        open=open_flowers102,
        description="8,189 flowers, 102 classes; torchvision's files",
        num_classes=102,
        crop_padding=4,
        hflip=True,
        files=tuple(f"flowers-102/{name}" for name in ("jpg", "imagelabels.mat", "setid.mat")),
        check=open_flowers102,
        download=partial(fetch, "Flowers102"),
    ),
    "oxford_pets": DatasetInfo(
        open=open_oxford_pets,
        description="7,349 cats and dogs of 37 breeds; torchvision's files",
        num_classes=len(PET_CLASSES),
        crop_padding=4,
        hflip=True,
        files=tuple(
            f"oxford-iiit-pet/{name}" for name in ("images", "annotations/trainval.txt", "annotations/test.txt")
        ),
        check=open_oxford_pets,
        download=partial(fetch, "OxfordIIITPet"),
    ),
    "imagenette": DatasetInfo(
        open=open_imagenette,
        description="13,394 photographs of ImageNet, 10 classes; torchvision's files",
        num_classes=len(IMAGENETTE_CLASSES),
        crop_padding=4,
        hflip=True,
        check=open_imagenette,
        download=download_imagenette,
    ),
    "eurosat": DatasetInfo(
        open=open_eurosat,
        description="27,000 satellite images, 10 classes, 64x64; torchvision's files",
        num_classes=len(EUROSAT_CLASSES),
        image_shape=(3, 64, 64),
        crop_padding=8,
        hflip=True,
        files=("eurosat/2750",),
        check=open_eurosat,
        download=partial(fetch, "EuroSAT"),
    ),
    "medmnist_npz": DatasetInfo(
        open=open_medmnist_npz,
        description="a set of MedMNIST, or your own in its format: one .npz file",
        path_option="file",
        check=open_medmnist_npz,
    ),
    "isic2016": DatasetInfo(
        open=open_isic2016,
        description="1,279 skin lesions, 2 classes; ISIC 2016 challenge, part 3",
        num_classes=len(ISIC2016_CLASSES),
        crop_padding=4,
        hflip=True,
        files=("ISBI2016_ISIC_Part3_Training_Data", "ISBI2016_ISIC_Part3_Test_Data"),
        check=open_isic2016,
    ),
    "isic2017": DatasetInfo(
        open=open_isic2017,
        description="2,750 skin lesions, 3 classes; ISIC 2017 challenge, part 3",
        num_classes=len(ISIC2017_CLASSES),
        crop_padding=4,
        hflip=True,
        files=tuple(f"ISIC-2017_{split}_Data" for split in ("Training", "Validation", "Test_v2")),
        check=open_isic2017,
    ),
    "isic2018": DatasetInfo(
        open=open_isic2018,
        description="10,015 skin lesions, 7 classes; ISIC 2018 challenge, task 3",
        num_classes=len(ISIC2018_CLASSES),
        crop_padding=4,
        hflip=True,
        files=("ISIC2018_Task3_Training_Input",),
        check=open_isic2018,
    ),
    "ham10000": DatasetInfo(
        open=open_ham10000,
        description="10,015 images of skin lesions, 7 classes; HAM10000",
        num_classes=len(HAM10000_CLASSES),
        crop_padding=4,
        hflip=True,
        check=open_ham10000,
    ),
    "dermofit": DatasetInfo(
        open=open_dermofit,
        description="1,300 skin lesions, 10 classes; the DermoFit image library",
        num_classes=len(DERMOFIT_CLASSES),
        crop_padding=4,
        hflip=True,
        files=tuple(DERMOFIT_CLASSES),
        check=open_dermofit,
    ),
    "image_folder": DatasetInfo(
        open=open_image_folder,
        description="your own images, in folders of classes or named by a table",
        crop_padding=4,
        hflip=True,
        path_option="folder",
        layout_options=LAYOUT_OPTIONS,
        check=open_image_folder,
    ),
}
