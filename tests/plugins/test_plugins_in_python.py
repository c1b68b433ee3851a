"""Code of one's own in Python, where several experiments are open at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from own_files import DOTS, PAIRMIX, TINYNET, write

import zetasweep

TEXT = "{name: own, dataset: dots, model: tinynet, augment: pairmix, storage: results}"
OTHER = "{name: other, dataset: digits, model: convnet, augment: erm, storage: results}"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    write(tmp_path, "own.yaml", TEXT)
    write(tmp_path, "other.yaml", OTHER)
    return [write(tmp_path, f"{name}_of_mine.py", text) for name, text in (("n", TINYNET), ("m", PAIRMIX), ("d", DOTS))]


def test_results_use_their_plugins_again_as_they_were(own: list[Path]) -> None:
    found = zetasweep.results("own.yaml", plugins=own)
    (key,) = found.cells["key"]
    zetasweep.load("other.yaml")
    own[0].write_text(TINYNET.replace("width: int = 4", "width: int = 5"))
    assert list(found.cells["key"]) == [key]
    zetasweep.load("other.yaml")
    assert "0 of 1 cells" in repr(found)


def test_an_experiment_whose_plugins_went_makes_no_other_cells(own: list[Path]) -> None:
    experiment = zetasweep.load("own.yaml", plugins=own)
    (cell,) = zetasweep.expand(experiment)
    zetasweep.load("other.yaml")
    with pytest.raises(zetasweep.UserError, match=r"dataset dots was read with plug-in .*not in use any more"):
        zetasweep.expand(experiment)
    own[1].write_text(PAIRMIX.replace("1 - self.share", "1.0 - self.share"))
    zetasweep.load("own.yaml", plugins=own)
    with pytest.raises(zetasweep.UserError, match=r"augment pairmix was read with plug-in .*whose code is another now"):
        zetasweep.expand(experiment)
    own[1].write_text(PAIRMIX)
    zetasweep.load("own.yaml", plugins=own)
    assert zetasweep.expand(experiment) == [cell]
