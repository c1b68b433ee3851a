"""Follows the search of an experiment: from its runs, and from what is kept, to what is to be trained now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import median

from orchestrator.experiment import Cell, Column, Configuration, Experiment, expand
from orchestrator.racing.asking import Ask, Asker, staying
from orchestrator.racing.curves import Heard, read_at
from orchestrator.racing.followed import CellLeg, Epochs, Followed, FollowedColumn
from orchestrator.racing.kept import Kept, place
from orchestrator.records import CellRun
from orchestrator.search import Leg, Point, Search, epochs_of, follow, least_epochs


class Following:
    """Follows the searches of an experiment's columns; it remembers only what takes long to make.

    Args:
        experiment: With a search.
        columns: Its columns.
        ask: A sampler, for what is not kept; None asks none: for those who only look.
    """

    def __init__(self, experiment: Experiment, columns: Sequence[Column], *, ask: Ask | None = None) -> None:
        self._experiment = experiment
        self._rosters = [_Roster(column, ask) for column in columns]
        self._known: tuple[Configuration, ...] = ()
        self._labelled: dict[str, Cell] = {}
        self._cells: tuple[Cell, ...] = ()

    def followed(self, runs: Mapping[str, CellRun], kept: Kept) -> Followed:
        """Return how far they are.

        Args:
            runs: What is known of the cells, by key, with their curves.
            kept: What was kept.

        Raises:
            UserError: A budget does not suffice for the first batch, or a sampler refuses.
        """
        found = []
        for roster in self._rosters:
            looked = _Look(roster, runs, kept)
            found.append(looked.followed())
            kept = looked.kept
        self._label(found)
        columns = tuple(_labelled(each, self._labelled) for each in found)
        return Followed(columns, self._known, self._cells, kept, self._left_out(columns, kept))

    def remarks(self) -> list[str]:
        """Return what the user is to be told, once."""
        found = [line for roster in self._rosters for line in roster.remarks]
        for roster in self._rosters:
            roster.remarks.clear()
        return found

    def _left_out(self, found: Sequence[FollowedColumn], kept: Kept) -> int:
        """Return how many that were asked are neither in the search nor going to be."""
        asked = {name for each in kept.drawn.values() for name in each}
        for roster, column in zip(self._rosters, found, strict=True):
            asked -= column.cells.keys()
            if asked and not column.is_all_asked:
                asked -= {roster.name(point) for point in staying(column.column, kept, roster.name)}
        return len(asked)

    def _label(self, found: Sequence[FollowedColumn]) -> None:
        """Make all cells; what tells them apart is a matter of all of them."""
        known = tuple(
            roster.configuration(point)
            for roster, column in zip(self._rosters, found, strict=True)
            for race in column.search.races
            for point in race.points.values()
        )
        if self._known != known:
            self._known, self._cells = known, tuple(expand(self._experiment, known))
            self._labelled = {cell.key: cell for cell in self._cells}


class _Roster:
    """The cells of a column's points; each is made once."""

    def __init__(self, column: Column, ask: Ask | None) -> None:
        self.column, self.ask = column, ask
        self.place = place(column)
        self.remarks: list[str] = []
        self._made: dict[Point, tuple[str, Configuration, dict[str, Cell]]] = {}

    def name(self, point: Point) -> str:
        return self._of(point)[0]

    def configuration(self, point: Point) -> Configuration:
        return self._of(point)[1]

    def cells(self, point: Point) -> dict[str, Cell]:
        """Return the cells of a point by key, in the order of the seeds."""
        return self._of(point)[2]

    def _of(self, point: Point) -> tuple[str, Configuration, dict[str, Cell]]:
        if point not in self._made:
            configuration = self.column.configuration(point)
            cells = {cell.key: cell for cell in expand(self.column.experiment, [configuration])}
            self._made[point] = self.column.name_of(point), configuration, cells
        return self._made[point]


