"""The names that a shell is offered after TAB and that only modules know which take seconds to import."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from augment import AUGMENTATIONS
from orchestrator.cli.completing import NAMES
from orchestrator.data import DATASETS
from orchestrator.experiment.settings import General
from orchestrator.guide import example_names
from orchestrator.models.registry import MODELS
from orchestrator.report import FIGURES
from tools.reference.fields import DEFAULTS, properties
from tools.reference.yaml_keys import SECTIONS

__all__ = ["NAMES", "names_text"]

_NO_SHORT_VALUE = ("object", "array")


def names_text() -> str:
    """Return the text of the file."""
    keys: dict[str, list[str]] = {
        "dataset": list(DATASETS),
        "model": list(MODELS),
        "augment": list(AUGMENTATIONS),
        "seed": ["0"],
    }
    sections: dict[str, type[BaseModel]] = {"": General, **SECTIONS}
    for section, model in sections.items():
        for name, schema in properties(model).items():
            key = f"{section}.{name}" if section else name
            keys[key] = [] if key in DEFAULTS else _values(schema)
    found = {
        "figures": list(FIGURES),
        "datasets": list(DATASETS),
        "examples": example_names(),
        "keys": dict(sorted(keys.items())),
    }
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def _values(schema: dict[str, Any]) -> list[str]:
    """Return what may stand there, where that is one of a few; else the default, where there is a short one."""
    options = schema.get("anyOf", [schema])
    choices = [str(choice) for option in options for choice in (*option.get("enum", ()), option.get("const"))]
    choices = [choice for choice in choices if choice != "None"]
    default = schema.get("default")
    if choices or default is None or schema.get("type") in _NO_SHORT_VALUE:
        return choices
    return [str(default).lower() if isinstance(default, bool) else str(default)]
