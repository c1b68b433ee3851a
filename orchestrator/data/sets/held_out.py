"""The test samples of a set that ships none."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.data.image_files import FileSamples
from orchestrator.data.splits import group_holdout

TEST_FRACTION = 0.2
HELD_OUT = "a stratified fifth of the images, held out, since the set ships none"


def held_out_fifth(samples: FileSamples, class_names: Sequence[str]) -> tuple[FileSamples, FileSamples]:
    """Return what is trained on and what is tested on: a stratified fifth, of whole groups, always the same.

    Raises:
        DataError: A class has a single sample, or stands in a single group.
    """
    kept, held_out = group_holdout(
        samples.ids, samples.labels, samples.groups, class_names, fraction=TEST_FRACTION, salt="test"
    )
    return samples.part(kept), samples.part(held_out)
