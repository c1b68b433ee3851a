"""What is left of a data set where files cannot be read."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import replace

import numpy as np

from orchestrator.data.dataset import Samples, Source
from orchestrator.data.image_files import FileSamples, UnreadableError


def with_readable_reference(parts: Mapping[str, Samples]) -> dict[str, Samples]:
    """Replace a reference file that is damaged by the first that is not: with it every other would look damaged, too.

    Args:
        parts: The samples of each part, which have the same reference.

    Raises:
        DataError: None can be read, or the first that can is not square.
    """
    first_error = None
    for samples in parts.values():
        if not isinstance(samples, FileSamples):
            continue
        for name in (samples.reference, *samples.ids):
            found = replace(samples, reference=name)
            try:
                found.try_reference()
            except UnreadableError as error:
                first_error = first_error or error
                continue
            found.shape(None)  # raises if it is not square
            return {
                part: replace(others, reference=name) if isinstance(others, FileSamples) else others
                for part, others in parts.items()
            }
    if first_error:
        raise first_error
    return dict(parts)


def without(source: Source, unreadable: Container[str]) -> Source:
    """Return a data set without the files of these ids."""
    kept = {
        part: samples.part(np.array([row for row, name in enumerate(samples.ids) if name not in unreadable], np.int64))
        if isinstance(samples, FileSamples)
        else samples
        for part, samples in source.parts.items()
    }
    return source.with_parts(kept)
