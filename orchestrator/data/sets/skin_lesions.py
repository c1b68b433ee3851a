"""Skin lesions: ISIC 2016, 2017 and 2018 as downloaded from the ISIC archive, and DermoFit as distributed.

Images stay in the files they come in, in folders next to tables of labels. Lesions are photographed at many sizes:
``dataset.image_size`` says what they are resized to.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from orchestrator.amounts import counted
from orchestrator.data.dataset import Source
from orchestrator.data.sets.image_folder import EXTENSIONS, FileSamples
from orchestrator.data.splits import group_holdout
from orchestrator.errors import DataError

TEST_FRACTION = 0.2

ISIC2016_CLASSES = ("benign", "malignant")
ISIC2017_CLASSES = ("nevus", "melanoma", "seborrheic_keratosis")
ISIC2018_CLASSES = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
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

_LAYOUT = "docs/data-sets.md shows the layout"


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
        labels: dict[str, int] = {}
        for number, row in enumerate(_lines(table), start=1):
            if len(row) != 2 or row[1].strip() not in meanings:
                raise DataError(f"{table}:{number}: {','.join(row)!r} is not IMAGE,benign or IMAGE,malignant.")
            labels[_new_id(labels, row[0], table)] = meanings[row[1].strip()]
        return _samples(root, f"ISBI2016_ISIC_Part3_{name}_Data", labels, ISIC2016_CLASSES, table)

    return Source(ISIC2016_CLASSES, train=split("Training"), test=split("Test"))


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
        labels = _one_hot_labels(table, "image_id", ISIC2017_CLASSES[1:], otherwise=0)
        return _samples(root, f"ISIC-2017_{name}_Data", labels, ISIC2017_CLASSES, table)

    return Source(ISIC2017_CLASSES, train=split("Training"), val=split("Validation"), test=split("Test_v2"))


def open_isic2018(root: Path) -> Source:
    """Find the ISIC 2018 challenge, task 3, whose training images are HAM10000: seven diagnoses.

    ::

        ISIC2018_Task3_Training_Input/ISIC_*.jpg                      10,015 images: MEL 1,113, NV 6,705, BCC 514,
        ISIC2018_Task3_Training_GroundTruth/                          AKIEC 327, BKL 1,099, DF 115, VASC 142
            ISIC2018_Task3_Training_GroundTruth.csv                   image,MEL,NV,BCC,AKIEC,BKL,DF,VASC
        ISIC2018_Task3_Training_LesionGroupings.csv                   image,lesion_id,…; or HAM10000_metadata.csv
        ISIC2018_Task3_Validation_Input, …_Validation_GroundTruth     193 images; used if there
        ISIC2018_Task3_Test_Input, …_Test_GroundTruth                 1,512 images; used if there

    A table may also lie in `root` itself. Where the test images and their labels are missing, a fifth of the training
    images is held out as the test set. Images of one lesion (``lesion_id``) are kept together wherever images are
    split; without a table of lesions every image counts as a lesion of its own.
    Source: https://challenge.isic-archive.com/data/#2018, licence CC-BY-NC 4.0. Cite: Tschandl, Rosendahl, Kittler,
    "The HAM10000 dataset", Scientific Data 5 (2018); Codella et al., arXiv 1902.03368 (2019).

    Raises:
        DataError: A file is missing, a table is not as above, or images and tables do not agree.
    """

    def split(name: str, groups: dict[str, str]) -> FileSamples:
        stem = f"ISIC2018_Task3_{name}_GroundTruth"
        table = _first_of(root, f"{stem}/{stem}.csv", f"{stem}.csv")
        labels = _one_hot_labels(table, "image", ISIC2018_CLASSES)
        return _samples(root, f"ISIC2018_Task3_{name}_Input", labels, ISIC2018_CLASSES, table, groups)

    def ships(name: str) -> bool:
        stem = f"ISIC2018_Task3_{name}_GroundTruth"
        return (root / stem).is_dir() or (root / f"{stem}.csv").is_file()

    train = split("Training", _lesions(root))
    val = split("Validation", {}) if ships("Validation") else None
    if ships("Test"):
        return Source(ISIC2018_CLASSES, train=train, val=val, test=split("Test", {}))
    kept, held_out = group_holdout(
        train.ids, train.labels, train.groups, ISIC2018_CLASSES, fraction=TEST_FRACTION, salt="test"
    )
    return Source(ISIC2018_CLASSES, train=train.part(kept), val=val, test=train.part(held_out))


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
                f"{folder} is missing: DermoFit's {DERMOFIT_CLASSES[name]} images. Unpack its archive there; {_LAYOUT}."
            )
        found = sorted(path.relative_to(root).as_posix() for path in folder.rglob("*") if _is_dermofit_image(path))
        if not found:
            raise DataError(
                f"{folder} holds no image: DermoFit's {DERMOFIT_CLASSES[name]} images belong there; {_LAYOUT}."
            )
        ids += found
        labels += [label] * len(found)
    samples = FileSamples(root, ids, np.array(labels, dtype=np.int64), ids[0])
    kept, held_out = group_holdout(ids, samples.labels, None, names, fraction=TEST_FRACTION, salt="test")
    return Source(names, train=samples.part(kept), test=samples.part(held_out))


def _is_dermofit_image(path: Path) -> bool:
    return path.suffix.lower() in EXTENSIONS and not path.stem.endswith("mask") and not path.name.startswith(".")


def _lines(table: Path) -> list[list[str]]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise DataError(
            f"{table} cannot be read: {reason}. It comes with the images; put it there; {_LAYOUT}."
        ) from error
    if not rows:
        raise DataError(f"{table} is empty. Download it again.")
    return rows


def _columns(table: Path, wanted: Sequence[str]) -> Iterable[list[str]]:
    """Yield the values of the columns `wanted` of every row below the header."""
    header, *rows = _lines(table)
    missing = [name for name in wanted if name not in header]
    if missing:
        raise DataError(
            f"{table} has no column {missing[0]!r}: its columns are {', '.join(header)}. Download the table again."
        )
    places = [header.index(name) for name in wanted]
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise DataError(f"{table}:{number} has {len(row)} values in {len(header)} columns. Download it again.")
        yield [row[place].strip() for place in places]


def _one_hot_labels(
    table: Path, id_column: str, classes: Sequence[str], *, otherwise: int | None = None
) -> dict[str, int]:
    """Return the label of each image of a table with one column per class.

    Args:
        table: A CSV file with a header.
        id_column: The column that names the image.
        classes: The columns, in the order of the labels.
        otherwise: The label of a row without a 1; the columns' labels then begin after it. None: there is no such row.
    """
    first = 0 if otherwise is None else 1
    labels: dict[str, int] = {}
    for name, *values in _columns(table, [id_column, *classes]):
        try:
            numbers = [float(value) for value in values]
        except ValueError:
            raise DataError(f"{table}: {name} has {', '.join(values)} where 0 and 1 are expected.") from None
        if sorted(numbers) == [0.0] * (len(numbers) - 1) + [1.0]:
            label = first + numbers.index(1.0)
        elif otherwise is not None and not any(numbers):
            label = otherwise
        else:
            raise DataError(f"{table}: {name} has {', '.join(values)}: exactly one class is expected.")
        labels[_new_id(labels, name, table)] = label
    return labels


def _new_id(labels: dict[str, int], name: str, table: Path) -> str:
    name = name.strip()
    if name in labels:
        raise DataError(f"{table}: {name} stands there twice. Remove one of the rows.")
    return name


def _samples(
    root: Path,
    folder: str,
    labels: dict[str, int],
    classes: Sequence[str],
    table: Path,
    groups: dict[str, str] | None = None,
) -> FileSamples:
    """Return the images of `folder` that `labels` name, in the order of their names.

    Raises:
        DataError: An image has no label, a label no image, or a class no image.
    """
    try:
        files = sorted(path.name for path in (root / folder).iterdir() if path.suffix.lower() in (".jpg", ".jpeg"))
    except OSError as error:
        raise DataError(
            f"{root / folder} cannot be listed: {error.strerror}. Put the images there; {_LAYOUT}."
        ) from error
    by_id = {name.rpartition(".")[0]: name for name in files}
    if lost := sorted(labels.keys() - by_id.keys()):
        raise DataError(
            f"{table} names {lost[0]}, but {root / folder} has no such image ({len(lost)} of {len(labels)} are "
            "missing). Unpack the images again.",
            details=lost,
        )
    if unknown := sorted(by_id.keys() - labels.keys()):
        raise DataError(
            f"{root / folder / by_id[unknown[0]]} has no label in {table} ({counted(len(unknown), 'image')} without "
            "one). Remove them, or download the table again.",
            details=[f"{folder}/{by_id[name]}" for name in unknown],
        )
    counts = np.bincount(list(labels.values()), minlength=len(classes))
    if counts.min() == 0:
        raise DataError(f"{table} has no image of class {classes[int(counts.argmin())]!r}. Download it again.")
    names = sorted(by_id)
    return FileSamples(
        root,
        [f"{folder}/{by_id[name]}" for name in names],
        np.array([labels[name] for name in names], dtype=np.int64),
        f"{folder}/{by_id[names[0]]}",
        groups=[groups.get(name, name) for name in names] if groups else None,
    )


def _lesions(root: Path) -> dict[str, str]:
    """Return the lesion that each image shows; empty if no table says so."""
    id_columns = {
        "ISIC2018_Task3_Training_LesionGroupings.csv": "image",
        "HAM10000_metadata.csv": "image_id",
        "HAM10000_metadata": "image_id",
    }
    for name, id_column in id_columns.items():
        if (root / name).is_file():
            return {image: lesion for image, lesion in _columns(root / name, [id_column, "lesion_id"])}  # noqa: C416
    return {}


def _first_of(root: Path, *names: str) -> Path:
    """Return the first path that exists, or the first."""
    return next((root / name for name in names if (root / name).is_file()), root / names[0])
