"""Skin lesions: ISIC 2016, 2017 and 2018 as downloaded from the ISIC archive, HAM10000 and DermoFit as distributed.

Images stay in the files they come in, in folders next to tables of labels. Lesions are photographed at many sizes:
``dataset.image_size`` says what they are resized to. Where a table beside the images has a column ``lesion_id``, the
images of one lesion are kept together wherever images are split.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from orchestrator.data.dataset import Source
from orchestrator.data.image_files import IMAGE_ENDINGS, FileSamples, is_litter, refuse_other_encodings
from orchestrator.data.sets.held_out import HELD_OUT, held_out_fifth
from orchestrator.data.sets.lesion_images import (
    IMAGE_COLUMNS,
    LAYOUT,
    LESION,
    Labels,
    add_label,
    labelled_images,
    lesion_tables,
    one_hot_labels,
    with_lesions,
)
from orchestrator.data.table import TABLE_ENDINGS, read_rows, read_table, tables_with
from orchestrator.errors import DataError

ISIC2016_CLASSES = ("benign", "malignant")
ISIC2017_CLASSES = ("nevus", "melanoma", "seborrheic_keratosis")
ISIC2018_CLASSES = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
HAM10000_CLASSES = tuple(name.lower() for name in ISIC2018_CLASSES)
DERMOFIT_CLASSES = {
    "AK": "Actinic Keratosis",
    "ALLMOLE": "Melanocytic Nevus (mole)",
    "BCC": "Basal Cell Carcinoma",
    "DF": "Dermatofibroma",
    "IEC": "Intraepithelial Carcinoma",
    "MEL": "Malignant Melanoma",
    "PYO": "Pyogenic Granuloma",
    "SCC": "Squamous Cell Carcinoma",
    "SK": "Seborrhoeic Keratosis",
    "VASC": "Haemangioma",
}


def open_isic2016(root: Path) -> Source:
    """Find the ISIC 2016 challenge, part 3: benign or malignant.

    ::

        ISBI2016_ISIC_Part3_Training_Data/ISIC_*.jpg         900 images: 727 benign, 173 malignant
        ISBI2016_ISIC_Part3_Training_GroundTruth.csv         image,benign|malignant; no header
        ISBI2016_ISIC_Part3_Test_Data/ISIC_*.jpg             379 images: 304 benign, 75 malignant
        ISBI2016_ISIC_Part3_Test_GroundTruth.csv             image,0.0|1.0; no header

    The challenge has no validation images; its test images also stand in the training images of ISIC 2017.
    Source: https://challenge.isic-archive.com/data/#2016, licence CC-0. Cite: Gutman et al., "Skin Lesion Analysis
    toward Melanoma Detection", arXiv 1605.01397 (2016).

    Raises:
        DataError: A file is missing, a table is not as above, or images and table do not agree.
    """
    meanings = {"benign": 0, "0.0": 0, "0": 0, "malignant": 1, "1.0": 1, "1": 1}

    def split(name: str) -> FileSamples:
        table = root / f"ISBI2016_ISIC_Part3_{name}_GroundTruth.csv"
        labels: Labels = {}
        for number, row in read_rows(table):
            if len(row) != 2 or row[1].strip() not in meanings:
                raise DataError(f"{table}:{number}: {','.join(row)!r} is not IMAGE,benign or IMAGE,malignant.")
            add_label(labels, row[0], meanings[row[1].strip()], table)
        return labelled_images(root, f"ISBI2016_ISIC_Part3_{name}_Data", labels, ISIC2016_CLASSES, table)

    return with_lesions(lesion_tables(root), ISIC2016_CLASSES, train=split("Training"), test=split("Test"))


def open_isic2017(root: Path) -> Source:
    """Find the ISIC 2017 challenge, part 3: nevus, melanoma or seborrheic keratosis.

    ::

        ISIC-2017_Training_Data/ISIC_*.jpg            2,000 images: 1,372 nevus, 374 melanoma, 254 seborrheic keratosis
        ISIC-2017_Training_Part3_GroundTruth.csv      image_id,melanoma,seborrheic_keratosis; neither: nevus
        ISIC-2017_Validation_Data/ISIC_*.jpg          150 images: 78, 30, 42
        ISIC-2017_Validation_Part3_GroundTruth.csv
        ISIC-2017_Test_v2_Data/ISIC_*.jpg             600 images: 393, 117, 90
        ISIC-2017_Test_v2_Part3_GroundTruth.csv

    The superpixel masks that lie among the images as PNG files are passed over.
    Source: https://challenge.isic-archive.com/data/#2017, licence CC-0. Cite: Codella et al., "Skin Lesion Analysis
    Toward Melanoma Detection", arXiv 1710.05006 (2017).

    Raises:
        DataError: A file is missing, a table is not as above, or images and table do not agree.
    """

    def split(name: str) -> FileSamples:
        table = root / f"ISIC-2017_{name}_Part3_GroundTruth.csv"
        labels = one_hot_labels(table, "image_id", ISIC2017_CLASSES[1:], otherwise=0)
        return labelled_images(root, f"ISIC-2017_{name}_Data", labels, ISIC2017_CLASSES, table)

    parts = {"train": split("Training"), "val": split("Validation"), "test": split("Test_v2")}
    return with_lesions(lesion_tables(root), ISIC2017_CLASSES, **parts)


def open_isic2018(root: Path) -> Source:
    """Find the ISIC 2018 challenge, task 3, whose training images are HAM10000: seven diagnoses.

    ::

        ISIC2018_Task3_Training_Input/ISIC_*.jpg                      10,015 images: MEL 1,113, NV 6,705, BCC 514,
        ISIC2018_Task3_Training_GroundTruth/                          AKIEC 327, BKL 1,099, DF 115, VASC 142
            ISIC2018_Task3_Training_GroundTruth.csv                   image,MEL,NV,BCC,AKIEC,BKL,DF,VASC
        ISIC2018_Task3_Training_LesionGroupings.csv                   image,lesion_id,…; or HAM10000_metadata
        ISIC2018_Task3_Validation_Input, …_Validation_GroundTruth     193 images; used if there
        ISIC2018_Task3_Test_Input, …_Test_GroundTruth                 1,512 images; used if there

    A table may also lie in `root` itself. Where the test images and their labels are missing, a fifth of the training
    images is held out as the test set. Without a table of lesions every image counts as a lesion of its own.
    Source: https://challenge.isic-archive.com/data/#2018, licence CC-BY-NC 4.0. Cite: Tschandl, Rosendahl, Kittler,
    "The HAM10000 dataset", Scientific Data 5 (2018); Codella et al., arXiv 1902.03368 (2019).

    Raises:
        DataError: A file is missing, a table is not as above, or images and tables do not agree.
    """

    def split(name: str) -> FileSamples:
        stem = f"ISIC2018_Task3_{name}_GroundTruth"
        table = _first_of(root, f"{stem}/{stem}.csv", f"{stem}.csv")
        labels = one_hot_labels(table, "image", ISIC2018_CLASSES)
        return labelled_images(root, f"ISIC2018_Task3_{name}_Input", labels, ISIC2018_CLASSES, table)

    def ships(name: str) -> bool:
        stem = f"ISIC2018_Task3_{name}_GroundTruth"
        return (root / stem).is_dir() or (root / f"{stem}.csv").is_file()

    parts = {"train": split("Training")}
    parts |= {part: split(name) for part, name in (("val", "Validation"), ("test", "Test")) if ships(name)}
    folders = [root, *(root / f"ISIC2018_Task3_{name}_GroundTruth" for name in ("Training", "Validation", "Test"))]
    return with_lesions(lesion_tables(*folders), ISIC2018_CLASSES, **parts)


def open_ham10000(root: Path) -> Source:
    """Find HAM10000 as Harvard Dataverse and Kaggle ship it: seven diagnoses.

    ::

        HAM10000_images_part_1/ISIC_*.jpg     10,015 images of 7,470 lesions: akiec 327, bcc 514, bkl 1,099, df 115,
        HAM10000_images_part_2/ISIC_*.jpg     mel 1,113, nv 6,705, vasc 142
        HAM10000_metadata                     lesion_id,image_id,dx,…; with any ending of a table

    The images may also lie in `root` itself, or in one folder ``HAM10000_images``. A fifth of the images, stratified
    and with all images of a lesion, is held out as the test set: the official one belongs to ``isic2018``.
    Source: https://doi.org/10.7910/DVN/DBW86T, licence CC-BY-NC 4.0. Cite: Tschandl, Rosendahl, Kittler, "The HAM10000
    dataset, a large collection of multi-source dermatoscopic images of common pigmented skin lesions", Scientific Data
    5 (2018).

    Raises:
        DataError: A file is missing, the table is not as above, or images and table do not agree.
    """
    tables = [table for table in tables_with("dx", root) if table.has(LESION)]
    # Dataverse has a table of the official test images, too, which are not read here.
    tables = [table for table in tables if table.path.stem.lower().startswith("ham10000")] or tables
    if not tables:
        _refuse_incomplete(root)
        raise DataError(
            f"{root / 'HAM10000_metadata.csv'} is missing: the table of HAM10000 with the columns lesion_id, image_id "
            f"and dx. It comes with the images; put it there, with any ending of a table; {LAYOUT}."
        )
    if len(tables) > 1:
        names = " and ".join(table.path.name for table in tables)
        raise DataError(f"{root} has {names}, all with diagnoses and lesions.", remedy="Move all but one away.")
    (table,) = tables
    labels: Labels = {}
    for name, diagnosis in table.values(table.first_of(IMAGE_COLUMNS), "dx"):
        if diagnosis.lower() not in HAM10000_CLASSES:
            raise DataError(
                f"{table.path}: {name} has the diagnosis {diagnosis!r}; known are {', '.join(HAM10000_CLASSES)}.",
                remedy="Download the table again.",
            )
        add_label(labels, name, HAM10000_CLASSES.index(diagnosis.lower()), table.path)
    folders = _ham10000_folders(root)
    return with_lesions(
        [table], HAM10000_CLASSES, train=labelled_images(root, folders, labels, HAM10000_CLASSES, table.path)
    )


def _refuse_incomplete(root: Path) -> None:
    """Raise DataError if the table of HAM10000 is there and lacks a column, by which it would have been found."""
    for path in sorted(root.iterdir()) if root.is_dir() else []:
        if path.stem.lower() == "ham10000_metadata" and path.suffix.lower() in TABLE_ENDINGS and path.is_file():
            table = read_table(path)
            lacking = [column for column in (LESION, "dx") if not table.has(column)]
            raise DataError(
                f"{path} has no column {' and no column '.join(map(repr, lacking))}: its columns are "
                f"{', '.join(map(repr, table.columns))}.",
                remedy="Its first line names the columns lesion_id, image_id and dx, between commas, semicolons or "
                "tabs: download it again, or mend it.",
            )


def _ham10000_folders(root: Path) -> list[str]:
    """Return the folders of images, "." for `root` itself: of those that Kaggle has twice, in other letters, one."""
    named = sorted(
        path.name for path in root.iterdir() if path.is_dir() and path.name.lower().startswith("ham10000_im")
    )
    once = {name.lower(): name for name in reversed(named)}
    return sorted(once.values()) or ["."]


def open_dermofit(root: Path) -> Source:
    """Find the DermoFit image library: ten diagnoses.

    ::

        AK/A1/A1.png, AK/A1/A1mask.png, …      1,300 images: AK 45, ALLMOLE 331, BCC 239, DF 65, IEC 78, MEL 76, PYO 24,
        ALLMOLE, BCC, DF, IEC, MEL, …          SCC 88, SK 257, VASC 97

    The folders carry the names of the archives as distributed; masks are passed over. There is no official split: a
    fifth of the images, stratified, is held out as the test set.
    Source: https://licensing.edinburgh-innovations.ed.ac.uk/product/dermofit-image-library, under a licence of its own.
    Cite: Ballerini et al., "A Color and Texture Based Hierarchical K-NN Approach to the Classification of Non-melanoma
    Skin Lesions", Color Medical Image Analysis (2013).

    Raises:
        DataError: A folder is missing or holds no image.
    """
    names = tuple(DERMOFIT_CLASSES)
    ids: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(names):
        folder = root / name
        if not folder.is_dir():
            raise DataError(
                f"{folder} is missing: DermoFit's {DERMOFIT_CLASSES[name]} images. Unpack its archive there; {LAYOUT}."
            )
        files = (path.relative_to(root) for path in folder.rglob("*"))
        found = sorted(path.as_posix() for path in files if _is_dermofit_image(path))
        refuse_other_encodings(str(root / name) for name in found)
        if not found:
            raise DataError(
                f"{folder} holds no image: DermoFit's {DERMOFIT_CLASSES[name]} images belong there; {LAYOUT}."
            )
        ids += found
        labels += [label] * len(found)
    samples = FileSamples(root, ids, np.array(labels, dtype=np.int64), ids[0])
    train, test = held_out_fifth(samples, names)
    return Source(names, train=train, test=test, test_is=HELD_OUT)


def _is_dermofit_image(path: Path) -> bool:
    """Return whether a file is one; `path` is relative to the data set's folder."""
    is_image = path.suffix.lower() in IMAGE_ENDINGS and not path.stem.endswith("mask")
    return is_image and not any(map(is_litter, path.parts))


def _first_of(root: Path, *names: str) -> Path:
    """Return the first path that exists, or the first."""
    return next((root / name for name in names if (root / name).is_file()), root / names[0])
