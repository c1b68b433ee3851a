from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import ConfigError, Problem
from orchestrator.experiment.overrides import apply_overrides
from orchestrator.experiment.problems import Problems
from orchestrator.experiment.yaml_reader import read_yaml


def read(tmp_path: Path, text: str | bytes) -> tuple[dict[str, Any], list[Problem]]:
    path = tmp_path / "x.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    problems = Problems(str(path))
    return read_yaml(path, problems), problems.noted


def refusal(tmp_path: Path, text: str | bytes) -> Problem:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    (problem,) = caught.value.problems
    assert problem.file == str(tmp_path / "x.yaml")
    return problem


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("5e-4", 5e-4),
        ("5.0e-4", 5e-4),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("-2.", -2.0),
        ("+3", 3),
        ("0", 0),
        ("1_000", 1000),
        (".inf", math.inf),
        ("true", True),
        ("null", None),
        ("~", None),
        ("", None),
        # YAML 1.1 makes these 8, 90, a float of 5400.5, true, false and a date.
        ("010", "010"),
        ("1:30", "1:30"),
        ("1:30:00.5", "1:30:00.5"),
        ("on", "on"),
        ("no", "no"),
        ("2024-01-01", "2024-01-01"),
        ("1.2.3", "1.2.3"),
        ("e5", "e5"),
        ("'5'", "5"),
    ],
)
def test_plain_words_are_what_they_look_like(tmp_path: Path, written: str, value: object) -> None:
    data, problems = read(tmp_path, f"key: {written}\n")
    assert data == {"key": value}
    assert type(data["key"]) is type(value)
    assert problems == []


def test_nan_is_a_number(tmp_path: Path) -> None:
    data, _ = read(tmp_path, "key: .nan\n")
    assert math.isnan(data["key"])


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("name: x\ntrain: {epochs: 5\nseed: 0\n", "line 3, column 5"),
        ("name: x\n\tseed: 0\n", "line 2, column 1"),
        ("name: x\n\tseed: 0\n", "indents with spaces"),
        ("a: !!python/object:os.system {}\n", "line 1, column 4"),
        ("a: 1\nb: !!timestamp 2024-01-01\n", "line 2, column 4"),
        ("a: 1\n---\nb: 2\n", "line 2, column 1"),
        ("a: *nowhere\n", "line 1, column 4"),
        ("[1, 2]: x\n", "line 1, column 1"),
        ("a: !!int abc\n", "invalid literal"),
        ("a: \x07\n", "special characters are not allowed"),
        ("a: " + "[" * 2000, "RecursionError"),
    ],
)
def test_syntax_error_names_the_place(tmp_path: Path, text: str, where: str) -> None:
    problem = refusal(tmp_path, text)
    assert problem.allowed == "YAML"
    assert where in problem.remedy
    assert "\n" not in problem.remedy


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("", "empty"),
        ("# only a comment\n", "empty"),
        ("- a\n- b\n", "key: value"),
        ("just words\n", "key: value"),
        (b"name: x\nmodel: caf\xe9\n", "Line 2"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str | bytes, remedy: str) -> None:
    assert remedy in refusal(tmp_path, text).remedy


def test_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    assert read(tmp_path, b"\xef\xbb\xbfname: x\n")[0] == {"name": "x"}


def test_missing_file_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "quickstart.yaml").touch()
    path = tmp_path / "quikstart.yaml"
    with pytest.raises(ConfigError, match=f"no such file. Did you mean {tmp_path}/quickstart.yaml") as caught:
        read_yaml(path, Problems(str(path)))
    assert caught.value.problems[0].file == str(path)


def test_missing_file_in_a_missing_folder() -> None:
    with pytest.raises(ConfigError, match="no such file"):
        read_yaml(Path("no/such/folder/x.yaml"), Problems("x"))


def test_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="It is a folder"):
        read_yaml(tmp_path, Problems("x"))


