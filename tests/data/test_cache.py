from __future__ import annotations

import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import until
from filelock import FileLock
from small_sets import write_image_folder, write_medmnist

from orchestrator.data import Cache, Decoded, Images, Source, decode_dataset, entry, load_dataset
from orchestrator.data.sets.image_folder import open_image_folder
from orchestrator.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_image_folder(tmp_path / "data" / "mine")


@pytest.fixture
def kept(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def load(root: Path, kept: Cache, *, image_size: int | None = None) -> Decoded:
    return decode_dataset("image_folder", root.parent, path=root.name, image_size=image_size, cache=kept)


def never() -> Source:
    raise AssertionError("the images were looked for again")


def reopened(root: Path, kept: Cache, *, image_size: int | None = None) -> Decoded:
    """From the cache alone."""
    return kept.decoded(Images("image_folder", root, image_size), open_source=never)


def is_built_again(root: Path, kept: Cache) -> bool:
    try:
        reopened(root, kept)
    except AssertionError:
        return True
    return False


def test_the_second_time_nothing_is_decoded(root: Path, kept: Cache) -> None:
    first = load(root, kept)
    second = reopened(root, kept)
    assert torch.equal(first.images, second.images)
    np.testing.assert_array_equal(first.pixel_sums, second.pixel_sums)
    assert first.source.class_names == second.source.class_names
    source = open_image_folder(root)
    for part, samples in source.parts.items():
        again = second.source.parts[part]
        assert [*again.ids] == [*samples.ids]
        np.testing.assert_array_equal(again.labels, samples.labels)
        every = np.arange(len(samples.labels))
        assert torch.equal(again.read(every, None), samples.read(every, None))


def test_groups_and_shipped_validation_are_kept(tmp_path: Path, place: Callable[[str], str | None]) -> None:
    for name in ("isic2018", "isic2017"):
        place(name)
        kept = Cache(tmp_path / "cache")
        fresh = load_dataset(name, tmp_path, cache=kept)
        again = load_dataset(name, tmp_path, cache=kept)
        assert fresh.split_hash == again.split_hash
        assert torch.equal(fresh.val.rows, again.val.rows)
    assert len(kept.entries()) == 2


def test_each_size_has_its_entry_and_splits_share_one(root: Path, kept: Cache) -> None:
    load(root, kept)
    load(root, kept, image_size=8)
    for val_fraction, num_train in ((0.1, None), (0.5, None), (0.1, 10)):
        options = {"val_fraction": val_fraction, "num_train": num_train}
        load_dataset("image_folder", root.parent, path="mine", image_size=8, cache=kept, **options)
    assert len(kept.entries()) == 2


@pytest.mark.parametrize("change", ["added", "removed", "renamed", "touched", "decoder"])
def test_a_change_of_the_source_makes_another_entry(
    change: str, root: Path, kept: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(root, kept)
    victim = root / "train" / "ant" / "003.png"
    match change:
        case "added":
            shutil.copy(victim, victim.with_name("zzz.png"))
        case "removed":
            victim.unlink()
        case "renamed":
            victim.rename(victim.with_name("yyy.png"))
        case "touched":
            os.utime(victim, ns=(1, 1))
        case "decoder":
            monkeypatch.setattr(entry, "DECODER_VERSION", 99)
    assert is_built_again(root, kept)
    load(root, kept)
    assert not is_built_again(root, kept)


def test_hidden_files_do_not_matter(root: Path, kept: Cache) -> None:
    load(root, kept)
    (root / ".DS_Store").write_bytes(b"x")
    assert not is_built_again(root, kept)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("file", [entry.IMAGES, entry.INDEX])
@pytest.mark.parametrize("damage", ["flipped", "truncated", "empty", "missing"])
def test_a_damaged_entry_is_found_and_made_again(file: str, damage: str, root: Path, kept: Cache) -> None:
    expected = load(root, kept).images.clone()
    victim = kept.entries()[0].path / file
    match damage:
        case "flipped":
            flip(victim)
        case "truncated":
            victim.write_bytes(victim.read_bytes()[:-5])
        case "empty":
            victim.write_bytes(b"")
        case "missing":
            victim.unlink()
    assert is_built_again(root, kept)
    assert torch.equal(load(root, kept).images, expected)
    assert not is_built_again(root, kept)


def test_damage_is_said_once(root: Path, kept: Cache, caplog: pytest.LogCaptureFixture) -> None:
    load(root, kept)
    flip(kept.entries()[0].path / entry.IMAGES)
    load(root, kept)
    (said,) = caplog.messages
    assert "is damaged and is made again: images.npy does not have the checksum" in said


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("files", "its files have changed"),
        ("options", "the options of the data set are others"),
        ("decoder", "this version of zetasweep decodes otherwise"),
        ("library", "Pillow is 99.0 now and was 98.0"),
        ("earlier", " is of an earlier version of zetasweep, or of other files or libraries"),
        ("size", None),
        ("folder", None),
        ("damage", None),
    ],
)
def test_why_images_are_decoded_again_is_said(
    change: str,
    reason: str | None,
    root: Path,
    kept: Cache,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if change == "library":
        monkeypatch.setattr("orchestrator.data.origin.version", lambda name: {"pillow": "98.0"}.get(name, "1"))
    load(root, kept)
    assert caplog.messages == []
    (before,) = kept.entries()
    match change:
        case "files":
            os.utime(next(root.rglob("*.png")), ns=(1, 1))
        case "library":
            monkeypatch.setattr("orchestrator.data.origin.version", lambda name: {"pillow": "99.0"}.get(name, "1"))
            monkeypatch.setattr(entry, "version", lambda name: {"pillow": "99.0"}.get(name, "1"))
        case "decoder":
            monkeypatch.setattr(entry, "DECODER_VERSION", 99)
        case "earlier":
            (before.path / "origin.json").unlink()
            os.utime(next(root.rglob("*.png")), ns=(1, 1))
        case "folder":
            root = root.rename(root.with_name("moved"))
        case "damage":
            (before.path / entry.INDEX).unlink()
    options = {"options": {"skip_unreadable": True}, "size": {"image_size": 7}}.get(change, {})
    decode_dataset("image_folder", root.parent, path=root.name, cache=kept, **options)
    if change == "damage":
        assert [f"{before.path} is damaged" in line for line in caplog.messages] == [True]
    else:
        said = f"{before.path.name}{reason}" if change == "earlier" else reason
        assert caplog.messages == ([f"image_folder is decoded again: {said}"] if reason is not None else [])
        assert len(kept.entries()) == 2


def test_who_waits_for_the_process_that_decodes_says_so(root: Path, kept: Cache, said: list[str]) -> None:
    kept.dir.mkdir()
    lock = FileLock(kept.dir / f".lock-{kept.path_of(Images('image_folder', root, None)).name}")
    with ThreadPoolExecutor() as pool:
        with lock:
            images = pool.submit(load, root, kept)
            until(lambda: bool(said))
        assert len(images.result().images) > 0
    assert f"waiting for another process, which decodes image_folder into {kept.dir} (" in said[0]


def test_a_failed_build_leaves_nothing(root: Path, kept: Cache) -> None:
    (root / "test" / "bee" / "004.png").write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"test/bee/004\.png"):
        load(root, kept)
    assert not [path for path in kept.dir.iterdir() if not path.name.startswith(".lock")]


