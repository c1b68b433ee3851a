"""The options of a model: what its builder takes beside what the images decide, typed by its annotations."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import ConfigDict, TypeAdapter, ValidationError

from augment import ParameterError
from orchestrator.credentials import OF_NO_CREDENTIAL, is_secret_name
from orchestrator.errors import nearest

REQUIRED = inspect.Parameter.empty
# What no option can be called: the images decide it.
_GIVEN = ("name", "num_classes", "num_channels", "image_size")
TAKEN = ("weights", "freeze", "head_lr", "normalization", "train")
"""What an experiment file says of any model: as an option of one, it could not be said."""
_WORDS = {bool: "true or false", int: "an integer", float: "a number", str: "a text", NoneType: "null"}
_ANY = bool | int | float | str | None
# What the images do not decide, and an experiment file says otherwise.
_NAMES_OF_ALL = ("name", *TAKEN)
_SAYABLE = "true, false, finite numbers, texts, null"


@dataclass(frozen=True)
class ModelOption:
    """A keyword argument of a builder that an experiment can set.

    Attributes:
        name: What it is called.
        kind: Its annotation: of ``bool``, ``int``, ``float``, ``str``, ``None``, ``Literal``, and unions of these, with
            the bounds of ``Annotated``; without an annotation it is any of these.
        default: What stands for it where nothing is said; `REQUIRED` if something must be.
    """

    name: str
    kind: Any
    default: Any

    @property
    def allowed(self) -> str:
        """What a user is told of it, e.g. ``an integer, 8 where nothing is said``."""
        usual = "" if self.default is REQUIRED else f", {_written(self.default)} where nothing is said"
        return " or ".join(_words(self.kind)) + usual

    @property
    def usual(self) -> Any:
        """The default as the builder gets it where it is written out: 0 for a float is 0.0, so that both are one cell.

        One that the annotation does not allow, such as None for an ``int``, stays as it is.
        """
        try:
            return self.check(self.default)
        except ParameterError:
            return self.default

    def check(self, value: object) -> Any:
        """Return `value` as the builder gets it: an integer given for a float is one.

        Raises:
            ParameterError: It is of another type, or beyond the bounds of the annotation.
        """
        try:
            # Strict: true is no 1, and "8" no 8. The key of a cell takes neither NaN nor infinity.
            return TypeAdapter(self.kind, config=ConfigDict(strict=True, allow_inf_nan=False)).validate_python(value)
        except ValidationError as error:
            said = [found["msg"] for found in error.errors(include_url=False) if not found["type"].endswith("_type")]
            more = f" ({said[0][0].lower()}{said[0][1:]})" if said else ""
            raise ParameterError(self.name, value, self.allowed + more, f"Change {self.name}.") from error


def read_options(builder: Callable[..., object]) -> dict[str, ModelOption]:
    """Return the options of a builder by name: of its keyword arguments those that a file can say.

    One of another type than a file's scalars is none; the builder must have a default for it.

    Raises:
        Exception: Whatever an annotation raises that is a text, other than NameError.
    """
    return {
        name: ModelOption(name, _ANY if isinstance(kind, str) or kind is Any else kind, default)
        for name, kind, default in _keywords(builder)
        if name not in _GIVEN and _is_scalar(kind)
    }


def unsayable_options(builder: Callable[..., object]) -> dict[str, str]:
    """Return the keyword arguments of a builder that no file can say, each with its annotation."""
    return {
        name: inspect.formatannotation(kind)
        for name, kind, _ in _keywords(builder)
        if name not in _GIVEN and not _is_scalar(kind)
    }


def check_builder(builder: Callable[..., object]) -> Iterator[tuple[str, str, str]]:
    """Yield of each keyword argument that cannot be an option its name, what is wrong and what is allowed.

    Raises:
        Exception: As `read_options`; or an annotation has bounds that pydantic does not take.
    """
    for name, kind, default in _keywords(builder):
        if name in _NAMES_OF_ALL:
            yield name, "", f"other names: model: {{NAME: {{{name}: …}}}} means something else"
        elif is_secret_name(name):
            yield name, "", OF_NO_CREDENTIAL
        elif name in _GIVEN:
            continue
        elif not _is_scalar(kind):
            if default is REQUIRED:
                yield name, f" is {inspect.formatannotation(kind)} and has no default", _SAYABLE
        elif default is not REQUIRED:
            usual = ModelOption(name, _ANY if isinstance(kind, str) or kind is Any else kind, default).usual
            if not isinstance(usual, _ANY) or (isinstance(usual, float) and not math.isfinite(usual)):
                yield name, f" is {default!r} by default", f"{_SAYABLE}: what the key of a cell can hold"


def _keywords(builder: Callable[..., object]) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, annotation and default of each argument of a builder that is given by keyword."""
    try:
        arguments = inspect.signature(builder, eval_str=True).parameters
    except NameError:  # annotations of names that are imported for type checkers alone
        arguments = inspect.signature(builder).parameters
    for name, argument in arguments.items():
        kind = _ANY if argument.annotation is inspect.Parameter.empty else argument.annotation
        if argument.kind in (argument.KEYWORD_ONLY, argument.POSITIONAL_OR_KEYWORD):
            yield name, kind, argument.default


def check_options(model: str, known: Mapping[str, ModelOption], options: Mapping[str, object]) -> dict[str, Any]:
    """Return `options` as the builder of `model` gets them, with its defaults for the others; see `without_off`.

    Raises:
        ParameterError: One is not known, is missing or has a value that is not allowed.
    """
    for name, value in options.items():
        if name not in known:
            raise ParameterError(name, value, describe_options(model, known), unknown_remedy(name, known))
    values = {}
    for name, option in known.items():
        if name not in options and option.default is REQUIRED:
            raise ParameterError(name, "nothing", f"a value: {option.allowed}", "It is missing: add it.")
        values[name] = option.check(options[name]) if name in options else option.usual
    return without_off(known, values)


def without_off(known: Mapping[str, ModelOption], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return `values` without those that are None by default: a later option that is off changes no key."""
    return {name: value for name, value in values.items() if value is not None or known[name].default is not None}


def describe_options(model: str, known: Mapping[str, ModelOption]) -> str:
    """Return what a user is told who gives a model an option that it does not have."""
    if not known:
        return f"no options: {model} has none"
    each = "; ".join(f"{option.name}: {option.allowed}" for option in known.values())
    return f"the options of {model} ({each})"


def unknown_remedy(name: str, known: Mapping[str, ModelOption]) -> str:
    """Return what helps who gives an option that is none."""
    meant = nearest(name, list(known))
    return f"Did you mean {meant}?" if meant else "Remove it."


def _is_scalar(kind: Any) -> bool:
    """Return whether a file can say a value of this type; an annotation that cannot be evaluated is taken for one."""
    if kind is None or kind is Any or isinstance(kind, str) or any(kind is scalar for scalar in _WORDS):
        return True
    if get_origin(kind) is Literal:
        return all(type(choice) in _WORDS for choice in get_args(kind))
    if get_origin(kind) is Annotated:
        return _is_scalar(get_args(kind)[0])
    return get_origin(kind) in (Union, UnionType) and all(map(_is_scalar, get_args(kind)))


def _words(kind: Any) -> list[str]:
    if get_origin(kind) is Literal:
        return [_written(choice) for choice in get_args(kind)]
    if get_origin(kind) is Annotated:
        return _words(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return [word for each in get_args(kind) for word in _words(each)]
    return [_WORDS[NoneType if kind is None else kind]]


def _written(value: object) -> str:
    words = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else str(value)
