"""Reads an experiment file as plain data, strictly, and applies overrides from the command line to it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import yaml

from orchestrator.credentials import NO_CREDENTIALS, PLACES, is_secret_name, mentions_secret, without_secrets
from orchestrator.errors import ConfigError, Problem
from orchestrator.findings import COMMAND_LINE, NOT_GIVEN, Findings

_OVERRIDE = re.compile(r"\s*(?P<key>\w[\w-]*(?:\[\d+\]|\.\w[\w-]*)*)\s*=(?P<value>.*)", re.DOTALL)
_STEP = re.compile(r"\[(\d+)\]|([\w-]+)")

Key = list[int | str]
"""The steps of a dotted key, from the outermost mapping or list."""
WrittenOut = Callable[[dict[str, Any], Key], Key]


class _StrictLoader(yaml.SafeLoader):
    """`yaml.SafeLoader` without its traps.

    YAML 1.1, which PyYAML reads, takes ``5e-4`` for a text, ``no`` for false, ``010`` for 8, ``1:30`` for 90 and
    ``2024-01-01`` for a date. Here plain numbers are decimal, true and false are the only truth values, and every other
    word is a text. A repeated key is noted; PyYAML would silently keep the last.
    """

    # The stubs take this for a variable of the instance; PyYAML reads it from the class.
    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}  # type: ignore[misc]
    # The tags of plain data; a value with any other explicit tag (!!timestamp, !!python/...) is refused with its line.
    yaml_constructors: ClassVar[dict[Any, Any]] = {
        tag: yaml.SafeLoader.yaml_constructors[tag]
        for tag in (
            None,
            *(f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "str", "seq", "map")),
        )
    }

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.repeated: list[tuple[str, int, int]] = []
        self._checked: set[yaml.MappingNode] = set()

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        # Only before `<<` is merged in: what a mapping takes over from another one it may replace.
        if node not in self._checked:
            self._checked.add(node)
            self._note_repeated(node)
        super().flatten_mapping(node)

    def _note_repeated(self, node: yaml.MappingNode) -> None:
        first_lines: dict[str, int] = {}
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode):
                line = key_node.start_mark.line + 1
                if key_node.value in first_lines:
                    self.repeated.append((key_node.value, first_lines[key_node.value], line))
                first_lines.setdefault(key_node.value, line)


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][0-9_]*)", "-+0123456789"),
    ("float", r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", "-+."),
    ("merge", r"<<", "<"),
):
    _StrictLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), [*_first, ""] if _tag == "null" else [*_first]
    )


def read_yaml(path: Path, findings: Findings) -> dict[str, Any]:
    """Return the mapping that stands in `path`; a key that is repeated is noted in `findings`.

    Raises:
        ConfigError: There is no such file, or what it holds is not one YAML mapping.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        _refuse_file(path, error)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        _refuse(path, NOT_GIVEN, allowed="text in UTF-8", remedy=f"Line {line} is not: save the file as UTF-8.")
    try:
        data, repeated = _parse(text)
    except yaml.YAMLError as error:
        _refuse(path, NOT_GIVEN, allowed="YAML", remedy=f"It cannot be read {_describe(error, text)}")
    if not isinstance(data, dict):
        value = NOT_GIVEN if data is None or mentions_secret(text) else data
        remedy = "The file is empty: start from one in experiments/." if data is None else "Write 'key: value' lines."
        _refuse(path, value, allowed="a mapping with the keys name, dataset, model, augment ...", remedy=remedy)
    for key, first_line, line in repeated:
        where = f"line {line} twice" if line == first_line else f"line {first_line} and in line {line}"
        findings.add(key, NOT_GIVEN, allowed="each key once", remedy=f"It stands in {where}: remove one.")
    return data


def apply_overrides(
    data: dict[str, Any], overrides: Sequence[str], findings: Findings, *, written_out: WrittenOut = lambda _, key: key
) -> dict[str, Any]:
    """Return a copy of `data` with each ``key=value`` set, the last winning; what is wrong is noted in `findings`.

    A key is dotted as the messages print it: ``train.epochs``, ``augment[2].zeta_mixup.gamma``. The value is YAML.
    Whether an experiment has such a key is checked later, with the file.

    Args:
        data: What stands in the file.
        overrides: What to set.
        findings: Takes what is wrong.
        written_out: Returns the whole of a key that may be short for another, given what is set so far.
    """
    for override in overrides:
        match = _OVERRIDE.fullmatch(override)
        if match is None and not mentions_secret(override):
            _note(findings, override, NOT_GIVEN, allowed="key=value", remedy="E.g. -o train.epochs=2 -o 'seed=[0,1]'")
            continue
        if match is None or any(is_secret_name(name) for _, name in _STEP.findall(match["key"])):
            _note(findings, match["key"] if match else "", NOT_GIVEN, allowed=NO_CREDENTIALS, remedy=PLACES)
            continue
        key, text = match["key"], match["value"]
        try:
            value, repeated = _parse(text)
            if repeated:
                raise yaml.YAMLError(f"the key {repeated[0][0]} stands there twice")
            steps = written_out(data, [int(index) if index else name for index, name in _STEP.findall(key)])
            changed = _replaced(data, steps, value, at="")
        except yaml.YAMLError as error:
            _note(findings, key, text, allowed="a YAML value", remedy=f"It cannot be read {_describe(error, text)}")
        except LookupError as error:
            _note(findings, key, text, allowed="a key of the experiment file", remedy=str(error.args[0]))
        else:
            findings.attribute_to_command_line(_join(_up_to_new(data, steps)))
            data = changed
    return data