class _Look:
    """One look at one column."""

    def __init__(self, roster: _Roster, runs: Mapping[str, CellRun], kept: Kept) -> None:
        self._roster, self._column, self._runs, self.kept = roster, roster.column, runs, kept
        self._at = read_at(self._column.epochs, self._column.search)
        self._heard = Heard()
        self._cells: dict[str, dict[str, Cell]] = {}
        self._is_asked = True

    def followed(self) -> FollowedColumn:
        """Return how far it is; `kept` is what is to be kept then."""
        budget, hours = self._budget(), self._hours
        search = self._search(budget)
        # Before the first rung is decided: how many go on is a matter of the budget.
        if hours is not None and budget is None and search.races and search.races[0].standings[0].places:
            self._keep_speed(hours, search)
            # Nobody may know it, e.g. of an epoch that was not measured.
            budget = self._budget() or self._least
            search = self._search(budget)
        return FollowedColumn(
            column=self._column,
            search=search,
            cells=self._cells,
            legs=tuple(self._legs(search)),
            is_asked=self._is_asked,
            budget=budget,
            epochs=self._epochs(search, budget),
        )

    @property
    def _hours(self) -> float | None:
        budget = self._column.search.budget
        return budget.device_hours if budget is not None else None

    def _search(self, budget: int | None) -> Search:
        column, warm = self._column, self.kept.told.get(self._roster.place, ())
        asker = Asker(column, self.kept, self._roster.name, self._roster.ask)
        found = follow(
            asker.points,
            column.batches(budget),
            name_of=self._name,
            seeds=column.seeds,
            curves=self._heard.errors,
            kept_as=column.kept_as,
            ties=self._heard.losses,
            failed=self._heard.failed,
            warm=warm,
            known=[each.point for each in warm if self._is_finished(each.point)],
        )
        self.kept, self._is_asked = asker.kept, asker.has_asked
        return found

    def _is_finished(self, point: Point) -> bool:
        return all(key in self._runs and self._runs[key].has_result for key in self._roster.cells(point))

    def _name(self, point: Point) -> str:
        """Return what a point is called, and hear what there is of its cells."""
        name = self._roster.name(point)
        if name not in self._cells:
            self._cells[name] = self._roster.cells(point)
            keys = dict(zip(self._column.seeds, self._cells[name], strict=True))
            self._heard.hear(name, keys, self._runs, epochs=self._column.epochs, at=self._at)
        return name

    def _budget(self) -> int | None:
        """Return how many epochs the search may take, as the file and the measured speed have it; None for no bound.

        Of hours no less than the race can do with; before their speed is known they bound nothing.
        """
        budget, epoch_s = self._column.search.budget, self.kept.epoch_s.get(self._roster.place)
        if budget is None or budget.device_hours is None:
            return budget.epochs if budget is not None else None
        return max(self._least, self._affordable(budget.device_hours, epoch_s)) if epoch_s is not None else None

    @property
    def _least(self) -> int:
        return least_epochs(self._column.batches()[0], num_kept=self._column.num_kept)

    def _affordable(self, hours: float, epoch_s: float) -> int:
        devices = self._column.experiment.resources.devices_of_cell
        return epochs_of(hours, epoch_s=epoch_s, num_devices=devices)

    def _keep_speed(self, hours: float, search: Search) -> None:
        """Keep how long an epoch of the first rung takes, by which hours become epochs; nothing if nobody knows."""
        race = search.races[0]
        first = (key for name in race.points for key in list(self._cells[name])[: race.rungs[0].seeds])
        speeds = [speed for key in first if key in self._runs and (speed := self._runs[key].epoch_s)]
        if not speeds:
            return
        epoch_s = median(speeds)
        self.kept = self.kept.model_copy(update={"epoch_s": {**self.kept.epoch_s, self._roster.place: epoch_s}})
        affordable = self._affordable(hours, epoch_s)
        what = f"search.budget: {hours:g} device hours are {affordable:,} epochs, by the speed of the first rung"
        raised = f"; the narrowest race needs {self._least:,}, and gets them" if affordable < self._least else ""
        self._roster.remarks.append(f"{what}{raised}; the speed is kept")

    def _legs(self, search: Search) -> Iterator[CellLeg]:
        """Yield what is to be trained now, the longest first: so the slots wait least for the last ones."""
        places = {seed: place for place, seed in enumerate(self._column.seeds)}

        def left(leg: Leg) -> int:
            key = [*self._cells[leg.configuration]][places[leg.seed]]
            return leg.epochs - (self._runs[key].epoch or 0 if key in self._runs else 0)

        for leg in sorted(search.decision.legs, key=left, reverse=True):
            yield CellLeg([*self._cells[leg.configuration].values()][places[leg.seed]], leg.epochs)

    def _epochs(self, search: Search, budget: int | None) -> Epochs:
        column = self._column
        batches = column.batches(budget)
        if search.races and self._is_asked and not search.decision.legs:
            batches = batches[: len(search.races)]  # the space has no more
        whole = len(column.seeds) * column.epochs
        known = len(search.races[0].known) if search.races else 0
        asked, trained, beyond = self._asked(search), 0, 0
        for name, cells in self._cells.items():
            for at, key in enumerate(cells):
                epoch = self._runs[key].epoch or 0 if key in self._runs else 0
                trained += epoch
                beyond += max(0, epoch - asked.get((name, at), 0))
        return Epochs(
            trained=trained,
            at_most=sum(batch.epochs for batch in batches) + known * whole + beyond,
            of_grid=(column.num_samples + known) * whole,
        )

    def _asked(self, search: Search) -> dict[tuple[str, int], int]:
        """Return until which epoch each cell is asked for so far, by configuration and place of its seed: one that was
        finished before the search is asked for as a whole.
        """
        found: dict[tuple[str, int], int] = {}
        for race in search.races:
            found |= {(name, at): self._column.epochs for name in race.known for at in range(len(self._column.seeds))}
            for standing in race.standings:
                for name in standing.entered:
                    for at in range(standing.rung.seeds):
                        found[name, at] = max(standing.rung.epochs, found.get((name, at), 0))
        return found


def _labelled(column: FollowedColumn, cells: Mapping[str, Cell]) -> FollowedColumn:
    return replace(
        column,
        cells={name: {key: cells[key] for key in own} for name, own in column.cells.items()},
        legs=tuple(CellLeg(cells[leg.cell.key], leg.until) for leg in column.legs),
    )
