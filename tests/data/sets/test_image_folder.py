from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_sets import write_image_folder
from torch import Tensor
from torchvision.transforms import v2

from orchestrator.data import Dataset, check_dataset, load_dataset
from orchestrator.errors import DataError


def load(root: Path, *, image_size: int | None = None, num_train: int | None = None) -> Dataset:
    return load_dataset("image_folder", root.parent, path=root.name, image_size=image_size, num_train=num_train)


def check(root: Path) -> None:
    check_dataset("image_folder", root.parent, path=root.name)


def images_of_test(dataset: Dataset) -> Tensor:
    return dataset.images[dataset.test.rows]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_image_folder(tmp_path / "mine")


def test_classes_are_sorted_and_samples_in_the_order_of_their_paths(root: Path) -> None:
    dataset = load(root)
    assert dataset.class_names == ("ant", "bee")
    files = sorted((root / "test").rglob("*.png"))
    assert dataset.test.labels.tolist() == [("ant", "bee").index(file.parent.name) for file in files]
    for image, file in zip(dataset.images[dataset.test.rows], files, strict=True):
        np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), np.asarray(Image.open(file)))


def test_its_own_validation_folder_wins(root: Path) -> None:
    write_image_folder(root, splits=("val",), num=3)
    dataset = load(root, num_train=8)
    assert (len(dataset.train), len(dataset.val)) == (8, 6)
    expected = np.asarray(Image.open(root / "val" / "ant" / "000.png"))
    np.testing.assert_array_equal(dataset.images[dataset.val.rows][0].permute(1, 2, 0).numpy(), expected)


def test_the_split_does_not_depend_on_where_the_folder_lies(root: Path) -> None:
    before = load(root).split_hash
    assert load(root.rename(root.with_name("moved"))).split_hash == before


@pytest.mark.parametrize("damage", ["truncated", "text", "empty", "broken header"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_corrupt_file_is_named(root: Path, damage: str, split: str) -> None:
    victim = root / split / "ant" / "004.png"
    whole = victim.read_bytes()
    contents = {
        "truncated": whole[: len(whole) // 2],
        "text": b"not an image",
        "empty": b"",
        "broken header": whole[:20] + b"\xff" * 20 + whole[40:],
    }
    victim.write_bytes(contents[damage])
    check(root)  # looks at no pixel
    with pytest.raises(DataError, match=str(victim)):
        load(root)
    with pytest.raises(DataError, match=str(victim)):
        load(root, image_size=8)


def test_a_corrupt_first_file_is_named(root: Path) -> None:
    (root / "train" / "ant" / "000.png").write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"train/ant/000\.png cannot be read"):
        load(root)


def test_the_first_corrupt_file_is_named(root: Path) -> None:
    for number in (9, 2):
        (root / "test" / "bee" / f"{number:03}.png").write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"test/bee/002\.png"):
        load(root, image_size=8)


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("L", 100, (100, 100, 100)),
        ("1", 1, (255, 255, 255)),
        ("P", 0, (0, 0, 0)),
        ("RGBA", (10, 20, 30, 0), (10, 20, 30)),
        ("LA", (7, 128), (7, 7, 7)),
    ],
)
def test_other_modes_become_rgb(
    root: Path, mode: str, colour: int | tuple[int, ...], expected: tuple[int, int, int]
) -> None:
    Image.new(mode, (12, 12), colour).save(root / "test" / "ant" / "000.png")
    assert images_of_test(load(root))[0, :, 5, 5].tolist() == list(expected)


def test_cmyk_photographs_become_rgb(root: Path) -> None:
    victim = root / "test" / "ant" / "000.jpg"
    Image.new("CMYK", (12, 12), (0, 255, 255, 0)).save(victim, quality=100)
    (victim.with_suffix(".png")).unlink()
    red, green, blue = images_of_test(load(root))[0, :, 5, 5].tolist()
    assert red > 250
    assert max(green, blue) < 5


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_more_than_eight_bits_are_refused_not_clipped(root: Path, mode: str) -> None:
    victim = root / "test" / "ant" / "003.tif"
    Image.new(mode, (12, 12), 40_000).save(victim)
    with pytest.raises(DataError, match=rf"{victim}.*8 bits"):
        load(root)


def test_a_file_of_another_size_is_named_unless_a_size_is_asked_for(root: Path) -> None:
    victim = root / "test" / "bee" / "002.png"
    Image.new("RGB", (14, 12)).save(victim)
    with pytest.raises(DataError, match=rf"{victim} is 14x12 pixels, but .*train/ant/000.png is 12x12\.\n.*image_size"):
        load(root)
    assert images_of_test(load(root, image_size=12)).shape == (20, 3, 12, 12)


def test_images_that_are_not_square_need_a_size(root: Path) -> None:
    for file in root.rglob("*.png"):
        Image.new("RGB", (12, 10)).save(file)
    with pytest.raises(DataError, match=r"12x10 pixels, not square\.\n  remedy:  Set dataset\.image_size"):
        load(root)


