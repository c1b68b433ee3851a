"""Times what is repeated, on all ranks of a training at once."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch

from orchestrator.train.ranks import Ranks

# What is timed has so many times at least, and at most.
FEWEST_TIMES, MOST_TIMES = 3, 200
# A GPU is behind the host: so many are timed together, as a training has them.
AT_A_TIME_ON_GPU = 10


class Stopwatch:
    """Times what is repeated, the same number of times on all ranks.

    Attributes:
        first_s: Seconds of the first time of what was timed last.
    """

    def __init__(self, device: torch.device, ranks: Ranks) -> None:
        self._device, self._ranks = device, ranks
        self.first_s = 0.0
        self._at_a_time = AT_A_TIME_ON_GPU if device.type == "cuda" else 1

    def timed(self, repeated: Iterator[None], lasting_s: float) -> list[float]:
        """Return the seconds of each time, of several together their mean; the first time is not counted."""
        seconds, began_s = [], time.perf_counter()
        self._advance(repeated, 1)
        self.first_s, began_s = time.perf_counter() - began_s, time.perf_counter()
        while True:
            before_s = time.perf_counter()
            num = self._advance(repeated, self._at_a_time)
            if num:
                seconds.append((time.perf_counter() - before_s) / num)
            is_over = num < self._at_a_time or len(seconds) * num >= MOST_TIMES
            is_over |= len(seconds) >= FEWEST_TIMES and time.perf_counter() - began_s >= lasting_s
            if self._ranks.largest([int(is_over)]) == [1]:
                return seconds

    def _advance(self, repeated: Iterator[None], num: int) -> int:
        done = sum(1 for _ in zip(range(num), repeated, strict=False))
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return done
