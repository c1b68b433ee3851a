"""Applies ``-o key=value`` of the command line to an experiment file that was read as plain data."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import yaml

from orchestrator.credentials import NO_CREDENTIALS, PLACES, is_secret_name, mentions_secret, without_secrets
from orchestrator.errors import Problem
from orchestrator.experiment.problems import COMMAND_LINE, NOT_GIVEN, Problems
from orchestrator.experiment.yaml_reader import describe, left_out, parse

_OVERRIDE = re.compile(r"\s*(?P<key>\w[\w-]*(?:\[\d+\]|\.\w[\w-]*)*)\s*=(?P<value>.*)", re.DOTALL)
_STEP = re.compile(r"\[(\d+)\]|([\w-]+)")

Key = list[int | str]
"""The steps of a dotted key, from the outermost mapping or list."""
WrittenOut = Callable[[dict[str, Any], Key], Key]


def apply_overrides(
    data: dict[str, Any], overrides: Sequence[str], problems: Problems, *, written_out: WrittenOut = lambda _, key: key
) -> dict[str, Any]:
    """Return a copy of `data` with each ``key=value`` set, the last winning; what is wrong is noted in `problems`.

    A key is dotted as the messages print it: ``train.epochs``, ``augment[2].zeta_mixup.gamma``. The value is YAML.
    Whether an experiment has such a key is checked later, with the file.

    Args:
        data: What stands in the file.
        overrides: What to set.
        problems: Takes what is wrong.
        written_out: Returns the whole of a key that may be short for another, given what is set so far.
    """
    for override in overrides:
        match = _OVERRIDE.fullmatch(override)
        if match is None and not mentions_secret(override):
            _note(problems, override, NOT_GIVEN, allowed="key=value", remedy="E.g. -o train.epochs=2 -o 'seed=[0,1]'")
            continue
        if match is None or any(is_secret_name(name) for _, name in _STEP.findall(match["key"])):
            _note(problems, match["key"] if match else "", NOT_GIVEN, allowed=NO_CREDENTIALS, remedy=PLACES)
            continue
        key, text = match["key"], match["value"]
        try:
            if lost := left_out(text):
                _note(problems, key, text, allowed="a YAML value", remedy=f"{lost}: quote it, -o '{key}=\"...\"'")
                continue
            value, repeated = parse(text)
            if repeated:
                raise yaml.YAMLError(f"the key {repeated[0][0]} stands there twice")
            steps = written_out(data, [int(index) if index else name for index, name in _STEP.findall(key)])
            changed = _replaced(data, steps, value, at="")
        except yaml.YAMLError as error:
            _note(problems, key, text, allowed="a YAML value", remedy=f"It cannot be read {describe(error, text)}")
        except LookupError as error:
            _note(problems, key, text, allowed="a key of the experiment file", remedy=str(error.args[0]))
        else:
            problems.attribute_to_command_line(_join(_up_to_new(data, steps)))
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


def _note(problems: Problems, key: str, value: object, *, allowed: str, remedy: str) -> None:
    shown = "" if value is NOT_GIVEN or mentions_secret(str(value)) else without_secrets(str(value))
    problems.noted.append(
        Problem(file=COMMAND_LINE, key=without_secrets(key), value=shown, allowed=allowed, remedy=remedy)
    )
