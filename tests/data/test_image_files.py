"""Image files as people have them: deep, damaged, with names of other systems and among what these leave behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torchvision.datasets
from commands import ROOT
from file_depths import DEEP, SHALLOW, SIDE, png
from file_sets import write_eurosat, write_imagenette
from lesion_sets import write_dermofit, write_ham10000, write_isic2016, write_isic2018
from PIL import Image
from small_sets import write_image_folder
from torchvision.transforms import v2

from orchestrator.data import DATASETS, check_dataset, load_dataset, open_dataset
from orchestrator.data.decode import decode_into
from orchestrator.data.image_files import bits_per_channel
from orchestrator.errors import NAMED, DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_image_folder(tmp_path / "mine")


def load(root: Path) -> None:
    load_dataset("image_folder", root.parent, path=root.name, image_size=8)


@pytest.mark.parametrize("name", DEEP)
def test_what_is_deeper_than_eight_bits_is_refused_by_the_depth_of_its_file(root: Path, name: str) -> None:
    """Pillow narrows most of these to 8 bits before it says anything of them."""
    content, bits = DEEP[name]
    victim = root / "test" / "ant" / name
    victim.write_bytes(content)
    with pytest.raises(DataError, match=rf"{victim} has {bits} bits per channel; .*\n  remedy:  Convert it"):
        load(root)


@pytest.mark.parametrize("name", SHALLOW)
def test_what_has_eight_bits_or_fewer_is_read(root: Path, name: str) -> None:
    victim = root / "test" / "ant" / name
    victim.write_bytes(SHALLOW[name])
    load(root)
    with Image.open(victim) as image:
        assert bits_per_channel(image) == 8


@pytest.mark.parametrize("ending", ["bmp", "gif", "jpg", "png", "ppm", "tiff", "webp"])
def test_what_pillow_writes_itself_is_read(root: Path, ending: str) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    Image.fromarray(colours).save(root / "test" / "ant" / f"a.{ending}")
    load(root)


def test_all_images_that_cannot_be_read_are_named_at_once(root: Path) -> None:
    victims = [root / split / "bee" / f"00{number}.png" for split in ("train", "test") for number in (2, 7)]
    for victim in victims:
        victim.write_bytes(b"not an image")
    (root / "test" / "ant" / "deep.png").write_bytes(DEEP["colour 16.png"][0])
    with pytest.raises(DataError) as raised:
        load(root)
    assert str(raised.value).startswith(f"5 images cannot be used: {victims[0]} cannot be read as an image")
    assert raised.value.in_one_line.startswith(f"5 images cannot be used: {victims[0]} cannot be read as an image")
    for path in (*victims, root / "test" / "ant" / "deep.png"):
        assert str(path) in str(raised.value)
    assert str(raised.value).count("Replace it or remove it") == 1
    assert "Convert it" in str(raised.value)


def test_processes_name_all_of_them_too(root: Path, tmp_path: Path) -> None:
    victims = [root / split / "bee" / "003.png" for split in ("train", "test")]
    for victim in victims:
        victim.write_bytes(b"not an image")
    source = open_dataset("image_folder", root.parent, path=root.name)
    images = tmp_path / "images.npy"
    count = sum(len(samples.labels) for samples in source.parts.values())
    np.save(images, np.zeros((count, 3, 8, 8), dtype=np.uint8))
    with pytest.raises(DataError, match="2 images cannot be used") as raised:
        decode_into(images, source, 8, processes=2)
    assert [part.args[0].partition(" ")[0] for part in raised.value.parts] == [*map(str, victims)]


def test_of_many_the_first_are_named_and_the_others_counted(root: Path) -> None:
    num = NAMED + 5
    for number in range(num):
        (root / "test" / "ant" / f"x{number:03}.png").write_bytes(b"not an image")
    with pytest.raises(DataError, match=rf"{num} images cannot be used: .*x000\.png") as raised:
        load(root)
    assert "x019.png" in str(raised.value)
    assert "x020.png" not in str(raised.value)
    assert "  and 5 more: zetasweep data check names all\n" in str(raised.value)
    assert len(raised.value.parts) == num


def test_all_that_does_not_belong_is_named_at_once(root: Path) -> None:
    strays = [root / "train" / "notes.txt", root / "train" / "ant" / "a.doc", root / "test" / "bee" / "b.doc"]
    for path in strays:
        path.write_text("x")
    (root / "test" / "bee" / "folder").mkdir()
    empty = root / "train" / "wasp"
    empty.mkdir()
    with pytest.raises(DataError, match=r"5 things in .* are not as they should be") as raised:
        check_dataset("image_folder", root.parent, path=root.name)
    for path in (*strays, root / "test" / "bee" / "folder", empty):
        assert f" {path} " in str(raised.value)


LITTER = ("Thumbs.db", "desktop.ini", ".DS_Store", "._000.jpg", "._ISIC_0000000.jpg", ".ipynb_checkpoints/a.jpg")
SETS: dict[str, tuple[Callable[[Path], object], str]] = {
    "image_folder": (write_image_folder, "train/ant"),
    "isic2016": (write_isic2016, "ISBI2016_ISIC_Part3_Training_Data"),
    "isic2018": (write_isic2018, "ISIC2018_Task3_Training_Input"),
    "ham10000": (write_ham10000, "HAM10000_images_part_1"),
    "dermofit": (write_dermofit, "MEL"),
    "eurosat": (write_eurosat, "eurosat/2750/Forest"),
    "imagenette": (write_imagenette, "imagenette2-320/train/n01440764"),
}


@pytest.mark.parametrize("name", SETS)
def test_what_systems_and_editors_leave_behind_is_passed_over(name: str, tmp_path: Path) -> None:
    write, folder = SETS[name]
    write(tmp_path / name)
    path = name if DATASETS[name].path_option else None
    before = load_dataset(name, tmp_path, path=path, image_size=8)
    for litter in LITTER:
        for place in (tmp_path / name, (tmp_path / name / folder).parent, tmp_path / name / folder):
            (place / litter).parent.mkdir(exist_ok=True)
            (place / litter).write_bytes(b"x")
    assert load_dataset(name, tmp_path, path=path, image_size=8).split_hash == before.split_hash


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX alone")
def test_names_that_are_not_utf8_are_refused_with_what_renames_them(root: Path) -> None:
    folder = os.fsencode(root / "train" / "ant")
    for name in (b"r\x82sum\x82.png", b"gr\x81n.png"):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(png(2, 8, 3))
    with pytest.raises(DataError, match=r"2 things in .* are not as they should be") as raised:
        check_dataset("image_folder", root.parent, path=root.name)
    text = str(raised.value)
    text.encode()
    assert f"{root / 'train' / 'ant'}/r\\x82sum\\x82.png" in text
    assert "convmv -r -f cp850 -t utf8" in text


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX alone")
@pytest.mark.parametrize("place", ["train", "."])
def test_class_folders_that_are_not_utf8_are_refused(root: Path, place: str) -> None:
    os.mkdir(os.path.join(os.fsencode(root / place), b"caf\xe9"))
    with pytest.raises(DataError, match=re.escape(r"caf\xe9: its name is not UTF-8")):
        check_dataset("image_folder", root.parent, path=root.name)


def test_classes_that_differ_in_composition_alone_are_told_so(root: Path) -> None:
    for split, name in (("train", "caf\u00e9"), ("test", "cafe\u0301")):
        (root / split / "bee").rename(root / split / name)
    with pytest.raises(DataError, match=r"caf\u00e9 looks the same in train and test, but is not: .*NFC.*NFD"):
        check_dataset("image_folder", root.parent, path=root.name)


def test_eurosat_lists_its_files_as_torchvision_does(tmp_path: Path) -> None:
    write_eurosat(tmp_path / "eurosat")
    source = open_dataset("eurosat", tmp_path)
    expected = torchvision.datasets.EuroSAT(tmp_path / "eurosat", loader=str)
    found = {
        name: int(label) for part in source.parts.values() for name, label in zip(part.ids, part.labels, strict=True)
    }
    assert found == {str(Path(path).relative_to(tmp_path / "eurosat")): label for path, label in expected.samples}


@pytest.mark.parametrize("shape", [(2, 600), (600, 2), (3, 100), (5, 81)])
def test_of_very_long_images_the_centre_is_what_torchvision_makes_of_it(root: Path, shape: tuple[int, int]) -> None:
    image = Image.fromarray(np.random.default_rng(3).integers(0, 256, (*shape, 3), dtype=np.uint8))
    image.save(root / "test" / "ant" / "000.png")
    expected = np.asarray(v2.CenterCrop(16)(v2.Resize(16, antialias=True)(image)))
    dataset = load_dataset("image_folder", root.parent, path=root.name, image_size=16)
    actual = dataset.images[dataset.test.rows[0]].permute(1, 2, 0).numpy()
    # To one grey level: a position is rounded otherwise.
    np.testing.assert_allclose(actual.astype(int), expected.astype(int), atol=1)


PEAK = """
import resource, sys
from pathlib import Path
import numpy as np
from orchestrator.data.image_files import FileSamples
samples = FileSamples(Path(sys.argv[1]), ["long.png", "square.png"], np.zeros(2, dtype=np.int64), "square.png")
samples.read(np.array([1]), 224)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
samples.read(np.array([0]), 224)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_very_long_image_takes_no_memory(tmp_path: Path) -> None:
    Image.new("RGB", (2, 6000), "red").save(tmp_path / "long.png")
    Image.new("RGB", (300, 300), "red").save(tmp_path / "square.png")
    answer = subprocess.run(
        [sys.executable, "-c", PEAK, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert int(answer.stdout) < 20_000, "kilobytes"
