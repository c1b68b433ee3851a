"""Collects what is wrong with an experiment file, so that a user sees all of it at once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from augment import ParameterError
from orchestrator.credentials import without_secrets
from orchestrator.errors import ConfigError, Problem, nearest

COMMAND_LINE = "-o"
NOT_GIVEN = object()
_SHOWN_CHARACTERS = 100
# What YAML 1.1 takes for a truth value, and this reader for a text.
_TRUTH = {"yes": "true", "on": "true", "no": "false", "off": "false"}


class Problems:
    """The problems of one experiment file and of the overrides that were applied to it."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.noted: list[Problem] = []
        self._overridden: list[str] = []

    def attribute_to_command_line(self, key: str) -> None:
        """Say that what stands at and below `key` comes from an override and not from the file."""
        self._overridden.append(key)

    def add(self, key: str, value: object, *, allowed: str, remedy: str) -> None:
        """Note a problem, unless the very same is noted already; pass `NOT_GIVEN` where there is no value."""
        overridden = any(re.match(rf"{re.escape(prefix)}(?![A-Za-z0-9_-])", key) for prefix in self._overridden)
        problem = Problem(
            file=COMMAND_LINE if overridden else self.file, key=key, value=show(value), allowed=allowed, remedy=remedy
        )
        if problem not in self.noted:
            self.noted.append(problem)

    def add_unknown(self, key: str, value: object, *, word: str, known: Sequence[str], what: str) -> None:
        """Note that `word`, part of what stands at `key`, is none of the `known`; name the nearest."""
        self.add(key, value, allowed=f"{what}: {', '.join(known) or 'none'}", remedy=suggest(word, known))

    def add_validation(
        self,
        error: ValidationError,
        model: type[BaseModel],
        *,
        prefix: str = "",
        keys: Sequence[str] = (),
        written: Mapping[str, str] | None = None,
    ) -> None:
        """Note what pydantic found in a section.

        Args:
            error: What it found.
            model: The section.
            prefix: The section's key.
            keys: What may stand in the section, if not all that the model has.
            written: What fields are called in the file, where otherwise.
        """
        seen = set()
        for item in error.errors(include_url=False):
            owner, (field, *rest) = model, item["loc"]
            key = f"{prefix}.{(written or {}).get(str(field), field)}" if prefix else str(field)
            while rest and isinstance(rest[0], str) and (nested := _section_in(owner, str(field))):
                owner, (field, *rest) = nested, rest
                key += f".{field}"
            # Of a union pydantic reports every branch; one problem for the value is enough.
            key += "".join(f"[{step}]" for step in rest if isinstance(step, int))
            if key in seen:
                continue
            seen.add(key)
            if item["type"] in ("extra_forbidden", "invalid_key"):
                known = keys if owner is model and keys else list(owner.model_fields)
                self.add_unknown(key, item["input"], word=str(field), known=known, what="one of the keys")
            else:
                self._add_item(item["type"], item.get("ctx", {}), item["input"], key=key, field=str(field), model=owner)

    def _add_item(
        self, kind: str, context: dict[str, Any], value: object, *, key: str, field: str, model: type[BaseModel]
    ) -> None:
        allowed, default = model.model_fields[field].description or "another value", model.model_fields[field].default
        refused = context.get("error")
        if kind == "missing":
            self.add(key, NOT_GIVEN, allowed=allowed, remedy="It is missing: add it.")
        elif kind == "cross_field":
            self.add(key, value, allowed=context["allowed"], remedy=context["remedy"])
        elif isinstance(refused, ParameterError):
            remedy = refused.remedy or _remedy(value, context, default)
            self.add(key, value, allowed=refused.allowed, remedy=remedy)
        else:
            self.add(
                key, value, allowed=allowed, remedy=_hint(kind, value, default) or _remedy(value, context, default)
            )

    def raise_if_any(self) -> None:
        """Raise ConfigError with everything noted so far."""
        if self.noted:
            raise ConfigError(self.noted)


def suggest(word: str, known: Sequence[str]) -> str:
    """Return the remedy for `word` that is none of the `known`."""
    if meant := nearest(word, known):
        return f"Did you mean {meant}?"
    return "Choose one of these." if known else "Remove it."


def show(value: object) -> str:
    """Return `value` as YAML on one line, shortened if it is long, without the credentials in it."""
    if value is NOT_GIVEN:
        return ""
    try:
        text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=float("inf"), allow_unicode=True)
    except yaml.YAMLError:  # not plain data, e.g. a Path
        text = str(value)
    text = without_secrets(" ".join(text.removesuffix("...\n").split()))
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 4]} ..."


def _section_in(model: type[BaseModel], field: str) -> type[BaseModel] | None:
    """Return the section that `field` is, where it is one."""
    annotation = model.model_fields[field].annotation if field in model.model_fields else None
    kinds = get_args(annotation) or (annotation,)
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _hint(kind: str, value: object, default: object) -> str:
    """Return how a word of another language than this YAML is written; empty if it is none."""
    word = value.lower() if isinstance(value, str) else ""
    if kind == "bool_type" and word in _TRUTH:
        return f"Write {_TRUTH[word]}."
    # Whatever may be null is null where nothing is said.
    return "Write null, or leave it out." if default is None and word == "none" else ""


def _remedy(value: object, context: dict[str, Any], default: object) -> str:
    choices = re.findall(r"'(\w+)'", context.get("expected", ""))
    if isinstance(value, str) and nearest(value, choices):
        return suggest(value, choices)
    if isinstance(value, str) and re.fullmatch(r"[-+.\deE]+", value):
        value_hint = "Write a plain decimal number without quotes"
    else:
        value_hint = "Change it"
    if isinstance(default, bool | int | float | str | Path):
        return f"{value_hint}, or leave it out for the default, {show(default)}."
    return f"{value_hint}."
