"""A data_dir in object storage: each data set is fetched once to a machine, and decoded as if it lay in a folder."""

from __future__ import annotations

import shutil
import threading
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from s3_server import proxy_before

from orchestrator.data import Cache, FetchedDir, decode_dataset, download_dataset, fetched, load_dataset, root_of
from orchestrator.errors import DataError
from orchestrator.objects import Address, BucketObjects, Found

pytest.importorskip("obstore", reason="obstore is not installed: pip install zetasweep[objects]")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of images, two classes of six, all different."""
    from PIL import Image

    for label in ("cat", "dog é#1"):
        (tmp_path / "data" / "pets" / label).mkdir(parents=True)
        for number in range(6):
            pixels = np.random.default_rng([number, len(label)]).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / "pets" / label / f"{number}.png")
    return tmp_path / "data"


def uploaded(folder: Path, bucket: Address) -> BucketObjects:
    objects = BucketObjects(bucket, named="data_dir", patience_s=5)
    for path in folder.rglob("*.png"):
        objects.put(path.relative_to(folder).as_posix(), path)
    return objects


@pytest.fixture(autouse=True)
def _another_process() -> None:
    """What an earlier test looked at is looked at anew."""
    fetched._looked_at.clear()


def test_a_data_set_in_a_bucket_is_the_one_in_the_folder(images: Path, bucket: Address, tmp_path: Path) -> None:
    uploaded(images, bucket)
    there = FetchedDir(bucket.as_here(), tmp_path / "machine")
    cache = Cache(tmp_path / "machine")
    found = load_dataset("image_folder", there, path="pets", image_size=8, cache=cache)
    expected = load_dataset("image_folder", images, path="pets", image_size=8, cache=Cache(tmp_path / "cache"))
    assert found.split_hash == expected.split_hash
    assert found.class_names == expected.class_names
    assert np.array_equal(found.images, expected.images)
    assert there.as_uri() == str(bucket)


def test_it_is_fetched_once_and_what_has_changed_again(
    images: Path, bucket: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects, taken = uploaded(images, bucket), []
    whole = BucketObjects.fetch

    def fetch(self: BucketObjects, name: str, path: Path, *, unless: str | None = None) -> str | None:
        taken.append(name)
        return whole(self, name, path, unless=unless)

    monkeypatch.setattr(BucketObjects, "fetch", fetch)
    there = FetchedDir(bucket.as_here(), tmp_path / "machine")
    root = root_of("image_folder", there, "pets")
    assert len(taken) == 12
    assert sorted(path.name for path in root.iterdir()) == ["cat", "dog é#1"]
    first = Cache(tmp_path / "machine")
    decode_dataset("image_folder", there, path="pets", image_size=8, cache=first)
    assert len(taken) == 12, "this process has looked"
    fetched._looked_at.clear()
    root_of("image_folder", there, "pets")
    assert len(taken) == 12, "another one finds it here"

    objects.put("pets/cat/0.png", images / "pets" / "cat" / "1.png")
    objects.put("pets/cat/9.png", images / "pets" / "cat" / "0.png")
    objects.delete(["pets/cat/5.png"])
    (root / "cat" / "2.png").write_bytes(b"half")
    fetched._looked_at.clear()
    root_of("image_folder", there, "pets")
    assert sorted(taken[12:]) == ["pets/cat/0.png", "pets/cat/2.png", "pets/cat/9.png"]
    assert not (root / "cat" / "5.png").exists()


def test_two_machines_know_the_decoded_images_by_the_same_time(images: Path, bucket: Address, tmp_path: Path) -> None:
    uploaded(images, bucket)
    times = []
    for name in ("one", "other"):
        root = root_of("image_folder", FetchedDir(bucket.as_here(), tmp_path / name), "pets")
        times.append({path.name: path.stat().st_mtime_ns for path in root.rglob("*.png")})
    assert times[0] == times[1]


def test_of_many_processes_one_fetches_and_the_others_give_signs_of_life(
    images: Path, bucket: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploaded(images, bucket)
    there, signs, taken, whole = FetchedDir(bucket.as_here(), tmp_path / "machine"), [], [], BucketObjects.fetch

    def fetch(self: BucketObjects, name: str, path: Path, *, unless: str | None = None) -> str | None:
        taken.append(name)
        return whole(self, name, path, unless=unless)

    monkeypatch.setattr(BucketObjects, "fetch", fetch)
    # Threads stand for processes: each has a lock of its own.
    threads = [threading.Thread(target=fetched._fetch, args=(there, "pets", lambda: signs.append(1))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 12
    assert signs


@pytest.mark.parametrize("is_here", [False, True], ids=["to be fetched", "here already"])
def test_a_long_listing_gives_signs_of_life_to_those_that_wait_and_is_not_made_by_each(
    images: Path, bucket: Address, s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_here: bool
) -> None:
    uploaded(images, bucket)
    signs: dict[int, list[float]] = {number: [] for number in range(4)}
    listed, whole = [], BucketObjects.list

    def count(self: BucketObjects, below: str = "") -> list[Found]:
        listed.append(below)
        return whole(self, below)

    with proxy_before(s3) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        there = FetchedDir(bucket.as_here(), tmp_path / "machine")
        if is_here:
            fetched._fetch(there, "pets", lambda: None)
        monkeypatch.setattr(BucketObjects, "list", count)
        proxy.delay_s = 3.0
        threads = [
            threading.Thread(target=fetched._fetch, args=(there, "pets", lambda n=n: signs[n].append(time.monotonic())))
            for n in signs
        ]
        began_at = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(listed) <= 2, "who asked before another began to look needs no look of its own"
    for times in signs.values():
        assert max(later - earlier for earlier, later in pairwise([began_at, *times])) < 2.9, "also during a request"


def test_what_is_removed_while_it_is_fetched_is_said(
    images: Path, bucket: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects, whole = uploaded(images, bucket), BucketObjects.fetch

    def fetch(self: BucketObjects, name: str, path: Path, *, unless: str | None = None) -> str | None:
        objects.delete(["pets/cat/3.png"])
        return whole(self, name, path, unless=unless)

    monkeypatch.setattr(BucketObjects, "fetch", fetch)
    there = FetchedDir(bucket.as_here(), tmp_path / "machine")
    with pytest.raises(DataError, match=r"pets/cat/3\.png was removed there while pets was fetched") as caught:
        root_of("image_folder", there, "pets")
    assert "same command again" in caught.value.remedy
    assert len(list(root_of("image_folder", there, "pets").rglob("*.png"))) == 11


def test_who_is_cut_off_has_noted_what_is_here(
    images: Path, bucket: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploaded(images, bucket)
    whole, taken = BucketObjects.fetch, []

    def fetch(self: BucketObjects, name: str, path: Path, *, unless: str | None = None) -> str | None:
        taken.append(name)
        if len(taken) == 9:
            raise OSError(5, "cut off")
        return whole(self, name, path, unless=unless)

    for name, value in (("AT_A_TIME", 1), ("SUBMITTED", 2), ("NOTE_EVERY_S", 0.0)):
        monkeypatch.setattr(fetched, name, value)
    monkeypatch.setattr(BucketObjects, "fetch", fetch)
    there = FetchedDir(bucket.as_here(), tmp_path / "machine")
    with pytest.raises(DataError, match="cut off"):
        root_of("image_folder", there, "pets")
    assert 9 <= len(taken) <= 10, "no more is begun than may be under way"
    (note,) = there.root.glob(".*.json")
    assert len(note.read_text().splitlines()) == 9, "a line for what was here, and one for each that came"
    with note.open("a") as file:
        file.write('{"pets/')
    begun = len(taken)
    root_of("image_folder", there, "pets")
    assert len(taken) - begun == 4
    fetched._looked_at.clear()
    root_of("image_folder", there, "pets")
    assert len(taken) - begun == 4


def test_what_cannot_fit_is_said_before_anything_is_fetched(
    images: Path, bucket: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploaded(images, bucket)
    there = FetchedDir(bucket.as_here(), tmp_path / "machine")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**6, 10**6 - 100, 100))
    monkeypatch.setattr(BucketObjects, "fetch", lambda *_, **__: pytest.fail("it is fetched"))
    with pytest.raises(DataError, match=rf"of pets .* kB are to be fetched to {there.root}, which has 100 bytes left"):
        root_of("image_folder", there, "pets")


def test_a_file_is_fetched_by_its_name_and_folders_are_no_files(bucket: Address, tmp_path: Path) -> None:
    objects = BucketObjects(bucket, named="data_dir", patience_s=5)
    objects.put("own/set.npz", b"arrays")
    objects.put("own/set.npz.old", b"others")
    there = FetchedDir(bucket.as_here(), tmp_path / "machine")
    assert there.fetched("own/set.npz").read_bytes() == b"arrays"
    assert not (there.root / "own" / "set.npz.old").exists()
    found = [Found("a", 0, "1"), Found("a/b", 0, "2"), Found("a/b/c.png", 3, "3")]

    class Listed:
        def list(self, below: str = "") -> list[Found]:
            return found if below == "a" else []

    assert fetched._listed(Listed(), "a", lambda: None) == [found[2]]  # type: ignore[arg-type]


def test_what_is_not_there_is_named(bucket: Address, tmp_path: Path) -> None:
    BucketObjects(bucket, named="data_dir").put("pets/1.png", b"")
    there = FetchedDir(bucket.as_here(), tmp_path / "machine")
    with pytest.raises(DataError, match="there is no birds"):
        root_of("image_folder", there, "birds")
    with pytest.raises(DataError, match="there is no cifar10"):
        root_of("cifar10", there, None)
    assert root_of("digits", there, None), "it lies in no file"


def test_trouble_with_the_server_is_said_as_for_storage(
    images: Path, bucket: Address, s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploaded(images, bucket)
    with proxy_before(s3) as proxy:
        proxy.denies = True
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        there = FetchedDir(bucket.as_here(), tmp_path / "machine")
        with pytest.raises(DataError) as caught:
            root_of("image_folder", there, "pets")
        proxy.denies, proxy.share = False, 1.0
        monkeypatch.setattr(fetched, "PATIENCE_S", 0.0)
        with pytest.raises(DataError) as silent:
            root_of("image_folder", there, "pets")
    assert str(caught.value).startswith(f"data_dir = {bucket}: no permission")
    assert "list, read" in caught.value.remedy
    assert not caught.value.can_pass
    assert silent.value.can_pass, "a training waits for it"


def test_no_room_is_said(images: Path, bucket: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uploaded(images, bucket)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(BucketObjects, "fetch", full)
    with pytest.raises(DataError, match="No space left on device") as caught:
        root_of("image_folder", FetchedDir(bucket.as_here(), tmp_path / "machine"), "pets")
    assert "cache.dir" in caught.value.remedy


def test_nothing_is_downloaded_into_a_bucket(bucket: Address, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not downloaded to object storage"):
        download_dataset("mnist", FetchedDir(bucket, tmp_path))


def test_a_class_that_has_another_name_now_leaves_no_empty_folder(
    images: Path, bucket: Address, tmp_path: Path
) -> None:
    objects = uploaded(images, bucket)
    there = FetchedDir(bucket.as_here(), tmp_path / "machine")
    root = root_of("image_folder", there, "pets")
    for image in (images / "pets" / "cat").iterdir():
        objects.put(f"pets/kitten/{image.name}", image)
    objects.delete([f"pets/cat/{image.name}" for image in (images / "pets" / "cat").iterdir()])
    fetched._looked_at.clear()
    assert root_of("image_folder", there, "pets") == root
    assert sorted(path.name for path in root.iterdir()) == ["dog é#1", "kitten"]
