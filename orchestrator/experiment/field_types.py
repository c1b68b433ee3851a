"""The kinds of fields that the sections of an experiment file are made of."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from orchestrator.credentials import NO_CREDENTIALS, has_password
from orchestrator.objects import SCHEMES, Address, is_object_address

# What no name and no path needs: it would end a line of a log, steer a terminal, or cannot be written at all.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

# What would become folders of these names below the present one.
_ADDRESS = re.compile("[A-Za-z][A-Za-z0-9+.-]*:/")

# The same for editors, as a JSON schema says it: `Text`, and the path of a folder.
_PRINTABLE_PATTERN = r"^(?![\s\S]*[\x00-\x1f\x7f-\x9f])"
TEXT_PATTERN = rf"{_PRINTABLE_PATTERN}[\s\S]*\S"
_PATH_PATTERN = rf"{_PRINTABLE_PATTERN}(?![A-Za-z][A-Za-z0-9+.-]*:/)[\s\S]"
# Of a folder, or of object storage without a password.
_PLACE_PATTERN = rf"{_PRINTABLE_PATTERN}(?:(?![A-Za-z][A-Za-z0-9+.-]*:/)[\s\S]|(?:{'|'.join(SCHEMES)})://(?![^/@\s]*:[^/@\s]+@)[^/\s])"
PLACES = ", ".join(f"{scheme}://" for scheme in SCHEMES[:3])


def _printable(value: str) -> str:
    if _CONTROL.search(value):
        raise refuse("text without control characters", "Remove them.")
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise refuse("text that is not blank", "Write something, or leave it out.")
    return value


def _absolute(value: object) -> Path:
    if not isinstance(value, str | Path) or not str(value):
        raise ValueError("not a path")
    if is_address(str(value)):
        raise refuse("a path, no address", "Write the path of a folder; mount what lies elsewhere.")
    return Path(absolute(str(value)))


def _place(value: object) -> Path | Address:
    if isinstance(value, Address):
        return value
    text = str(value)
    if isinstance(value, str) and is_object_address(_printable(text)):
        if has_password(text):
            raise refuse(NO_CREDENTIALS, "Remove them: what reads there finds them in the environment.")
        try:
            return Address.of(text)
        except ValueError as error:
            raise refuse(f"an address as {SCHEMES[0]}://BUCKET/FOLDER", f"Mend it: {error}.") from error
    if isinstance(value, str) and is_address(text):
        raise refuse(f"a path, or an address that begins with {PLACES}", "Write one; mount what lies elsewhere.")
    return _absolute(value)


def _written(place: Path | Address) -> str:
    """Return a place as it is read again: an experiment is made of parts that were."""
    return place.in_full if isinstance(place, Address) else str(place)


def is_address(value: str) -> bool:
    """Return whether `value` begins like an address, with ``scheme:/``."""
    return _ADDRESS.match(value) is not None


def absolute(path: str) -> str:
    """Return `path` seen from the folder of the command, with ``~`` replaced.

    Raises:
        PydanticCustomError: Nobody knows what its ``~`` is, or it has control characters, with the present folder.
    """
    if (expanded := os.path.expanduser(path)).startswith("~"):
        # It would become a folder of this name below the present one.
        raise refuse("a path whose ~ is known", "Write it out: there is no such user, or no home folder.")
    return _printable(os.path.abspath(expanded))


def refuse(allowed: str, remedy: str) -> PydanticCustomError:
    """Return the error of a check that spans fields; `orchestrator.experiment.problems` prints both texts."""
    return PydanticCustomError("cross_field", "allowed: {allowed}. {remedy}", {"allowed": allowed, "remedy": remedy})


# Strict: `epochs: true` and `epochs: "5"` are mistakes and not 1 and 5.
Integer = Annotated[int, Field(strict=True)]
Real = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Beta = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, lt=1)]
Bool = Annotated[bool, Field(strict=True)]
Text = Annotated[
    str,
    Field(min_length=1, json_schema_extra={"pattern": TEXT_PATTERN}),
    AfterValidator(_printable),
    AfterValidator(_not_blank),
]
Count = Annotated[int, Field(strict=True, ge=1)]
AbsolutePath = Annotated[Path, Field(json_schema_extra={"pattern": _PATH_PATTERN}), BeforeValidator(_absolute)]
# A folder, or object storage.
Place = Annotated[
    InstanceOf[Path] | InstanceOf[Address],
    BeforeValidator(_place),
    PlainSerializer(_written),
    WithJsonSchema({"type": "string", "format": "path", "pattern": _PLACE_PATTERN}),
]


class Frozen(BaseModel):
    """A section: nothing in it changes, and it has no keys but its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def call_of(name: str, options: Mapping[str, Any]) -> str:
    """Return e.g. ``zeta_mixup(gamma=2.8, num_mixed=4)``, or the name alone if there are no options."""
    return f"{name}({', '.join(_option(key, options[key]) for key in sorted(options))})" if options else name


def _option(name: str, value: Any) -> str:
    if value is True:
        return name
    if isinstance(value, Mapping):
        return call_of(name, value)
    return f"{name}={'-'.join(map(str, value)) if isinstance(value, tuple) else value}"
