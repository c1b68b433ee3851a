"""A folder of images that is away for a while: who needs it waits, and no cell fails for it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from small_sets import write_image_folder
from started_sweeps import cell_runs, start, until_tracked

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

EXPERIMENT = """
name: small
dataset:
  - image_folder: {folder: first, image_size: 8}
  - image_folder: {folder: second, image_size: 8}
model: convnet
augment: [erm, {mixup: {alpha: 1.0}}]
train: {epochs: EPOCHS, batch_size_per_worker: 8}
resources: {workers: 1, slots: 1}
"""


def test_cells_wait_for_a_folder_that_is_not_mounted(environment: dict[str, str], tmp_path: Path) -> None:
    data, away = tmp_path / "data", tmp_path / "away"
    for name in ("first", "second"):
        write_image_folder(data / name)
    file = tmp_path / "small.yaml"
    file.write_text(EXPERIMENT.replace("EPOCHS", "60"))
    process = start(environment, file, tmp_path / "runs", "-o", f"data_dir={data}")
    until_tracked(tmp_path / "runs", 1, process)
    # What another machine has is not there, and where it is mounted is an empty folder.
    data.rename(away)
    data.mkdir()
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if "it is tried again until it can be" in line:
            break
    shutil.rmtree(data)
    away.rename(data)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, "".join(said) + output
    runs = cell_runs(tmp_path / "runs", "small")
    assert [run.info.status for run in runs] == ["FINISHED"] * 4
    assert any(f"data_dir = {data}" in line or f"{data}/second" in line for line in said), said
