"""Paths with every letter that a system allows: they work everywhere, or are refused before anything starts."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from commands import Call
from PIL import Image

from orchestrator.errors import UserError
from orchestrator.storage import Storage
from orchestrator.tracking import Tracker

# Each holds many: a shell's, an address's, YAML's, rich's and Python's own letters.
WORKING = [
    "a b #h %x 50% e=q \"d\" 'it' \\b",
    "c: d;e&f *[red]{y}(z) $HOME `x` !v ^w |u <t>",
    "ü e\u0301 中 ,@+~",
    "-o",
    "file:x",
    "~nobody",
]
CONTROLS = ["new\nline", "tab\t", "esc\x1b[31m", os.fsdecode(b"\xff"), "del\x7f"]
# In an address these mean something else.
ADDRESSES = ["what?", "p%41"]


def add_images(folder: Path) -> None:
    """Make a data set of a few images."""
    for number in range(24):
        kind = folder / ("test" if number % 3 == 0 else "train") / f"class {number % 2}"
        kind.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), number * 10).save(kind / f"{number}.png")


def write(folder: Path, **keys: Path | str) -> Path:
    """Write an experiment file into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "mine.yaml"
    experiment = {"name": "mine", "dataset": "digits", "model": "convnet", "augment": "erm"}
    cache = {"cache": {"dir": str(keys.pop("cache"))}} if "cache" in keys else {}
    tracking = {"tracking": {"uri": str(keys.pop("uri"))}} if "uri" in keys else {}
    others = {name: str(value) for name, value in keys.items()}
    file.write_text(json.dumps(experiment | others | cache | tracking), encoding="utf-8")
    return file


@pytest.mark.parametrize("name", WORKING)
def test_they_work_everywhere(name: str, tmp_path: Path, call: Call, new_store: Path) -> None:
    odd = tmp_path / name
    storage, database = Storage(odd / "runs"), odd / "mine.db"
    file = write(odd, storage=storage.root, data_dir=odd / "data", cache=odd / "cache", uri=f"sqlite:///{database}")
    shutil.copyfile(new_store, database)
    images = ["-o", "dataset={image_folder: {folder: 'my images'}}"]
    add_images(odd / "data" / "my images")
    answer = call("plan", file)
    assert (answer.code, f"more in {storage.root}" in answer.out) == (0, True), answer.err
    assert call("data", "prepare", file, *images).code == 0
    assert len(list((odd / "cache").iterdir())) >= 1
    # Quoted for YAML, as for a shell.
    assert call("status", file, "-o", f"storage={json.dumps(str(storage.root))}").code == 1
    storage.prepare()
    shutil.copyfile(new_store, storage.database)
    with storage.locked("mine"):
        tracker = Tracker(f"sqlite:///{storage.database}", artifacts=storage.artifacts_dir)
        location = (storage.artifacts_dir / "mine").as_uri()
        experiment_id = tracker.store.client.create_experiment("mine", artifact_location=location)
        run_id = tracker.store.client.create_run(experiment_id).info.run_id
        tracker.store.client.log_text(run_id, "text", "said.txt")
    said = storage.artifacts_dir / "mine" / run_id / "artifacts" / "said.txt"
    assert said.read_text() == "text"
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


@pytest.mark.parametrize("key", ["storage", "data_dir", "cache"])
@pytest.mark.parametrize("name", CONTROLS)
def test_letters_that_steer_a_terminal_are_refused(name: str, key: str, tmp_path: Path, call: Call) -> None:
    answer = call("plan", write(tmp_path, **{key: tmp_path / name}))
    assert answer.code == 2
    assert "allowed: text without control characters" in answer.err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


@pytest.mark.parametrize("name", CONTROLS)
def test_the_folder_of_the_command_is_part_of_a_relative_path(
    name: str, tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path)
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / name)
    answer = call("plan", file)
    assert answer.code == 2
    assert "storage" in answer.err
    assert "allowed: text without control characters" in answer.err
    assert list((tmp_path / name).iterdir()) == []


@pytest.mark.parametrize("name", [*CONTROLS, *ADDRESSES])
def test_the_file_itself_may_lie_anywhere(name: str, tmp_path: Path, call: Call) -> None:
    answer = call("plan", write(tmp_path / name, storage=tmp_path / "runs"))
    assert answer.code == 0, answer.err
    assert "Traceback" not in call("plan", tmp_path / name / "none.yaml").err


@pytest.mark.parametrize("name", ADDRESSES)
@pytest.mark.parametrize("command", ["plan", "run", "status", "doctor"])
def test_a_database_in_a_folder_that_an_address_cannot_name_is_refused(
    name: str, command: str, tmp_path: Path, call: Call
) -> None:
    storage = tmp_path / name / "runs"
    answer = call(command, write(tmp_path, storage=storage))
    assert answer.code == 2
    assert f"storage = {storage}: MLflow's SQLite file cannot lie there" in answer.err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


def test_an_address_of_a_database_that_may_mean_another_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="it may mean another file"):
        Tracker(f"sqlite:///{tmp_path}/p%41.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["~nosuchuser/runs", "~nosuchuser"])
def test_a_home_that_is_not_known_makes_no_folder_of_its_name(path: str, tmp_path: Path, call: Call) -> None:
    answer = call("plan", write(tmp_path, storage=path))
    assert answer.code == 2
    assert "a path whose ~ is known" in answer.err


@pytest.mark.parametrize(("value", "why"), [("/a #b", "#"), ("#b", "#"), ("[0, 1] # c", "#"), ("&a b", "&")], ids=str)
@pytest.mark.parametrize("key", ["storage", "tracking.experiment", "seed"])
def test_what_yaml_would_cut_from_an_override_is_refused(
    value: str, why: str, key: str, tmp_path: Path, call: Call
) -> None:
    answer = call("plan", write(tmp_path), "-o", f"{key}={value}")
    assert answer.code == 2
    assert f"-o: {key} = {value}" in answer.err
    assert f"YAML takes what begins with {why}" in answer.err


@pytest.mark.parametrize("value", ["/a#b", '"/a #b"', "'/a #b'", "/a=b", "/a b", "/a%b"])
def test_what_yaml_does_not_cut_is_taken_whole(value: str, tmp_path: Path, call: Call) -> None:
    answer = call("plan", write(tmp_path), "-o", f"storage={value}")
    assert answer.code == 0, answer.err
    assert f"more in {value.strip(chr(34) + chr(39))}\n" in answer.out
