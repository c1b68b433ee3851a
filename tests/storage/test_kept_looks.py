"""Looks of many that look at the same time: none is lost, wherever they are kept."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from bucket_machines import ADDRESS, Machines

from orchestrator.objects import ObjectsError
from orchestrator.storage import LOOKS, Storage, note_look, read_looks
from orchestrator.tracking.comparing import _Looks

FIRST, SECOND, THIRD = ({"a": frozenset(seeds)} for seeds in ("0", "01", "012"))


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_a_look_is_added_to_what_others_noted_meanwhile(kind: str, machines: Machines, tmp_path: Path) -> None:
    here, elsewhere = [Storage(tmp_path)] * 2 if kind == "folder" else [machines.another(), machines.another()]
    looks = _Looks(here)
    assert looks.before == []
    _Looks(elsewhere).note(FIRST)
    looks.note(SECOND)
    looks.note(FIRST)
    assert read_looks(elsewhere.looks) == [FIRST, SECOND]


def test_who_comes_between_a_read_and_a_write_is_not_written_over(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other, whole_read = machines.another(), machines.another(), machines.objects.read
    between = [FIRST, SECOND]

    def read(name: str) -> tuple[bytes, str] | None:
        found = whole_read(name)
        if between:
            seen = between.pop(0)
            note_look(other, seen)
        return found

    monkeypatch.setattr(machines.objects, "read", read)
    note_look(one, THIRD)
    assert read_looks(one.looks) == [SECOND, FIRST, THIRD]


def test_an_object_that_never_stays_is_said_and_looks_that_cannot_be_read_are_left(
    machines: Machines, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    storage = machines.another()
    machines.objects.put(LOOKS, b'{"version": 2, "looks": []}')
    with pytest.raises(ValueError, match="its version is 2"):
        note_look(storage, FIRST)
    _Looks(storage).note(FIRST)
    assert f"{ADDRESS}/looks.json: which seeds were looked at cannot be kept there (its version is 2" in caplog.text
    assert machines.objects.read(LOOKS)[0] == b'{"version": 2, "looks": []}'  # type: ignore[index]
    machines.objects.delete([LOOKS])
    monkeypatch.setattr(machines.objects, "create", lambda *_, **__: None)
    with pytest.raises(ObjectsError, match="has changed between each"):
        note_look(storage, FIRST)


def test_of_many_that_note_at_once_in_a_folder_none_is_lost(tmp_path: Path) -> None:
    looks = [{"a": frozenset(str(seed) for seed in range(number + 1))} for number in range(12)]
    with ThreadPoolExecutor(len(looks)) as pool:
        list(pool.map(lambda look: note_look(Storage(tmp_path), look), looks))
    assert sorted(read_looks(Storage(tmp_path).looks), key=lambda look: len(look["a"])) == looks
