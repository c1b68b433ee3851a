"""What of a plug-in's code counts, and which files."""

from __future__ import annotations

from pathlib import Path

import pytest
from own_files import TINYNET, write

from orchestrator.errors import UserError
from orchestrator.plugins import plugin_of, use_plugins
from orchestrator.plugins.code import hash_of

SAME = {
    "a comment": TINYNET.replace("return", "# here\n    return"),
    "layout": TINYNET.replace("nn.Flatten(),\n        ", "nn.Flatten(), "),
    "the docstring of the file": TINYNET.replace("A network.", "Another text."),
    "a new docstring": TINYNET.replace("    return", '    """Build it."""\n    return'),
    "quotes": TINYNET.replace('{"tinynet"', "{'tinynet'"),
}
OTHER = {
    "a number": TINYNET.replace("3, padding=1", "5, padding=2"),
    "a default": TINYNET.replace("width: int = 4", "width: int = 8"),
    "a type": TINYNET.replace("padding=1", "padding=True"),
    "a line less": TINYNET.replace("nn.ReLU(), ", ""),
}


def code(folder: Path, text: str, name: str = "mine.py") -> str:
    use_plugins([str(write(folder, name, text))])
    plugin = plugin_of("model", "tinynet")
    assert plugin is not None
    return plugin.code


@pytest.mark.parametrize("what", SAME)
def test_what_changes_no_syntax_tree_does_not_count(what: str, tmp_path: Path) -> None:
    assert code(tmp_path, SAME[what]) == code(tmp_path, TINYNET)


@pytest.mark.parametrize("what", OTHER)
def test_what_changes_a_syntax_tree_counts(what: str, tmp_path: Path) -> None:
    assert code(tmp_path, OTHER[what]) != code(tmp_path, TINYNET)


def test_a_file_may_be_moved_and_renamed(tmp_path: Path) -> None:
    assert code(tmp_path / "a", TINYNET) == code(tmp_path / "b", TINYNET, "other_name.py")


def test_a_version_stands_for_the_code(tmp_path: Path) -> None:
    for version, text in (('"2"', TINYNET), ('"2"', OTHER["a number"]), ("2", TINYNET)):
        assert code(tmp_path, f"{text}\nVERSION = {version}\n") == "2"
    with pytest.raises(UserError, match=r"VERSION = \[1\]\n  allowed: a text"):
        code(tmp_path, f"{TINYNET}\nVERSION = [1]\n")


def test_the_hash_is_that_of_every_python() -> None:
    # Written down: another Python's parser must not make other cells of the same code.
    text = "def f(x: int = 1, *args) -> str:\n    'text'\n    return f'{x!r:>{x}}' if x else [None, 1.0, b'']\n"
    assert hash_of({"": text}) == "951c91d78ae277eb"


def test_what_lies_beside_and_is_imported_counts_as_far_as_it_leads(tmp_path: Path) -> None:
    own = "from layers import block\n" + TINYNET
    write(tmp_path, "layers.py", "def block():\n    import deeper.inside\n")
    write(tmp_path, "deeper/__init__.py", "")
    write(tmp_path, "deeper/inside.py", "x = 1\n")
    write(tmp_path, "not_imported.py", "x = 1\n")
    before = code(tmp_path, own)
    plugin = plugin_of("model", "tinynet")
    assert plugin is not None
    assert [source.name for source in plugin.sources] == [
        "deeper/__init__.py",
        "deeper/inside.py",
        "layers.py",
        "mine.py",
    ]
    write(tmp_path, "not_imported.py", "x = 2\n")
    assert code(tmp_path, own) == before
    for file, text in {"deeper/inside.py": "x = 3\n", "deeper/new.py": "", "layers.py": "block = 1\n"}.items():
        write(tmp_path, file, text)
        assert code(tmp_path, own) != before
        before = code(tmp_path, own)


def test_of_a_package_all_files_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "mynets/__init__.py", "from mynets.tiny import MODELS\n")
    write(tmp_path, "mynets/tiny.py", TINYNET)
    other = write(tmp_path, "mynets/sub/other.py", "x = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    seen = set()
    for text in ("x = 1\n", "x = 2\n"):
        other.write_text(text)
        for wanted in (str(tmp_path / "mynets"), "mynets", "mynets.tiny"):
            use_plugins([wanted])
            plugin = plugin_of("model", "tinynet")
            assert plugin is not None
            seen.add((text, plugin.code))
    assert len(seen) == 2
