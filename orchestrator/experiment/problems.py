"""Collects what is wrong with an experiment file, so that a user sees all of it at once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from augment import ParameterError
from orchestrator.credentials import without_secrets
from orchestrator.errors import ConfigError, Problem, nearest

_Section = TypeVar("_Section", bound=BaseModel)
COMMAND_LINE, ENVIRONMENT = "-o", "environment"
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

    def another(self) -> Problems:
        """Return an empty one of the same file and overrides, for what is only tried."""
        other = Problems(self.file)
        other._overridden = self._overridden
        return other

    def attribute_to_command_line(self, key: str) -> None:
        """Say that what stands at and below `key` comes from an override and not from the file."""
        self._overridden.append(key)

    def is_overridden(self, key: str) -> bool:
        """Return whether what stands at `key` comes from the command line."""
        return any(_is_below(key, overridden) for overridden in self._overridden)

    def overrides(self, *keys: str) -> bool:
        """Return whether the command line says anything at or below one of `keys`."""
        return any(_is_below(overridden, key) for overridden in self._overridden for key in keys)

    def stand_at(self, *keys: str) -> bool:
        """Return whether anything is wrong at or below one of `keys`."""
        return any(_is_below(problem.key, key) for problem in self.noted for key in keys)

    def add(self, key: str, value: object, *, allowed: str, remedy: str) -> None:
        """Note a problem, unless the very same is noted already; pass `NOT_GIVEN` where there is no value."""
        file = COMMAND_LINE if self.is_overridden(key) else self.file
        problem = Problem(file=file, key=key, value=show(value), allowed=allowed, remedy=remedy)
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
        places: Mapping[str, str] | None = None,
    ) -> None:
        """Note what pydantic found in a section.

        Args:
            error: What it found.
            model: The section.
            prefix: The section's key.
            keys: What may stand in the section, if not all that the model has.
            written: What fields are called in the file, where otherwise.
            places: The keys of fields that stand elsewhere than in the section.
        """
        seen = set()
        for item in error.errors(include_url=False):
            owner, (field, *rest) = model, item["loc"]
            key = f"{prefix}.{(written or {}).get(str(field), field)}" if prefix else str(field)
            key = (places or {}).get(str(field), key)
            while rest and isinstance(rest[0], str) and (nested := _section_in(owner, str(field))):
                owner, (field, *rest) = nested, rest
                key += f".{field}"
            if rest and field in owner.model_fields and get_origin(owner.model_fields[field].annotation) is dict:
                key += f".{rest[0]}"
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


def read_section(problems: Problems, model: type[_Section], raw: object, *, key: str = "") -> _Section | None:
    """Return `raw` as a `model`, or None with the problems noted; an empty section means its defaults."""
    if not isinstance(raw, dict | None):
        allowed = f"a mapping with the keys {', '.join(model.model_fields)}"
        problems.add(key, raw, allowed=allowed, remedy=f"Write {key}: {{key: value}}.")
        return None
    try:
        return model.model_validate(raw or {})
    except ValidationError as error:
        problems.add_validation(error, model, prefix=key)
    except ConfigError as error:  # of `read_variable`, where the section leaves a field to it
        problems.noted += error.problems
    return None


def read_variable(variable: str, value: object, model: type[BaseModel], field: str, **others: object) -> Any:
    """Return what an environment variable says in place of a field, checked as what a file says is.

    Args:
        variable: Which.
        value: What it says.
        model: Of the field.
        field: Its name.
        others: What the model needs besides.

    Raises:
        ConfigError: The field can have no such value; it names the variable.
    """
    try:
        return getattr(model.model_validate({**others, field: value}), field)
    except ValidationError as error:
        problems = Problems(ENVIRONMENT)
        problems.add_validation(error, model, places={field: variable})
        raise ConfigError(problems.noted) from None  # pydantic's own message has the value, with a password in it


def _is_below(key: str, prefix: str) -> bool:
    return re.match(rf"{re.escape(prefix)}(?![A-Za-z0-9_-])", key) is not None


def suggest(word: str, known: Sequence[str]) -> str:
    """Return the remedy for `word` that is none of the `known`."""
    if meant := nearest(word, known):
        return f"Did you mean {meant}?"
    return "Choose one of these." if known else "Remove it."


def suggest_name(word: str, known: Sequence[str]) -> str:
    """Return the remedy for the name of a model, augmentation or data set that is none of the `known`."""
    if nearest(word, known):
        return suggest(word, known)
    return "Choose one of these; or, for one of your own, name its file: --plugin mine.py"


def show(value: object) -> str:
    """Return `value` as YAML on one line, shortened if it is long, without the credentials in it."""
    text = in_full(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 4]} ..."


def in_full(value: object) -> str:
    """Return what `show` does, however long it is: values that differ have texts that do."""
    if value is NOT_GIVEN:
        return ""
    try:
        text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=float("inf"), allow_unicode=True)
    except yaml.YAMLError:  # not plain data, e.g. a Path
        text = str(value)
    return without_secrets(" ".join(text.removesuffix("...\n").split()))


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
