"""The legs of a sweep, handed out one after the other; and what follows when they have ended."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from orchestrator.experiment import Cell
from orchestrator.racing.followed import CellLeg
from orchestrator.records import (
    CellResult,
    CellRun,
    CellStatus,
    Curve,
    EpochResult,
    Event,
    Failed,
    LastEvent,
    Paused,
    Started,
)

# From the runs as they are now, by key, what is to be trained of each column.
Advance = Callable[[Mapping[str, CellRun]], Sequence[Sequence[CellLeg]]]
# From the legs that wait, in their order and at least one, the place of that which is taken.
Choose = Callable[[Sequence[CellLeg]], int]


@dataclass
class _Out:
    """A leg, and what was heard of it."""

    leg: CellLeg
    column: int
    num_images: dict[str, int] = field(default_factory=dict)
    epochs: list[EpochResult] = field(default_factory=list)


class Course:
    """Hands the legs of a sweep out, and hears of them what decides which are next.

    What follows is asked for whenever a column has no leg left: only then a rung is decided. The runs in MLflow say the
    same, once they have what was heard.

    Args:
        runs: What is known of cells, by key, when it begins.
        advance: What is to be trained; called at once, and whenever a column has none left.
        read_at: The epochs of a cell that are remembered.
        tries_of_lost: How often a leg that was lost, by no fault of its cell, is handed out once more.

    Attributes:
        runs: What is known of cells now: of those that were trained, as MLflow is going to have them.
    """

    def __init__(
        self,
        runs: Mapping[str, CellRun],
        advance: Advance,
        *,
        read_at: Callable[[Cell], Iterable[int]] = lambda _: (),
        tries_of_lost: int = 0,
    ) -> None:
        self._tries_of_lost = tries_of_lost
        self._lost: Counter[tuple[str, int]] = Counter()
        self.runs, self._advance, self._read_at = dict(runs), advance, read_at
        self._waiting: deque[_Out] = deque()
        self._out: dict[str, _Out] = {}
        self._known: set[tuple[str, int]] = set()
        self._open: Counter[int] = Counter()
        self._look()

    @property
    def is_over(self) -> bool:
        """Whether all legs have ended, and none follows."""
        return not self.num_left

    @property
    def num_left(self) -> int:
        """How many legs are known that have not ended."""
        return self._open.total()

    @property
    def num_waiting(self) -> int:
        """How many legs are there now that nobody has."""
        return len(self._waiting)

    @property
    def at_work(self) -> list[Cell]:
        """The cells whose legs were handed out and have not ended."""
        return [out.leg.cell for out in self._out.values()]

    def next(self, choose: Choose | None = None) -> CellLeg | None:
        """Return a leg that nobody has; None if there is none now.

        Args:
            choose: Says which; None takes the first. What is decided of a column rests on all of its legs, so on no
                order among them.
        """
        if not self._waiting:
            return None
        at = choose([out.leg for out in self._waiting]) if choose is not None else 0
        out = self._waiting[at]
        del self._waiting[at]
        self._out[out.leg.cell.key] = out
        return out.leg

    def take(self, cell: Cell, event: Event) -> None:
        """Hear what happened to a cell."""
        out = self._out.get(cell.key)
        if out is None:
            return
        if isinstance(event, Started):
            out.num_images = {"train": event.facts.dataset.num_train}
        elif isinstance(event, EpochResult):
            if out.epochs and event.epoch <= out.epochs[-1].epoch:
                out.epochs.clear()  # another attempt reports all of it again
            out.epochs.append(event)
        elif isinstance(event, LastEvent):
            self._end(cell.key, self._out.pop(cell.key), event)

    def _end(self, key: str, out: _Out, event: LastEvent) -> None:
        self.runs[key] = self._run_after(key, out, event)
        leg = key, out.leg.until
        if isinstance(event, Failed) and event.is_lost and self._lost[leg] < self._tries_of_lost:
            # With the others of its column ended it is asked for again, and nothing is decided without it.
            self._lost[leg] += 1
            self._known.discard(leg)
        self._open[out.column] -= 1
        if not self._open[out.column]:
            self._look()

    def _run_after(self, key: str, out: _Out, event: LastEvent) -> CellRun:
        """Return a cell's run as MLflow is going to have it."""
        cell = out.leg.cell
        known = self.runs.get(key) or CellRun(key=key, status="interrupted", run_id=None, epochs=cell.train.epochs)
        statuses: dict[type[object], CellStatus] = {CellResult: "done", Failed: "failed", Paused: "interrupted"}
        status, is_lost = statuses[type(event)], isinstance(event, Failed) and event.is_lost
        if not out.epochs:
            return replace(known, status=status, is_lost=is_lost, race=None)
        last = out.epochs[-1]
        return replace(
            known,
            status=status,
            is_lost=is_lost,
            race=None,
            epoch=last.epoch,
            metrics={**last.metrics, **(event.metrics if isinstance(event, CellResult) else {})},
            curve=Curve.of(out.epochs, at=frozenset(self._read_at(cell)), by=cell.train.tested_by),
            num_images=known.num_images or out.num_images,
        )

    def _look(self) -> None:
        for column, legs in enumerate(self._advance(self.runs)):
            # A leg that has ended without what it was to bring is not trained for ever.
            new = [leg for leg in legs if (leg.cell.key, leg.until) not in self._known]
            self._known.update((leg.cell.key, leg.until) for leg in new)
            self._waiting.extend(_Out(leg, column) for leg in new)
            self._open[column] += len(new)


def to_the_end(cells: Iterable[Cell]) -> Advance:
    """Return what trains each cell to its end: a sweep without a search."""
    legs = [CellLeg(cell, cell.train.epochs) for cell in cells]
    return lambda _: [legs]
