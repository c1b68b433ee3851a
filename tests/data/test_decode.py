from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
from small_sets import write_image_folder

from orchestrator.data import decode, load_dataset
from orchestrator.data.decode import decode_in_memory, decode_into, shape_of
from orchestrator.data.sets.image_folder import open_image_folder
from orchestrator.errors import DataError


def target(folder: Path, root: Path) -> Path:
    count, shape = shape_of(open_image_folder(root), None)
    path = folder / "images.npy"
    np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(count, *shape)).flush()
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_image_folder(tmp_path / "mine", splits=("train", "val", "test"), num=40)


@pytest.mark.parametrize("processes", [None, 1, 2])
def test_every_image_lands_in_its_row(root: Path, tmp_path: Path, processes: int | None) -> None:
    source = open_image_folder(root)
    path = target(tmp_path, root)
    told: list[tuple[int, int]] = []
    decoding = decode_into(path, source, None, on_progress=lambda *state: told.append(state), processes=processes)
    sums = decoding.pixel_sums
    images = np.load(path)
    expected = decode_in_memory(source, None)
    np.testing.assert_array_equal(images, expected.images.numpy())
    np.testing.assert_array_equal(sums, expected.pixel_sums)
    wide = images.astype(np.int64)
    np.testing.assert_array_equal(sums[..., 0], wide.sum((2, 3)))
    np.testing.assert_array_equal(sums[..., 1], (wide**2).sum((2, 3)))
    assert len(images) == 240
    assert told == [(done, 240) for done, _ in sorted(told)]
    assert told[-1] == (240, 240)
    assert [*source.parts] == ["train", "val", "test"]


def test_what_takes_long_is_left_to_processes(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "PARALLEL_FROM_S", 0.0)
    source, path = open_image_folder(root), target(tmp_path, root)
    left: list[int] = []
    original = decode._decoded_by_processes

    def watched(path: Path, parts: Any, image_size: int | None, chunks: Any, processes: int) -> Any:
        left.append(len(chunks))
        return original(path, parts, image_size, chunks, processes)

    monkeypatch.setattr(decode, "_decoded_by_processes", watched)
    decode_into(path, source, None)
    # 80 images of each part are 3 chunks; the first of all shows how long the others take.
    assert left == [8]
    np.testing.assert_array_equal(np.load(path), decode_in_memory(source, None).images.numpy())


@pytest.mark.parametrize("processes", [1, 2])
def test_a_damaged_image_is_named(root: Path, tmp_path: Path, processes: int) -> None:
    path = target(tmp_path, root)
    (root / "test" / "bee" / "020.png").write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"test/bee/020\.png"):
        decode_into(path, open_image_folder(root), None, processes=processes)


SCRIPT = """
import sys, time
from pathlib import Path
from types import SimpleNamespace
from orchestrator.data import decode, load_dataset
from orchestrator.data.decode import decode_into
from orchestrator.data.image_files import FileSamples
from orchestrator.data.sets.image_folder import open_image_folder
class Slow(FileSamples):
    def read(self, indices, image_size):
        print("reading", flush=True)
        time.sleep(60)
if __name__ == "__main__":
    import dataclasses
    root, path = map(Path, sys.argv[1:])
    source = open_image_folder(root)
    slow = {n: Slow(**{f.name: getattr(s, f.name) for f in dataclasses.fields(s)}) for n, s in source.parts.items()}
    source = dataclasses.replace(source, **slow)
    decode_into(path, source, None, processes=2)
"""


def test_processes_end_with_the_one_that_started_them(root: Path, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "slow.py"), str(root), str(target(tmp_path, root))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("reading")
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 30
    while members(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not members(process.pid)


def members(group: int) -> list[str]:
    """The processes of a process group."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if os.getpgid(int(folder.name)) == group and "Z" not in (folder / "stat").read_text().split()[2]:
                    found.append(folder.name)
            except (ProcessLookupError, FileNotFoundError):
                continue
    return found


def test_images_that_do_not_fit_into_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=10**6))
    with pytest.raises(DataError, match=r"take .* GB of memory at dataset.image_size=4000, and 1.0 MB are free"):
        load_dataset("digits", Path("unused"), image_size=4000)