def _up_to_new(node: Any, steps: Sequence[int | str]) -> Sequence[int | str]:
    """Return `steps` up to the first that `node` does not have: everything below is new, too."""
    for index, step in enumerate(steps):
        known = step in node if isinstance(node, dict) else isinstance(node, list)
        if not known:
            return steps[: index + 1]
        node = node[step]
    return steps


def _join(steps: Sequence[int | str]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")


def _replaced(node: Any, steps: Sequence[int | str], value: object, *, at: str) -> Any:
    """Return a copy of `node` with `value` at the end of `steps`; a missing mapping on the way is made."""
    if not steps:
        return value
    step, rest = steps[0], steps[1:]
    if isinstance(step, int):
        if not isinstance(node, list) or step >= len(node):
            count = f"{len(node)} entries, counted from 0" if isinstance(node, list) else "no list"
            raise LookupError(f"{at} has {count}.")
        return [*node[:step], _replaced(node[step], rest, value, at=f"{at}[{step}]"), *node[step + 1 :]]
    if node is None or node == step:
        # `dataset: cifar10` is short for `dataset: {cifar10: {}}`.
        node = {step: None}
    if not isinstance(node, dict):
        hint = f"Name an entry, e.g. {at}[0], or set" if isinstance(node, list) else "Set"
        raise LookupError(f"{at} is no mapping. {hint} the whole of it: -o '{at}=...'")
    return {**node, step: _replaced(node.get(step), rest, value, at=f"{at}.{step}" if at else str(step))}


def _parse(text: str) -> tuple[Any, list[tuple[str, int, int]]]:
    """Return the one document in `text` and, for each repeated key, its name and both lines."""
    try:
        loader = _StrictLoader(text)
        try:
            return loader.get_single_data(), loader.repeated
        finally:
            loader.dispose()
    except (ValueError, KeyError, RecursionError) as error:
        # What PyYAML lets through: `!!int abc`, `!!bool maybe`, a thousand brackets.
        raise yaml.YAMLError(f"{type(error).__name__}: {error}") from error


def _describe(error: yaml.YAMLError, text: str) -> str:
    """Return where and why `text` cannot be read; not why if it may hold a credential, which the reason would quote."""
    where, why = "as YAML", " ".join(str(error).split())
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        where = f"from line {mark.line + 1}, column {mark.column + 1}"
        why = ", ".join(part for part in (error.context, error.problem) if part)
        if "'\\t'" in why:
            why += ": YAML indents with spaces"
    return f"{where}." if mentions_secret(text) else f"{where}: {without_secrets(why)}."


def _refuse_file(path: Path, error: OSError) -> NoReturn:
    if path.is_dir():
        _refuse(path, NOT_GIVEN, allowed="an experiment file", remedy="It is a folder: name one of the files in it.")
    if path.exists():
        _refuse(path, NOT_GIVEN, allowed="a readable file", remedy=f"It cannot be read: {error.strerror}.")
    known = sorted(sibling.name for sibling in path.parent.glob("*.y*ml")) if path.parent.is_dir() else []
    nearest = difflib.get_close_matches(path.name, known, n=1)
    hint = f"Did you mean {path.with_name(nearest[0])}?" if nearest else f"There are: {', '.join(known)}."
    hint = hint if known else "Check the path."
    _refuse(path, NOT_GIVEN, allowed="an experiment file", remedy=f"There is no such file. {hint}")


def _refuse(path: Path, value: object, *, allowed: str, remedy: str) -> NoReturn:
    findings = Findings(str(path))
    findings.add("", value, allowed=allowed, remedy=remedy)
    # Not from the error that it may stem from: that one quotes the file, and --debug would print it.
    raise ConfigError(findings.problems) from None


def _note(findings: Findings, key: str, value: object, *, allowed: str, remedy: str) -> None:
    shown = "" if value is NOT_GIVEN or mentions_secret(str(value)) else without_secrets(str(value))
    findings.problems.append(
        Problem(file=COMMAND_LINE, key=without_secrets(key), value=shown, allowed=allowed, remedy=remedy)
    )