@pytest.mark.parametrize("shape", [(30, 20), (20, 31), (16, 16), (7, 9), (41, 17)])
def test_resize_and_crop_are_torchvisions(root: Path, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    image = Image.fromarray(rng.integers(0, 256, (*shape, 3), dtype=np.uint8))
    image.save(root / "test" / "ant" / "000.png")
    expected = v2.CenterCrop(16)(v2.Resize(16, antialias=True)(image))
    actual = images_of_test(load(root, image_size=16))[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(actual, np.asarray(expected))


def test_the_centre_is_cut_out(root: Path) -> None:
    bands = np.zeros((8, 24, 3), dtype=np.uint8)
    bands[:, 8:16] = (1, 2, 3)
    Image.fromarray(bands).save(root / "test" / "ant" / "000.png")
    assert images_of_test(load(root, image_size=8))[0].unique().tolist() == [1, 2, 3]


def test_hidden_files_and_folders_are_passed_over(root: Path) -> None:
    before = load(root).split_hash
    for name in (".ipynb_checkpoints", "__MACOSX", "@eaDir"):
        (root / "train" / name / "ant").mkdir(parents=True)
    (root / "train" / "ant" / ".DS_Store").write_bytes(b"x")
    assert load(root).split_hash == before


def test_what_does_not_belong_is_named(root: Path) -> None:
    def refused(path: Path, *words: str) -> None:
        with pytest.raises(DataError) as raised:
            check(root)
        for word in (str(path), *words):
            assert word in str(raised.value)

    stray = root / "train" / "notes.txt"
    stray.write_text("x")
    refused(stray, "class folders")
    stray = stray.rename(root / "train" / "ant" / "notes.txt")
    refused(stray, "not an image file")
    stray.unlink()
    nested = root / "train" / "ant" / "nested.png"
    nested.mkdir()
    refused(nested, "is a folder where an image file is expected", f"Move its images up into {nested.parent}")
    nested.rmdir()
    for link in (root / "train" / "ant" / "dangling.png", root / "train" / "wasp"):
        link.symlink_to(root / "nowhere")
        refused(link, f"is a symbolic link to {root / 'nowhere'}, which is not there.\n  remedy:  Mend or remove it.")
        link.unlink()
    check(root)


@pytest.mark.parametrize("name", ["val", "test", ""])
def test_a_split_on_a_disk_that_is_not_there_is_named(root: Path, name: str) -> None:
    """Without its val, a part of train would be taken instead: another experiment, and nobody told."""
    link = root / name
    if link.exists():
        link.rename(root.parent / "moved")
    link.symlink_to(root.parent / "nowhere")
    with pytest.raises(DataError, match=re.escape(f"{link} is a symbolic link to {root.parent / 'nowhere'}")):
        check(root)


@pytest.mark.parametrize("name", ["valid", "Validation", "dev"])
def test_a_validation_folder_of_another_name_is_not_passed_over(root: Path, name: str) -> None:
    (root / name).mkdir()
    with pytest.raises(DataError, match=f"{name} is not read: .*val.\n  remedy:  Rename it"):
        check(root)


def test_the_classes_of_the_splits_must_agree(root: Path) -> None:
    (root / "test" / "bee").rename(root / "test" / "wasp")
    with pytest.raises(DataError, match="train and test differ in bee, wasp"):
        check(root)
    (root / "test" / "wasp").rename(root / "test" / "bee")
    write_image_folder(root, splits=("val",), classes=("ant",))
    with pytest.raises(DataError, match="train and val differ in bee"):
        check(root)


@pytest.mark.parametrize("splits", [("train", "test"), ("",)])
def test_classes_that_look_the_same_are_refused(tmp_path: Path, splits: tuple[str, ...]) -> None:
    root = write_image_folder(tmp_path / "mine", splits=splits, classes=("caf\u00e9", "cafe\u0301", "tea"))
    with pytest.raises(DataError, match=r"caf\u00e9 looks the same in two folders, but is not: .*NFC.*\n.*convmv"):
        check(root)


def test_empty_and_single_classes_are_refused(tmp_path: Path, root: Path) -> None:
    (root / "train" / "wasp").mkdir()
    with pytest.raises(DataError, match="wasp holds no image"):
        check(root)
    single = write_image_folder(tmp_path / "single", classes=("ant",))
    with pytest.raises(DataError, match="holds 1 class"):
        check(single)


def test_a_class_with_one_image_cannot_be_split(root: Path) -> None:
    for number in range(1, 10):
        (root / "train" / "bee" / f"{number:03}.png").unlink()
    with pytest.raises(DataError, match="class 'bee' has 1 training image"):
        load(root)
    write_image_folder(root, splits=("val",))
    assert len(load(root).train) == 11


def test_the_folder_must_be_given(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"dataset\.folder"):
        check_dataset("image_folder", tmp_path)


def test_real_cifar10_images(real_cifar10: Path) -> None:
    dataset = load(real_cifar10, num_train=500)
    assert dataset.class_names[:3] == ("airplane", "automobile", "bird")
    assert (len(dataset.train), len(dataset.val), len(dataset.test)) == (450, 50, 100)
    # The published statistics of all 50,000 images; 450 of them scatter by about 0.006.
    np.testing.assert_allclose(dataset.mean, (0.4914, 0.4822, 0.4465), atol=0.03)
    np.testing.assert_allclose(dataset.std, (0.2470, 0.2435, 0.2616), atol=0.03)
