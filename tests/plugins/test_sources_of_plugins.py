"""Which files a plug-in is made of: wherever they lie, however they are written, whoever has imported them before."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import pytest
from own_files import TINYNET, write

from orchestrator.models import build_model
from orchestrator.plugins import Plugin, carried, plugin_of, use_plugins

WIDTH = "(*, num_classes, num_channels, image_size)"
OWN = f"""
from torch import nn
from nets.blocks import WIDTH

def build{WIDTH}:
    return nn.Linear(WIDTH, num_classes)

MODELS = {{"mine": build}}
"""


def used(file: Path) -> Plugin:
    use_plugins([str(file)])
    plugin = plugin_of("model", "mine") or plugin_of("model", "tinynet")
    assert plugin is not None
    return plugin


def width() -> object:
    return build_model("mine", num_classes=2, num_channels=1, image_size=8).in_features


@pytest.fixture(params=["beside", "elsewhere"])
def nets(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a module that a plug-in imports: beside it, or on Python's path."""
    if request.param == "beside":
        return tmp_path
    monkeypatch.syspath_prepend(str(tmp_path / "lab"))
    return tmp_path / "lab"


@pytest.mark.parametrize("files", [("nets/blocks.py",), ("nets/__init__.py", "nets/blocks.py")])
def test_what_is_imported_counts_wherever_it_lies(files: tuple[str, ...], nets: Path, tmp_path: Path) -> None:
    codes = []
    for number in (3, 4, 3):
        for file in files:
            write(nets, file, f"WIDTH = {number}\n")
        plugin = used(write(tmp_path, "mine.py", OWN))
        codes.append(plugin.code)
        assert width() == number
        assert [source.name for source in plugin.sources] == sorted(("mine.py", *files))
        assert all(source.is_beside for source in plugin.sources) == (nets == tmp_path)
    assert codes[0] == codes[2] != codes[1]


def test_a_folder_without_init_travels(tmp_path: Path) -> None:
    write(tmp_path, "nets/blocks.py", "WIDTH = 3\n")
    plugin = used(write(tmp_path, "mine.py", OWN))
    sent = carried()
    use_plugins([])
    (tmp_path / "nets/blocks.py").unlink()
    sent.use()
    assert plugin_of("model", "mine").code == plugin.code  # type: ignore[union-attr]
    assert width() == 3


def test_a_module_in_a_folder_without_init_counts_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    codes = set()
    for number in (3, 4):
        write(tmp_path, "own_nets/tiny.py", TINYNET.replace("width: int = 4", f"width: int = {number}"))
        use_plugins(["own_nets.tiny"])
        codes.add(plugin_of("model", "tinynet").code)  # type: ignore[union-attr]
    assert len(codes) == 2


def test_what_no_statement_imports_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, "hidden.py", "x = 1\n")
    used(write(tmp_path, "tiny.py", "import importlib\nimportlib.import_module('hidden')\n" + TINYNET))
    assert f"{tmp_path}/tiny.py imports {tmp_path}/hidden.py, and no import statement says so" in caplog.text


@pytest.mark.parametrize("of", ["mine", "nets.blocks"])
def test_what_the_user_has_imported_is_not_taken_for_what_the_file_says_now(
    of: str, nets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    blocks = write(nets, "nets/blocks.py", "WIDTH = 3\n")
    mine = write(tmp_path, "mine.py", OWN.replace("Linear(WIDTH", "Linear(WIDTH + 10"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    importlib.import_module(of)
    write(tmp_path, "mine.py", OWN)
    write(nets, "nets/blocks.py", "WIDTH = 4\n")
    used(mine)
    assert width() == 4
    assert sys.modules["nets.blocks"].__file__ == str(blocks)


def test_modules_that_two_plugins_share_are_imported_once(tmp_path: Path) -> None:
    write(tmp_path, "shared.py", "class Block: pass\n")
    first, second = (
        write(tmp_path, f"{name}.py", f"from shared import Block\n{TINYNET.replace('tinynet', name)}")
        for name in ("one", "two")
    )
    use_plugins([str(first), str(second)])
    assert sys.modules["one"].Block is sys.modules["two"].Block


@pytest.mark.parametrize(
    "written",
    [
        b"\xef\xbb\xbf" + OWN.encode(),
        f"# -*- coding: latin-1 -*-\n# \xfcber\nNAME = '\xfc'\n{OWN}".encode("latin-1"),
    ],
    ids=["a byte order mark", "latin-1"],
)
def test_a_file_is_read_and_carried_in_the_encoding_that_it_declares(written: bytes, tmp_path: Path) -> None:
    write(tmp_path, "nets/blocks.py", "WIDTH = 3\n")
    file = tmp_path / "mine.py"
    file.write_bytes(written)
    plugin = used(file)
    name = getattr(sys.modules["mine"], "NAME", None)
    sent = carried()
    use_plugins([])
    sent.use()
    assert plugin_of("model", "mine").code == plugin.code  # type: ignore[union-attr]
    assert getattr(sys.modules["mine"], "NAME", None) == name


def test_a_copy_stays_where_a_temporary_folder_is_reached_by_a_link_that_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "nets/blocks.py", "WIDTH = 5\n")
    used(write(tmp_path, "mine.py", OWN))
    (tmp_path / "tmp").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "tmp")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "link"))
    folder = carried().folder
    (tmp_path / "link").unlink()
    assert folder is not None
    assert Path(folder).is_dir()


def test_a_tilde_is_the_home_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path, "tiny.py", TINYNET)
    use_plugins([os.path.join("~", "tiny.py")])
    assert plugin_of("model", "tinynet").file == tmp_path / "tiny.py"  # type: ignore[union-attr]
