"""Image files in the folders that torchvision makes: Flowers-102, Oxford-IIIT Pet, Imagenette and EuroSAT.

torchvision downloads them and says which files there are; the images are decoded as those of any folder. Except for
EuroSAT they are of many sizes: ``dataset.image_size`` says what they are resized to.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.data.dataset import Source
from orchestrator.data.image_files import FileSamples, is_litter, refuse_other_encodings
from orchestrator.data.sets.class_folders import list_classes, samples_of
from orchestrator.data.sets.held_out import HELD_OUT, held_out_fifth
from orchestrator.data.sets.torchvision_arrays import fetch, stored
from orchestrator.errors import DataError

IMAGENETTE_SIZES = {"imagenette2": "full", "imagenette2-320": "320px", "imagenette2-160": "160px"}
IMAGENETTE_CLASSES = {
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}
EUROSAT_CLASSES = (
    "AnnualCrop",
    "Forest",
    "HerbaceousVegetation",
    "Highway",
    "Industrial",
    "Pasture",
    "PermanentCrop",
    "Residential",
    "River",
    "SeaLake",
)
# As the names of the images spell them, in the order of the labels.
PET_CLASSES = (
    *("Abyssinian", "american_bulldog", "american_pit_bull_terrier", "basset_hound", "beagle", "Bengal", "Birman"),
    *("Bombay", "boxer", "British_Shorthair", "chihuahua", "Egyptian_Mau", "english_cocker_spaniel", "english_setter"),
    *("german_shorthaired", "great_pyrenees", "havanese", "japanese_chin", "keeshond", "leonberger", "Maine_Coon"),
    *("miniature_pinscher", "newfoundland", "Persian", "pomeranian", "pug", "Ragdoll", "Russian_Blue"),
    *("saint_bernard", "samoyed", "scottish_terrier", "shiba_inu", "Siamese", "Sphynx", "staffordshire_bull_terrier"),
    *("wheaten_terrier", "yorkshire_terrier"),
)

_PET_LABELS = {str(label + 1): label for label in range(len(PET_CLASSES))}
_PATH_ONLY = str
"""A loader for torchvision that loads nothing: an item of the data set is the path of an image and its label."""


def open_flowers102(root: Path) -> Source:
    """Finds Oxford Flowers-102: flowers common in the United Kingdom.

    ::

        flowers-102/jpg/image_*.jpg         8,189 images: train 1,020, val 1,020 (10 of each class), test 6,149
        flowers-102/imagelabels.mat         the label of each image, 1 to 102
        flowers-102/setid.mat               the images of each split

    Source: https://www.robots.ox.ac.uk/~vgg/data/flowers/102/, for the licence see there. Cite: Nilsback, Zisserman,
    "Automated Flower Classification over a Large Number of Classes", ICVGIP (2008).

    Raises:
        DataError: A file is missing, or a table damaged.
    """
    found = [stored("Flowers102", root, split=split, loader=_PATH_ONLY) for split in ("train", "val", "test")]
    train, val, test = _listed(root, *found)
    for samples in (train, val, test):
        _require_images(samples, root / "flowers-102" / "setid.mat")
    return Source(tuple(found[0].classes), train=train, val=val, test=test)


def open_oxford_pets(root: Path) -> Source:
    """Finds Oxford-IIIT Pet: cats and dogs of 37 breeds.

    ::

        oxford-iiit-pet/images/*.jpg                     about 200 images of each breed
        oxford-iiit-pet/annotations/trainval.txt         3,680 images: IMAGE CLASS SPECIES BREED; CLASS from 1 to 37
        oxford-iiit-pet/annotations/test.txt             3,669 images, likewise

    Images that neither list names are passed over. Validation is taken out of ``trainval``.
    Source: https://www.robots.ox.ac.uk/~vgg/data/pets/, licence CC BY-SA 4.0. Cite: Parkhi, Vedaldi, Zisserman,
    Jawahar, "Cats and Dogs", CVPR (2012).

    Raises:
        DataError: A file is missing, a list is not as above, or a breed has no image.
    """
    train, test = (_pets(root, split) for split in ("trainval", "test"))
    return Source(PET_CLASSES, train=train, test=test)


def open_imagenette(root: Path) -> Source:
    """Finds Imagenette: ten classes of ImageNet that are easily told apart.

    ::

        imagenette2/train/n*/*.JPEG      9,469 images
        imagenette2/val/n*/*.JPEG        3,925 images: our test images

    ``imagenette2-320`` and ``imagenette2-160`` hold the same images with a shorter side of 320 and 160 pixels. The
    first of the three that is there is taken, in this order. There are no other validation images.
    Source: https://github.com/fastai/imagenette, for the licence see there. Cite: Howard, "Imagenette" (2019),
    https://github.com/fastai/imagenette.

    Raises:
        DataError: No folder is there, or one is incomplete.
    """
    folder = next((folder for folder in IMAGENETTE_SIZES if (root / folder).is_dir()), None)
    if folder is None:
        raise DataError(
            f"{root} holds none of {', '.join(IMAGENETTE_SIZES)}. Put one of them there, or let `--download` fetch "
            f"imagenette2-320 to {root}; or change data_dir."
        )
    train, test = (_in_folders(root, f"{folder}/{split}", IMAGENETTE_CLASSES) for split in ("train", "val"))
    return Source(tuple(IMAGENETTE_CLASSES.values()), train=train, test=replace(test, reference=train.reference))


def open_eurosat(root: Path) -> Source:
    """Finds EuroSAT in RGB: land use and land cover in satellite images of 64x64 pixels.

    ::

        eurosat/2750/CLASS/*.jpg      27,000 images: AnnualCrop 3,000, Forest 3,000, HerbaceousVegetation 3,000,
                                      Highway 2,500, Industrial 2,500, Pasture 2,000, PermanentCrop 2,500,
                                      Residential 3,000, River 2,500, SeaLake 3,000

    There is no official split: a fifth of the images, stratified, is held out as the test set.
    Source: https://github.com/phelber/eurosat, licence MIT. Cite: Helber, Bischke, Dengel, Borth, "EuroSAT: A Novel
    Dataset and Deep Learning Benchmark for Land Use and Land Cover Classification", IEEE JSTARS 12 (2019).

    Raises:
        DataError: A folder is missing or holds no image.
    """
    samples = _in_folders(root, "eurosat/2750", EUROSAT_CLASSES)
    train, test = held_out_fifth(samples, EUROSAT_CLASSES)
    return Source(EUROSAT_CLASSES, train=train, test=test, test_is=HELD_OUT)


def download_imagenette(root: Path) -> None:
    """Lets torchvision download the images of 320 pixels, unless images of any size are there; see ``fetch``."""
    if not any((root / folder).is_dir() for folder in IMAGENETTE_SIZES):
        fetch("Imagenette", root, size="320px")


def _listed(root: Path, *splits: Any) -> list[FileSamples]:
    """The files of splits that torchvision has found, in its order."""
    every = [[split[index] for index in range(len(split))] for split in splits]
    items = [[(path, label) for path, label in split if not is_litter(Path(path).name)] for split in every]
    for split in items:
        refuse_other_encodings(str(path) for path, _ in split)
    ids = [[Path(path).relative_to(root).as_posix() for path, _ in split] for split in items]
    labels = [np.array([label for _, label in split], dtype=np.int64) for split in items]
    return [FileSamples(root, *columns, ids[0][0]) for columns in zip(ids, labels, strict=True)]


def _pets(root: Path, split: str) -> FileSamples:
    """The images that a list of Oxford-IIIT Pet names."""
    table = root / "oxford-iiit-pet" / "annotations" / f"{split}.txt"
    try:
        lines = table.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{table} cannot be read: {error}. Unpack the annotations again.") from error
    ids: list[str] = []
    labels: list[int] = []
    for number, line in enumerate(lines, start=1):
        words = line.split()
        # A name with a slash would be looked for outside of the folder of the images.
        if len(words) != 4 or words[1] not in _PET_LABELS or "/" in words[0]:
            raise DataError(
                f"{table}:{number}: {line!r} is not IMAGE CLASS SPECIES BREED with CLASS from 1 to {len(PET_CLASSES)}. "
                "Unpack the annotations again."
            )
        ids.append(f"oxford-iiit-pet/images/{words[0]}.jpg")
        labels.append(_PET_LABELS[words[1]])
    counts = np.bincount(labels, minlength=len(PET_CLASSES))
    if counts.min() == 0:
        breed = PET_CLASSES[int(counts.argmin())]
        raise DataError(f"{table} names no image of class {breed!r}. Unpack the annotations again.")
    samples = FileSamples(root, ids, np.array(labels, dtype=np.int64), ids[0])
    _require_images(samples, table)
    return samples


def _require_images(samples: FileSamples, table: Path) -> None:
    """All images of a split lie in one folder; so one listing is enough, however slow the file system is."""
    folder = (samples.root / samples.ids[0]).parent
    try:
        there = set(os.listdir(folder))
    except OSError as error:
        raise DataError(f"{folder} cannot be listed: {error.strerror}. Unpack the images there.") from error
    missing = [name for name in samples.ids if name.rpartition("/")[2] not in there]
    if missing:
        raise DataError(
            f"{samples.root / missing[0]} is missing, but {table} names it ({len(missing)} of {len(samples.ids)} "
            "images are missing). Unpack the images again."
        )


def _in_folders(root: Path, folder: str, official: Collection[str]) -> FileSamples:
    """The images of a folder of classes.

    Raises:
        DataError: It is missing, holds other classes than the official ones, or something else.
    """
    found = list_classes(root, folder, remedy="Unpack the images again.")
    if differing := sorted(found.keys() ^ set(official)):
        raise DataError(
            f"{root / folder}: its class folders differ from the official ones in {', '.join(differing)}. "
            "Unpack the images again."
        )
    return samples_of(root, found, next(iter(found.values()))[0])
