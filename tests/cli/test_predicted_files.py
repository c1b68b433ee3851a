"""Which files ``zetasweep predict`` takes of a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.cli.predict import _images
from orchestrator.errors import UserError


def test_hidden_folders_and_those_of_a_system_are_passed_over(tmp_path: Path) -> None:
    for name in ("a.png", "in/b.JPG", ".cache/c.png", "__MACOSX/a.png", "in/.thumbs/d.png", "in/.e.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert list(_images([str(tmp_path)])) == [tmp_path / "a.png", tmp_path / "in" / "b.JPG"]
    # Who names it means it.
    assert list(_images([str(tmp_path / ".cache")])) == [tmp_path / ".cache" / "c.png"]
    (tmp_path / "a.png").unlink()
    (tmp_path / "in" / "b.JPG").unlink()
    with pytest.raises(UserError, match="no image lies there"):
        list(_images([str(tmp_path)]))
