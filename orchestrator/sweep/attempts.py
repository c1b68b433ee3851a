"""The attempts at one cell: which of them count as failures of the cell, and for how long nothing has come of them."""

from __future__ import annotations

import time
from collections.abc import Callable

from orchestrator.amounts import counted
from orchestrator.experiment import Resources

# How long after a group's end it may take until a node that took it along is known to be lost: 61 s by Ray's default.
LOSS_IS_KNOWN_S = 120.0


class Attempts:
    """Each is a group of workers that has the cell. One whose end is not the cell's doing does not count.

    Args:
        resources: How many failures are too many, and how long attempts may go on without an epoch.
        clock: Seconds, from any origin.
    """

    def __init__(self, resources: Resources, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._resources, self._clock = resources, clock
        self._nodes: dict[int, frozenset[str]] = {}
        self._excuses: dict[int, str] = {}
        self._ended_at: dict[int, float] = {}
        self._since: float | None = None
        self._in_vain_s, self._epoch = 0.0, 0

    def accept(self, number: int, nodes: frozenset[str] = frozenset()) -> None:
        """Count this attempt from now on; the nodes are those of its workers."""
        self._nodes[number] = nodes
        self._since = self._clock()

    def excuse(self, number: int, reason: str) -> None:
        """Do not count this attempt; the first reason stays."""
        self._excuses.setdefault(number, reason)

    def excuse_those_on(self, lost: dict[str, str]) -> None:
        """Do not count the attempts that a lost node may have ended; the names of nodes by their ids."""
        for number in self._just_ended():
            if names := [lost[node] for node in sorted(self._nodes[number] & lost.keys())]:
                self.excuse(number, f"{', '.join(names)} was lost: no failure of the cell")

    def advance(self, epoch: int) -> None:
        """Note that an epoch is finished; those that a group goes on behind are told again, and are no news."""
        if epoch > self._epoch:
            self._epoch, self._in_vain_s = epoch, 0.0
            self._since = None if self._since is None else self._clock()

    def end(self) -> None:
        """Note that the group of the attempt under way ends."""
        if self._since is not None:
            now = self._clock()
            self._in_vain_s += now - self._since
            self._since, self._ended_at[max(self._nodes)] = None, now

    @property
    def failures(self) -> int:
        """How many attempts count."""
        return len(self._nodes.keys() - self._excuses.keys())

    @property
    def suspects(self) -> frozenset[str]:
        """The nodes that may yet turn out to have ended an attempt that counts."""
        return frozenset().union(*(self._nodes[number] for number in self._just_ended()))

    def was_accepted(self, number: int) -> bool:
        """Return whether a group had the cell in this attempt."""
        return number in self._nodes

    def excuse_of(self, number: int) -> str | None:
        """Return why this attempt does not count; None if it does."""
        return self._excuses.get(number)

    def given_up(self, last_error: str) -> str | None:
        """Return why there shall be no other attempt; None if there may be one.

        Args:
            last_error: Of the last attempt that said why it ended.
        """
        if self.failures >= self._resources.max_failures:
            return f"{last_error} ({counted(self.failures, 'attempt')})"
        limit_s = self._resources.give_up_after_s
        if self._excuses and self._in_vain_s >= limit_s:
            excuse = self._excuses[max(self._excuses)]
            return (
                f"no epoch was finished in {self._in_vain_s:.0f} s of {counted(len(self._nodes), 'attempt')} "
                f"(resources.give_up_after_s = {limit_s:g}); the last: {excuse}"
            )
        return None

    def _just_ended(self) -> list[int]:
        """Return the attempts that count and ended so lately that the loss of a node may not be known yet."""
        since = self._clock() - LOSS_IS_KNOWN_S
        return [number for number, at in self._ended_at.items() if at >= since and number not in self._excuses]