@pytest.mark.parametrize(
    ("text", "key", "remedy"),
    [
        ("name: x\nseed: 0\nname: y\n", "name", "line 1 and in line 3"),
        ("train: {lr: 1, epochs: 2, lr: 3}\n", "train.lr", "line 1 twice"),
        ("a:\n  - {b: 1}\n  - c: 1\n    d: 2\n    c: 3\n", "a[1].c", "line 3 and in line 5"),
        ("a: &a {x: 1, x: 2}\nb: [*a, *a]\n", "a.x", "line 1 twice"),
        ("a: {b: [[{c: {d: 1, d: 2}}]]}\n", "a.b[0][0].c.d", "line 1 twice"),
    ],
)
def test_repeated_keys_are_noted(tmp_path: Path, text: str, key: str, remedy: str) -> None:
    _, problems = read(tmp_path, text)
    assert [(problem.key, remedy in problem.remedy) for problem in problems] == [(key, True)]


def test_merged_mappings_may_be_replaced_in_part(tmp_path: Path) -> None:
    text = "a: &a {x: 1, y: 2}\nb: &b\n  <<: *a\n  x: 3\nc:\n  <<: *b\n  y: 4\n"
    data, problems = read(tmp_path, text)
    assert (data["b"], data["c"]) == ({"x": 3, "y": 2}, {"x": 3, "y": 4})
    assert problems == []


def test_of_several_merged_mappings_the_first_that_has_a_key_counts(tmp_path: Path) -> None:
    """Whatever PyYAML's version, and for keys of one letter as for longer ones."""
    text = (
        "a: &a {lr: 1, weight_decay: 1}\nb: &b {lr: 2, weight_decay: 2, epochs: 2}\n"
        "c: {<<: [*a, *b], x: 0}\nd: {epochs: 3, <<: [*b, *a]}\n"
    )
    data, problems = read(tmp_path, text)
    assert data["c"] == {"lr": 1, "weight_decay": 1, "epochs": 2, "x": 0}
    assert data["d"] == {"lr": 2, "weight_decay": 2, "epochs": 3}
    assert problems == []


@pytest.mark.parametrize("merged", ["5", "[5]", "x"])
def test_what_is_no_mapping_cannot_be_merged(tmp_path: Path, merged: str) -> None:
    with pytest.raises(ConfigError, match="expected a mapping or a list of mappings"):
        read(tmp_path, f"a: {{<<: {merged}, x: 1}}\n")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("seed=[0, 1]", {"seed": [0, 1]}),
        ("train.lr=5e-4", {"train": {"epochs": 5, "lr": 5e-4}}),
        ("tracking.uri=a=b", {"tracking": {"uri": "a=b"}}),
        ("tracking.uri=", {"tracking": {"uri": None}}),
        ("dataset.digits.num_train=9", {"dataset": {"digits": {"num_train": 9}}}),
        ("dataset={image_folder: {folder: x}}", {"dataset": {"image_folder": {"folder": "x"}}}),
        ("augment[1].mixup.alpha=2", {"augment": ["erm", {"mixup": {"alpha": 2}}]}),
        ("augment[0]=cutmix", {"augment": ["cutmix", {"mixup": {"alpha": 1}}]}),
    ],
)
def test_override_replaces_one_place(override: str, expected: dict[str, Any]) -> None:
    data = {"dataset": "digits", "train": {"epochs": 5, "lr": 0.1}, "augment": ["erm", {"mixup": {"alpha": 1}}]}
    before = repr(data)
    problems = Problems("x.yaml")
    assert apply_overrides(data, [override], problems) == {**data, **expected}
    assert repr(data) == before
    assert problems.noted == []


def test_last_override_wins() -> None:
    assert apply_overrides({}, ["a=1", "a=2"], Problems("x")) == {"a": 2}


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("seed", "key=value"),
        ("=1", "key=value"),
        ("train..lr=1", "key=value"),
        ("[0]=1", "key=value"),
        ("seed=[0,", "cannot be read from line 1"),
        ("train={lr: 1, lr: 2}", "the key lr stands there twice"),
        ("augment[2]=erm", "augment has 2 entries, counted from 0"),
        ("model[0]=x", "model has no list"),
        ("augment.mixup.alpha=2", "Name an entry, e.g. augment[0]"),
        ("model.convnet2.width=2", "model is no mapping"),
    ],
)
def test_override_that_fits_nowhere_is_noted(override: str, words: str) -> None:
    data = {"model": "convnet", "augment": ["erm", {"mixup": {"alpha": 1}}]}
    problems = Problems("x.yaml")
    assert apply_overrides(data, [override], problems) == data
    (problem,) = problems.noted
    assert problem.file == "-o"
    assert words in str(problem)
