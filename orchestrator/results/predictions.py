"""The predictions of finished cells for each test image: from their folders, or from MLflow."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from orchestrator.errors import UserError
from orchestrator.storage import CellFolder, Predictions, SomePredictions
from orchestrator.storage.checkpoints import DamagedError

Fetch = Callable[[Path], bool]
"""Writes a cell's predictions, as MLflow has them, to a path; returns whether MLflow has any."""

logger = logging.getLogger(__name__)

InWords = Callable[[object], str]
_Read = TypeVar("_Read", Predictions, SomePredictions)


def predictions_of_cell(
    folder: CellFolder, *, order: str | None = None, fetch: Fetch | None = None
) -> Predictions | None:
    """Return the predictions of a finished cell; None, as of cells of earlier versions, if they are nowhere.

    Args:
        folder: Of the cell; it need not be there.
        order: See `read_predictions`.
        fetch: Where they are if they are not in `folder`; nothing is kept of what it writes. None: nothing is fetched.

    Raises:
        TrackingError: `fetch` cannot look.
    """
    return _of_cell(folder, partial(read_predictions, order=order, in_words=folder.in_words), fetch)


def some_predictions_of_cell(
    folder: CellFolder, names: Sequence[str], *, fetch: Fetch | None = None
) -> SomePredictions | None:
    """Return what `predictions_of_cell` does, but the arrays of these names alone: the others are not read."""
    return _of_cell(folder, lambda path: _sound(partial(SomePredictions.load, path, names), folder.in_words), fetch)


def _of_cell(folder: CellFolder, read: Callable[[Path], _Read | None], fetch: Fetch | None) -> _Read | None:
    found = read(folder.predictions)
    if found is not None or fetch is None:
        return found
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / folder.key / folder.predictions.name
        return read(path) if fetch(path) else None


def read_predictions(path: Path, *, order: str | None = None, in_words: InWords = str) -> Predictions | None:
    """Return the predictions in a file; None if there is none, and with a warning if it cannot be used.

    Args:
        path: The file.
        order: Of other predictions: those of other images, or of the same in another order, are left out.
        in_words: Says what names the file, as people know it.
    """
    found = _sound(partial(Predictions.load, path), in_words)
    if found is not None and order not in (None, found.order):
        logger.warning(
            "%s is of other test images than the others, or of another order, and is left out", in_words(path)
        )
        return None
    return found


def _sound(load: Callable[[], _Read | None], in_words: InWords) -> _Read | None:
    try:
        return load()
    except (DamagedError, UserError, OSError) as error:
        logger.warning("%s; it is left out", in_words(error))
        return None
