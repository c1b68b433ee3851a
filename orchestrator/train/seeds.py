"""The seeds of a training: one stream of random numbers for each purpose, epoch and rank."""

from __future__ import annotations

import numpy as np

# The first number of a stream's path: what the stream is for.
ORDER, AUGMENT, MODEL = 0, 1, 2


def derive_seed(seed: int, *path: int) -> int:
    """Return a 63-bit seed for one stream of random numbers, e.g. ``derive_seed(seed, AUGMENT, epoch, rank)``."""
    # As one list, [seed, *path] and [seed, *path, 0] would be the same stream: NumPy fills up with zeros.
    sequence = np.random.SeedSequence(seed, spawn_key=path)
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))