def test_the_map_is_shared_and_writing_to_it_changes_no_file(root: Path, kept: Cache) -> None:
    mapped = load(root, kept)
    before = mapped.images.clone()
    mapped.images.zero_()
    assert torch.equal(reopened(root, kept).images, before)


def build(root: Path, kept: Cache, mark: Path) -> None:
    def found() -> Source:
        with mark.open("a") as file:
            file.write("x")
        time.sleep(0.5)
        return open_image_folder(root)

    kept.decoded(Images("image_folder", root, None), open_source=found)


@pytest.mark.slow
def test_of_several_processes_one_builds(root: Path, kept: Cache, tmp_path: Path) -> None:
    mark = tmp_path / "builds"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=build, args=(root, kept, mark)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert mark.read_text() == "x"


KILLED = """
import os, signal, sys
from pathlib import Path
from orchestrator.data import Cache, Images, entry
from orchestrator.data.sets.image_folder import open_image_folder
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
entry._write_index = die
root, kept = Path(sys.argv[1]), Cache(Path(sys.argv[2]))
kept.decoded(Images("image_folder", root, None), open_source=lambda: open_image_folder(root))
"""


def test_a_killed_build_leaves_nothing_half_valid(root: Path, kept: Cache) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED, str(root), str(kept.dir)], check=False)
    assert ended.returncode == -9
    assert [path for path in kept.dir.iterdir() if path.name.startswith(".building")]
    assert not kept.entries()
    load(root, kept)
    assert not [path for path in kept.dir.iterdir() if path.name.startswith(".building")]
    assert not is_built_again(root, kept)


