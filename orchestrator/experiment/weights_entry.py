"""The key ``weights`` of a model: from what a file says to the weights that it means, and where they lie."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from augment import ParameterError
from orchestrator.errors import UserError, nearest
from orchestrator.experiment.field_types import absolute
from orchestrator.experiment.problems import Problems, suggest
from orchestrator.models import (
    BY_HASH,
    is_file,
    is_timm,
    source_of,
    split_tag,
    timm_names,
    weight_names,
    weights_of_file,
)

_REMEDY = (
    "Correct the path; a relative one starts at the folder of the command. If the file is lost, and its cells are "
    f"trained, write {BY_HASH}HASH in its place, which is model.weights of their runs in MLflow."
)
_HASH = re.compile(rf"{BY_HASH}[0-9a-f]{{64}}")


class WeightsEntry:
    """What may stand for the weights of one network.

    Args:
        model: Which network.

    Attributes:
        files: Where the files lie that `check` was given, by what stands for them.
    """

    def __init__(self, model: str) -> None:
        self._model = model
        self.files: dict[str, str] = {}

    def check(self, value: object) -> str | None:
        """Return what a cell has for `value`: the name of published weights, or the hash of a file.

        A relative path starts at the folder of the command, as others of an experiment do.

        Raises:
            ParameterError: There are no such weights.
        """
        if value is None or (isinstance(value, str) and _HASH.fullmatch(value)):
            return value
        if isinstance(value, str) and is_file(value):
            return self._of_file(value)
        known = weight_names(self._model)
        if isinstance(value, str) and value in known:
            return source_of(self._model, value).name
        raise ParameterError("weights", value, self._allowed(known), _remedy(value, known))

    def _of_file(self, value: str) -> str:
        try:
            path = absolute(value)
            weights = weights_of_file(Path(path))
        except (UserError, ValueError) as error:
            raise ParameterError("weights", value, f"a file that can be read ({error})", _REMEDY) from error
        self.files.setdefault(weights, path)
        return weights

    def _allowed(self, known: tuple[str, ...]) -> str:
        names = f"{', '.join(known)}, " if known else ""
        return f"{names}the path of a file (.pt, .pth or .safetensors), or null for a training from scratch"


def take_tag(problems: Problems, key: str, name: object, options: dict[str, Any]) -> tuple[object, dict[str, Any]]:
    """Return what stands for ``timm/NETWORK.WEIGHTS``, timm's name of both: the network, and the weights as option."""
    network, tag = split_tag(name) if isinstance(name, str) else (name, None)
    if tag is None:
        return name, options
    if "weights" in options:
        problems.add(
            f"{key}.{name}.weights",
            options["weights"],
            allowed="weights once",
            remedy=f"The name has {tag} behind the dot: write {network}, or remove weights.",
        )
    return network, {**options, "weights": tag}


def timm_remedy(name: object) -> str:
    """Return what helps who names a model of timm that there is not; empty for other names."""
    if not isinstance(name, str) or not is_timm(name):
        return ""
    try:
        return suggest(name, timm_names())
    except UserError as error:
        return error.in_one_line


def _remedy(value: object, known: tuple[str, ...]) -> str:
    meant = nearest(value, known) if isinstance(value, str) else None
    if meant:
        return f"Did you mean {meant}?"
    return "Choose one of these." if known else "Name a file: of this network no weights are published."
