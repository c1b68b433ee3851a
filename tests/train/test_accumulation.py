from __future__ import annotations

import pytest

from orchestrator.errors import CellError
from orchestrator.train.accumulation import parts_of_epoch
from orchestrator.train.batches import check_global_batch


@pytest.mark.parametrize(
    ("num_batches", "accumulate", "expected"),
    [
        (3, None, [(1, 1), (1, 1), (1, 1)]),
        (4, 2, [(1, 2), (2, 2), (1, 2), (2, 2)]),
        (5, 2, [(1, 2), (2, 2), (1, 2), (2, 2), (1, 1)]),
        (5, 3, [(1, 3), (2, 3), (3, 3), (1, 2), (2, 2)]),
        (3, 3, [(1, 3), (2, 3), (3, 3)]),
    ],
)
def test_what_is_left_over_is_a_step_of_its_own(
    num_batches: int, accumulate: int | None, expected: list[tuple[int, int]]
) -> None:
    parts = parts_of_epoch(num_batches, accumulate)
    assert parts == expected
    assert sum(part.is_last for part in parts) == -(-num_batches // (accumulate or 1))
    assert sum(1 / part.of for part in parts) == pytest.approx(sum(part.is_last for part in parts))


def test_a_step_of_more_than_an_epoch_is_refused_before_a_training() -> None:
    check_global_batch(100, batch_size_per_worker=10, world_size=2, accumulate=5)
    with pytest.raises(CellError, match="an epoch has 5") as refused:
        check_global_batch(100, batch_size_per_worker=10, world_size=2, accumulate=6)
    assert "lower train.accumulate or train.batch_size_per_worker" in str(refused.value)
