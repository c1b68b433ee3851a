"""What a key of an experiment file takes, in words, from the JSON schema of its model."""

from __future__ import annotations

from typing import Any

import yaml
from pydantic import BaseModel

# Keys whose default depends on where the command runs, or on the data set.
DEFAULTS = {
    "data_dir": "what `ZETASWEEP_DATA` says, or `data`",
    "cache.dir": "what `ZETASWEEP_CACHE` says, or `zetasweep` in the user's caches",
    "dataset.NAME.crop_padding": "that of the data set, below; 0 with `random_resized_crop`",
    "dataset.NAME.hflip": "that of the data set, below",
}
_WORDS = {
    "integer": "integer",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
    "array": "list",
    "null": "null",
    "object": "mapping",
}


def properties(model: type[BaseModel]) -> dict[str, dict[str, Any]]:
    """Return the JSON schema of each field of `model`; what it refers to is put in its place."""
    schema = model.model_json_schema()
    return {name: resolved(field, schema) for name, field in schema["properties"].items()}


def resolved(schema: Any, whole: dict[str, Any]) -> Any:
    """Return `schema` with every reference into the ``$defs`` of `whole` replaced by what it refers to."""
    if isinstance(schema, list):
        return [resolved(entry, whole) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        target = whole["$defs"][schema["$ref"].removeprefix("#/$defs/")]
        return resolved({**target, **{key: value for key, value in schema.items() if key != "$ref"}}, whole)
    return {key: resolved(value, whole) for key, value in schema.items()}


def kind(schema: dict[str, Any]) -> str:
    """Return what kind of value a field takes, e.g. ``integer or null``."""
    if "anyOf" in schema:
        return " or ".join(kind(option) for option in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"`{choice}`" for choice in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("format") == "path":
        return "path"
    return _WORDS[schema["type"]]


def default(key: str, schema: dict[str, Any], *, required: bool) -> str:
    """Return the default of a field in words."""
    if key in DEFAULTS:
        return f"default: {DEFAULTS[key]}"
    if required:
        return "required"
    assert "default" in schema, f"{key}: say in DEFAULTS what its default is"
    text = yaml.safe_dump(schema["default"], default_flow_style=True, width=1000).removesuffix("...\n").strip()
    return f"default `{text}`"