def test_the_next_build_removes_what_killed_ones_left_and_nothing_of_living_ones(root: Path, kept: Cache) -> None:
    killed, living = (f"image_folder-{size}px-{'0' * 16}" for size in (8, 9))
    for name in (killed, living):
        (kept.dir / f".building-{name}").mkdir(parents=True)
    with FileLock(kept.dir / f".lock-{living}"):
        load(root, kept)
        assert [path.name for path in kept.dir.glob(".building*")] == [f".building-{living}"]
        kept.clear()
        assert [path.name for path in kept.dir.glob(".building*")] == [f".building-{living}"]
    kept.clear()
    assert not list(kept.dir.glob(".building*"))


def test_the_least_used_entry_gives_way(root: Path, tmp_path: Path) -> None:
    num_images = 40
    each = num_images * 3 * 64**2
    kept = Cache(tmp_path / "cache", limit_gib=2.5 * each / 2**30)
    paths = []
    for used, size in enumerate((64, 63)):
        load(root, kept, image_size=size)
        path = kept.path_of(Images("image_folder", root, size))
        os.utime(path / entry.INDEX, (used + 1, used + 1))
        paths.append(path)
    reopened(root, kept, image_size=64)  # now 63 is the one not used for longest
    load(root, kept, image_size=62)
    assert {entry.path for entry in kept.entries()} == {paths[0], kept.path_of(Images("image_folder", root, 62))}


def test_an_entry_that_is_made_just_now_gives_way_to_none(root: Path, tmp_path: Path) -> None:
    """It is whole, and its process has yet to read it."""
    for size in (12, 13):
        load(root, Cache(tmp_path / "cache"), image_size=size)
    kept = Cache(tmp_path / "cache")
    first, second = kept.entries()
    with FileLock(kept.dir / f".lock-{first.path.name}"):
        load(root, replace(kept, limit_gib=1.6 * second.size_bytes / 2**30), image_size=11)
    assert first.path.exists()
    assert not second.path.exists()


