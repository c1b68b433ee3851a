"""The model of a finished cell, made without MLflow's store."""

from __future__ import annotations

import errno
import subprocess
import tempfile
from pathlib import Path

import pytest
from sweep_samples import ERM, make_cells
from tracked import save_weights

from orchestrator.storage import CellFolder
from orchestrator.tracking.errors import is_busy
from orchestrator.tracking.logged_model import saved_model


def test_a_full_folder_for_temporary_files_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There torch would end the whole process; and the cell is not to blame."""
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(small)], check=False).returncode != 0:
        pytest.skip("a small disk cannot be mounted here")
    save_weights(tmp_path)
    try:
        monkeypatch.setattr(tempfile, "tempdir", str(small))
        made = saved_model(make_cells(ERM)[0], CellFolder(tmp_path))
        with pytest.raises(OSError, match="a model takes") as full:
            made.__enter__()
    finally:
        subprocess.run(["umount", str(small)], check=True)
    assert (full.value.errno, full.value.filename) == (errno.ENOSPC, str(small))
    assert is_busy(full.value)
