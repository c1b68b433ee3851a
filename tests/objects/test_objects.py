"""What a storage must be able to do with objects: the same in a folder, in memory, and on a real S3 server."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.objects import Found, Objects

ODD = "a b#%é*?.png"


def names(found: list[Found]) -> list[str]:
    return [each.name for each in found]


def test_nothing_is_there_at_first(objects: Objects, tmp_path: Path) -> None:
    assert objects.list() == []
    assert objects.read("a") is None
    assert objects.fetch("a", tmp_path / "a") is None
    assert not (tmp_path / "a").exists()
    objects.delete(["a", "b/c"])
    objects.delete([])


def test_what_is_put_is_listed_and_read_whole(objects: Objects, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(large := os.urandom(9 * 2**20))
    objects.put("b/large", tmp_path / "large")
    objects.put("a", b"1")
    objects.put(f"b/{ODD}", b"odd")
    objects.put("bc", b"")
    assert names(objects.list()) == ["a", f"b/{ODD}", "b/large", "bc"]
    assert names(objects.list("b")) == [f"b/{ODD}", "b/large"], "bc lies elsewhere"
    assert [each.size for each in objects.list("b")] == [3, len(large)]
    assert (objects.read(f"b/{ODD}") or b"")[0] == b"odd"
    assert objects.fetch("b/large", tmp_path / "x" / "copy")
    assert (tmp_path / "x" / "copy").read_bytes() == large
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["copy"], "nothing unfinished is left"


def test_what_is_put_takes_the_place_of_what_is_there(objects: Objects) -> None:
    objects.put("a", b"1")
    (first,) = objects.list()
    tag = objects.put("a", b"22")
    (second,) = objects.list()
    assert tag == second.tag
    assert (objects.read("a") or b"")[0] == b"22"
    assert first.tag != second.tag


def test_what_is_here_already_is_not_fetched_again(objects: Objects, tmp_path: Path) -> None:
    objects.put("a", b"1")
    tag = objects.fetch("a", tmp_path / "a")
    assert tag == objects.list()[0].tag
    (tmp_path / "a").write_bytes(b"mine")
    assert objects.fetch("a", tmp_path / "a", unless=tag) == tag
    assert (tmp_path / "a").read_bytes() == b"mine"
    objects.put("a", b"2")
    assert objects.fetch("a", tmp_path / "a", unless=tag) not in (tag, None)
    assert (tmp_path / "a").read_bytes() == b"2"


def test_one_of_two_creates(objects: Objects) -> None:
    assert objects.create("lock", b"first")
    assert objects.create("lock", b"second") is None
    assert (objects.read("lock") or b"")[0] == b"first"


def test_what_has_changed_is_not_replaced(objects: Objects) -> None:
    created = objects.create("lock", b"1")
    assert created
    replaced = objects.replace("lock", b"2", version=created)
    assert replaced
    assert objects.replace("lock", b"3", version=created) is None, "it has changed"
    assert (objects.read("lock") or b"")[0] == b"2"
    found = objects.read("lock")
    assert found is not None
    assert objects.replace("lock", b"4", version=found[1]), "as it was read"
    assert objects.replace("gone", b"5", version=found[1]) is None, "it is not there"
    assert objects.read("gone") is None


def test_who_writes_the_same_again_is_taken_for_the_same(objects: Objects) -> None:
    """Where the answer to a conditional put gets lost, the second try finds the first."""
    created = objects.create("lock", b"mine")
    assert created
    assert objects.create("lock", b"others") is None
    replaced = objects.replace("lock", b"mine, 2", version=created)
    assert replaced
    assert objects.replace("lock", b"mine, 3", version=replaced)


def test_what_is_deleted_is_gone(objects: Objects) -> None:
    for name in ("a", "b/c", "b/d"):
        objects.put(name, name.encode())
    objects.delete(["a", "b/c", "none"])
    assert names(objects.list()) == ["b/d"]


def test_a_file_that_is_not_there_is_not_put(objects: Objects, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        objects.put("a", tmp_path / "none")
    assert objects.list() == []
