"""Which drivers are at work in a store, as far as this process has seen: no two machines' clocks are compared."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from mlflow.entities import Run

from orchestrator.amounts import counted
from orchestrator.process_names import described, is_alive_here, lasting_clock
from orchestrator.tracking.names import HEARTBEAT, KIND, OWNER
from orchestrator.tracking.ownership import BEAT_EVERY_S, STALE_S, was_recent

LOOK_EVERY_S = 2.0


@dataclass(frozen=True)
class _Sighting:
    heartbeat: str
    since: float
    changed: bool


class Drivers:
    """The drivers that own open runs of sweeps.

    One of this machine is at work if its process lives. Of another machine's it counts whether its heartbeat, whatever
    time that says, is seen to change: one that has not for `STALE_S` of looking is dead, and takes note of that before
    it writes again (`orchestrator.tracking.sweep_run`).

    Args:
        search: Returns the runs that fit a query.
        clock: Seconds from any origin, also while the machine sleeps.
    """

    def __init__(self, search: Callable[[str], Iterator[Run]], *, clock: Callable[[], float] = lasting_clock) -> None:
        self._search, self._clock = search, clock
        self._seen: dict[str, _Sighting] = {}

    def at_work(self, *, say: Callable[[str], None], among: Collection[str] | None = None) -> set[str]:
        """Return the drivers that are at work; look for as long as that takes to be told, which `say` is told of.

        Args:
            say: Shows a line.
            among: Those that matter; None: all.
        """
        said = False
        while True:
            verdicts = {owner: found for owner, found in self._look().items() if among is None or owner in among}
            unknown = sorted(owner for owner, found in verdicts.items() if found is None)
            if not unknown:
                return {owner for owner, found in verdicts.items() if found}
            if not said:
                said = True
                say(
                    f"MLflow has open runs of {counted(len(unknown), 'driver')} elsewhere "
                    f"({', '.join(map(described, unknown))}): looking for a sign of life, which comes within "
                    f"{BEAT_EVERY_S:.0f} s if there is any; without one for {STALE_S:.0f} s the runs are free"
                )
            time.sleep(LOOK_EVERY_S)

    def not_known_dead(self) -> set[str]:
        """Return the drivers that are, or may be, at work; nothing is waited for."""
        return {owner for owner, found in self._look().items() if found is not False}

    def seemingly_at_work(self) -> set[str]:
        """Return the drivers to be shown as at work: of one that nothing is known of yet, its clock is believed."""
        verdicts = self._look()
        return {
            owner
            for owner, found in verdicts.items()
            if found or (found is None and was_recent(self._seen[owner].heartbeat))
        }

    def _look(self) -> dict[str, bool | None]:
        """Return, of each owner of an open sweep, whether it is at work; None if that is not known yet."""
        now = self._clock()
        open_runs = self._search(f"tags.`{KIND}` = 'sweep' and attributes.status = 'RUNNING'")
        heartbeats = {run.data.tags[OWNER]: run.data.tags.get(HEARTBEAT, "") for run in open_runs if _is_owned(run)}
        self._seen = {owner: self._sighting(owner, heartbeat, now) for owner, heartbeat in heartbeats.items()}
        return {owner: self._verdict(owner, now) for owner in self._seen}

    def _sighting(self, owner: str, heartbeat: str, now: float) -> _Sighting:
        before = self._seen.get(owner)
        if before is not None and before.heartbeat == heartbeat:
            return before
        return _Sighting(heartbeat, now, changed=before is not None)

    def _verdict(self, owner: str, now: float) -> bool | None:
        lives = is_alive_here(owner)
        if lives is not None:
            return lives
        if now - self._seen[owner].since >= STALE_S:
            return False
        return True if self._seen[owner].changed else None


def _is_owned(run: Run) -> bool:
    return bool(run.data.tags.get(OWNER))