def test_an_entry_that_goes_as_soon_as_it_is_made_is_said_with_the_limit(
    root: Path, kept: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.data.cache.open_entry", lambda path, **_: shutil.rmtree(path, ignore_errors=True))
    with pytest.raises(DataError, match=r"was removed as soon as it was written\.\n  remedy:  Raise cache\.limit_gib"):
        load(root, kept)


def test_the_limit_that_is_proposed_is_enough(root: Path, kept: Cache) -> None:
    with pytest.raises(DataError) as refused:
        load(root, replace(kept, limit_gib=1e-5))
    assert "cache.limit_gib = 1e-05 (10.7 kB): the decoded images take 17.3 kB.\n  remedy:  Raise" in str(refused.value)
    proposed = re.search(r"Raise cache\.limit_gib to (\S+) or more", str(refused.value))
    assert proposed
    load(root, replace(kept, limit_gib=float(proposed[1])))
    assert len(kept.entries()) == 1


def test_a_full_disk_is_said_and_nothing_stays(root: Path, kept: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(
        DataError,
        match=rf"{kept.dir}: no room.* 17\.3 kB\.\n  remedy:  Free some .*data clear --cache-dir {kept.dir}",
    ):
        load(root, kept)
    assert not [path for path in kept.dir.iterdir() if not path.name.startswith(".lock")]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_disk_that_is_really_full(root: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], check=False).returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        with pytest.raises(DataError, match=r"no room .* they take 7\.9 MB, and 1\.0 MB are free there"):
            load(root, Cache(small), image_size=256)
        assert not [path for path in small.iterdir() if not path.name.startswith(".lock")]
        load(root, Cache(small), image_size=32)
        write_medmnist(tmp_path / "mine.npz", shape=(64, 64, 3))
        with pytest.raises(
            DataError, match=r"they take 553\.5 kB, 589\.8 kB more while they are unpacked, and .* free"
        ):
            decode_dataset("medmnist_npz", tmp_path, path="mine.npz", image_size=62, cache=Cache(small))
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.parametrize("inside", ["", "below", "below/that"])
def test_a_cache_that_is_no_folder_is_named(inside: str, root: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    said = rf"cache\.dir = {file / inside}: {file} is not a folder\.\n  remedy:  Set cache\.dir"
    for use in (lambda kept: load(root, kept), Cache.entries, Cache.clear, Cache.check):
        with pytest.raises(DataError, match=said):
            use(Cache(file / inside))


def test_a_dangling_link_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(DataError, match="link is not a folder"):
        Cache(tmp_path / "link").check()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a file system that takes no folders is needed")
def test_a_cache_that_cannot_be_written_is_named(root: Path) -> None:
    with pytest.raises(DataError, match=r"cache\.dir = /proc/self/cache: not writable \(No such file or directory\)"):
        load(root, Cache(Path("/proc/self/cache")))


def test_clear_removes_the_entries_of_one_set_or_all(root: Path, kept: Cache) -> None:
    load(root, kept)
    load(root, kept, image_size=8)
    (kept.dir / f".building-image_folder-8px-{'0' * 16}").mkdir()
    assert kept.clear("cifar10") == []
    assert len(kept.clear("image_folder")) == 2
    assert kept.entries() == []
    assert not [path for path in kept.dir.iterdir() if not path.name.startswith(".lock")]


def test_what_else_lies_there_is_never_touched(root: Path, tmp_path: Path) -> None:
    kept = Cache(tmp_path / "cache", limit_gib=2e-5)
    for name in ("my-great-thesis", "photos-2024-summer", ".building-x", "a-8px-0123"):
        (kept.dir / name).mkdir(parents=True)
        (kept.dir / name / "text").write_text("x" * 30_000)
    load(root, kept, image_size=8)
    load(root, kept, image_size=9)
    load(root, kept, image_size=10)
    kept.clear()
    assert kept.entries() == []
    for name in ("my-great-thesis", "photos-2024-summer", ".building-x", "a-8px-0123"):
        assert (kept.dir / name / "text").exists()


def test_sets_of_equal_names_sizes_and_times_have_entries_of_their_own(root: Path, kept: Cache) -> None:
    twin = shutil.copytree(root, root.with_name("twin"))
    for first, second in zip(sorted(root.rglob("*.png")), sorted(twin.rglob("*.png")), strict=True):
        size = first.stat().st_size
        second.write_bytes(first.read_bytes())
        assert second.stat().st_size == size
        for path in (first, second):
            os.utime(path, ns=(1, 1))
    load(root, kept)
    load(twin, kept)
    assert len(kept.entries()) == 2
