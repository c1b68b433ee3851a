"""What the ranks of a training tell each other. A process without a process group is rank 0 of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from orchestrator.errors import CellError, UserError
from orchestrator.waiting import waiting_for

_Value = TypeVar("_Value")


class Ranks:
    """The default process group, seen from one of its ranks. Every method is called by all of them.

    Args:
        device: Where tensors can be reduced.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.world_size = dist.get_world_size() if dist.is_initialized() else 1

    def from_rank_0(self, value: _Value) -> _Value:
        """Return rank 0's `value` on every rank."""
        payload = [value]
        if self.world_size > 1:
            dist.broadcast_object_list(payload, src=0)
        return payload[0]

    def of_all(self, value: _Value) -> list[_Value]:
        """Return the values of all ranks, by rank."""
        values = [value] * self.world_size
        if self.world_size > 1:
            dist.all_gather_object(values, value)
        return values

    def agreed(self, prepare: Callable[[], _Value]) -> _Value:
        """Return what `prepare` returns on this rank.

        Raises:
            UserError: `prepare` raised one on any rank; all raise it, so that none waits for another.
            CellError: Likewise.
        """
        result: _Value | None = None
        problem: UserError | CellError | None = None
        try:
            result = prepare()
        except UserError as error:
            # Its text alone: a `ConfigError` carries what is lost on the way to another process.
            problem = UserError(str(error))
        except CellError as error:
            problem = error
        with waiting_for("the other processes to be prepared"):
            problems = self.of_all(problem)
        for found in problems:
            if found is not None:
                raise found
        assert result is not None
        return result

    def broadcast(self, tensors: Sequence[Tensor]) -> None:
        """Give all ranks the content that `tensors` have on rank 0."""
        if self.world_size > 1:
            for tensor in tensors:
                dist.broadcast(tensor, src=0)

    def sum(self, tensor: Tensor) -> Tensor:
        """Return the sum of `tensor` over the ranks; each keeps its own."""
        total = tensor.clone()
        if self.world_size > 1:
            dist.all_reduce(total)
        return total

    def largest(self, numbers: Sequence[int]) -> list[int]:
        """Return the largest of each number over the ranks."""
        if self.world_size == 1:
            return list(numbers)
        tensor = torch.tensor(numbers, device=self._device)
        dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
        found: list[int] = tensor.tolist()
        return found
