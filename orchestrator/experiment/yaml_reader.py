"""Reads an experiment file as plain data, strictly."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import yaml

from orchestrator.credentials import mentions_secret, without_secrets
from orchestrator.errors import ConfigError, nearest
from orchestrator.experiment.problems import NOT_GIVEN, Problems

_MERGE = "tag:yaml.org,2002:merge"


class _StrictLoader(yaml.SafeLoader):
    """`yaml.SafeLoader` without its traps.

    YAML 1.1, which PyYAML reads, takes ``5e-4`` for a text, ``no`` for false, ``010`` for 8, ``1:30`` for 90 and
    ``2024-01-01`` for a date. Here plain numbers are decimal, true and false are the only truth values, and every other
    word is a text.
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

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merge what ``<<`` names into a mapping: its own keys come first, then the first of the others that has one.

        PyYAML 6.0.4 takes keys for the same by the identity of their texts, and so merges other values than 6.0.3.
        """
        own, others = [], []
        for key_node, value_node in node.value:
            if key_node.tag != _MERGE:
                own.append((key_node, value_node))
                continue
            for source in value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]:
                if not isinstance(source, yaml.MappingNode):
                    raise yaml.constructor.ConstructorError(
                        "while merging", node.start_mark, "expected a mapping or a list of mappings", source.start_mark
                    )
                self.flatten_mapping(source)
                others += source.value
        known = {key_node.value for key_node, _ in own if isinstance(key_node, yaml.ScalarNode)}
        for key_node, value_node in others:
            if isinstance(key_node, yaml.ScalarNode) and key_node.value not in known:
                known.add(key_node.value)
                own.append((key_node, value_node))
        node.value = own


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


def read_yaml(path: Path, problems: Problems) -> dict[str, Any]:
    """Return the mapping that stands in `path`; a key that is repeated is noted in `problems`.

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
        data, repeated = parse(text)
    except yaml.YAMLError as error:
        _refuse(path, NOT_GIVEN, allowed="YAML", remedy=f"It cannot be read {describe(error, text)}")
    if not isinstance(data, dict):
        value = NOT_GIVEN if data is None or mentions_secret(text) else data
        remedy = "The file is empty: start from one in experiments/." if data is None else "Write 'key: value' lines."
        _refuse(path, value, allowed="a mapping with the keys name, dataset, model, augment ...", remedy=remedy)
    for key, first_line, line in repeated:
        where = f"line {line} twice" if line == first_line else f"line {first_line} and in line {line}"
        problems.add(key, NOT_GIVEN, allowed="each key once", remedy=f"It stands in {where}: remove one.")
    return data


def parse(text: str) -> tuple[Any, list[tuple[str, int, int]]]:
    """Return the one document in `text` and, for each repeated key, its dotted name and both lines: PyYAML would
    silently keep the last.
    """
    try:
        loader = _StrictLoader(text)
        try:
            node = loader.get_single_node()
            # Before `<<` is merged in: what a mapping takes over from another one it may replace.
            repeated = list(_repeated(node, "", set()))
            return None if node is None else loader.construct_document(node), repeated
        finally:
            loader.dispose()
    except (ValueError, KeyError, RecursionError) as error:
        # What PyYAML lets through: `!!int abc`, `!!bool maybe`, a thousand brackets.
        raise yaml.YAMLError(f"{type(error).__name__}: {error}") from error


def _repeated(node: yaml.Node | None, key: str, seen: set[yaml.Node]) -> Iterator[tuple[str, int, int]]:
    """Yield the keys that stand twice in a mapping, at `key` and below; what is repeated by an alias is seen once."""
    if node is None or node in seen:
        return
    seen.add(node)
    if isinstance(node, yaml.SequenceNode):
        for index, entry in enumerate(node.value):
            yield from _repeated(entry, f"{key}[{index}]", seen)
    elif isinstance(node, yaml.MappingNode):
        first_lines: dict[str, int] = {}
        for key_node, entry in node.value:
            name, line = key_node.value, key_node.start_mark.line + 1
            if isinstance(key_node, yaml.ScalarNode):
                below = f"{key}.{name}" if key else name
                if name in first_lines:
                    yield below, first_lines[name], line
                first_lines.setdefault(name, line)
                yield from _repeated(entry, below, seen)


def left_out(text: str) -> str:
    """Return what of a value YAML would leave out, in words; empty if all of it counts."""
    tokens = list(yaml.scan(text, _StrictLoader))
    written = [token for token in tokens if token.start_mark.index < token.end_mark.index]
    end = max((token.end_mark.index for token in written), default=0)
    if text[end:].strip().startswith("#"):
        return "YAML takes what begins with # for a comment"
    kinds = {type(token) for token in tokens}
    # A name that is used is meant as one.
    is_lost = yaml.AnchorToken in kinds and yaml.AliasToken not in kinds
    return "YAML takes what begins with & for a name" if is_lost else ""


def describe(error: yaml.YAMLError, text: str) -> str:
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
    meant = nearest(path.name, known)
    hint = f"Did you mean {path.with_name(meant)}?" if meant else f"There are: {', '.join(known)}."
    hint = hint if known else "Check the path."
    _refuse(path, NOT_GIVEN, allowed="an experiment file", remedy=f"There is no such file. {hint}")


def _refuse(path: Path, value: object, *, allowed: str, remedy: str) -> NoReturn:
    problems = Problems(str(path))
    problems.add("", value, allowed=allowed, remedy=remedy)
    # Not from the error that it may stem from: that one quotes the file, and --debug would print it.
    raise ConfigError(problems.noted) from None
