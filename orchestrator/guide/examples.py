"""The experiments that zetasweep comes with: those of ``experiments/`` in the repository, which a wheel holds, too."""

from __future__ import annotations

import re
from pathlib import Path

from orchestrator.errors import UserError, nearest

# Where a wheel has them, and where the repository has.
_PLACES = (Path(__file__).with_name("experiments"), Path(__file__).parents[2] / "experiments")
FOLDER = next((place for place in _PLACES if place.is_dir()), _PLACES[0])
# Where the repository has it: elsewhere there is nothing.
_SCHEMA = re.compile(r"^# yaml-language-server: .*\n", re.MULTILINE)


def example_names() -> list[str]:
    """Return what they are called."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def example_text(name: str, file: Path) -> str:
    """Return the text of one, with the commands in its comments for where it will lie.

    Args:
        name: Of the example.
        file: Where it will lie.

    Raises:
        UserError: There is none of this name.
    """
    known = example_names()
    if name not in known:
        meant = nearest(name, known)
        raise UserError(
            f"--example {name}: there is no such example",
            allowed=", ".join(known),
            remedy=f"write --example {meant}" if meant else "write one of them",
        )
    text = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    return _SCHEMA.sub("", text).replace(f"experiments/{name}.yaml", str(file))
