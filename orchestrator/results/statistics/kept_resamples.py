"""Resampled metrics of cells that were asked for before: a column of many takes minutes, and one is asked of it again.

A driver asks whenever a column of its table is complete, and for the table that it prints.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from orchestrator.results.statistics.answers import Answers
from orchestrator.results.statistics.resampling import Measure, resampled

# Of 32 kB each.
MOST_KEPT = 4000
_ARRAYS = ("labels", "groups", "predicted", "confidence", "logits")
_kept: OrderedDict[Hashable, NDArray[np.float64]] = OrderedDict()


def resampled_once(cells: Sequence[Answers], measure: Measure, *, of: Hashable) -> NDArray[np.float64]:
    """Return what `resampled` does; of cells with the same answers it is computed once in a process.

    Args:
        cells: See there.
        measure: Likewise.
        of: What the measure is, e.g. its name and the label of its class.
    """
    keys = [(of, _digest(cell)) for cell in cells]
    new = {key: cell for key, cell in zip(keys, cells, strict=True) if key not in _kept}
    found = dict(zip(new, resampled(list(new.values()), measure), strict=True)) if new else {}
    values = np.stack([found[key] if key in found else _kept[key] for key in keys])
    for key in keys:
        _kept[key] = _kept.pop(key) if key in _kept else found[key]
    while len(_kept) > MOST_KEPT:
        _kept.popitem(last=False)
    return values


def _digest(cell: Answers) -> bytes:
    """Return what tells a cell's answers from others: their content, since they are read anew each time."""
    digest = hashlib.sha256(cell.order.encode())
    for name in _ARRAYS:
        array = getattr(cell, name, None)
        if array is not None:
            digest.update(f"{name} {array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.digest()
