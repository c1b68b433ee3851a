"""Threads that use a GPU that is not there at the same time, as the feed of an epoch and its training do."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from zetasweep.testing import FakeCuda, fake_cuda

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, on which the same is tried")
THREADS, TIMES = 4, 300


@pytest.fixture
def cuda() -> Iterator[FakeCuda]:
    with fake_cuda() as cuda:
        yield cuda


def test_threads_compute_at_the_same_time(cuda: FakeCuda) -> None:
    def computed(size: int) -> set[tuple[torch.Size, str]]:
        batch = torch.rand(size, 3)
        shapes = ((batch.to(cuda.device) * number).T.contiguous() for number in range(TIMES))
        return {(each.shape, each.device.type) for each in shapes}

    with ThreadPoolExecutor(THREADS) as threads:
        found = list(threads.map(computed, range(1, THREADS + 1)))
    assert found == [{(torch.Size([3, size]), "cuda")} for size in range(1, THREADS + 1)]
