"""Follows the search of an experiment: from its runs, and from what is kept, to what is to be trained now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import median

from orchestrator.experiment import Cell, Column, Configuration, Experiment, expand
from orchestrator.racing.curves import Heard, epoch_s_of, read_at
from orchestrator.racing.followed import CellLeg, Epochs, Followed, FollowedColumn
from orchestrator.racing.kept import Kept, place, question
from orchestrator.records import CellRun
from orchestrator.search import Leg, Point, Search, Told, epochs_of, follow, most_epochs

# Of a column: how many points are asked, and what is told.
Ask = Callable[[Column, int, Sequence[Told]], Sequence[Point]]


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
        return Followed(columns, self._known, self._cells, kept)

    def remarks(self) -> list[str]:
        """Return what the user is to be told, once."""
        found = [line for roster in self._rosters for line in roster.remarks]
        for roster in self._rosters:
            roster.remarks.clear()
        return found

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

    def num_kept(self, points: Iterable[Point]) -> int:
        """Return how many go on beside the best, since they are never stopped."""
        return len({name for point in points if (name := self.column.kept_as(point)) is not None})

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
        budget, epochs = self._column.search.budget, None
        hours = budget.device_hours if budget is not None else None
        if budget is not None:
            epochs = budget.epochs if hours is None else self.kept.epochs.get(self._roster.place)
        search = self._search(epochs)
        # Before the first rung is decided: how many go on is a matter of the budget.
        if hours is not None and epochs is None and search.races and search.races[0].standings[0].places:
            epochs = self._keep_epochs(hours, search)
            search = self._search(epochs)
        return FollowedColumn(
            column=self._column,
            search=search,
            cells=self._cells,
            legs=tuple(self._legs(search)),
            is_asked=self._is_asked,
            budget=epochs,
            epochs=self._epochs(search, epochs),
        )

    def _search(self, budget: int | None) -> Search:
        column = self._column
        return follow(
            self._ask,
            name_of=self._name,
            num_samples=column.num_samples,
            batch=column.batch,
            rungs_of=column.rungs_of,
            seeds=column.seeds,
            curves=self._heard.errors,
            kept_as=column.kept_as,
            ties=self._heard.losses,
            failed=self._heard.failed,
            warm=self.kept.told.get(self._roster.place, ()),
            budget=budget,
        )

    def _name(self, point: Point) -> str:
        """Return what a point is called, and hear what there is of its cells."""
        name = self._roster.name(point)
        if name not in self._cells:
            self._cells[name] = self._roster.cells(point)
            keys = dict(zip(self._column.seeds, self._cells[name], strict=True))
            self._heard.hear(name, keys, self._runs, epochs=self._column.epochs, at=self._at)
        return name

    def _ask(self, num: int, told: tuple[Told, ...]) -> Sequence[Point]:
        if not self._column.search.is_drawn:
            return self._column.ask(num, told)  # the lists say it themselves
        asked = question(self._column, num, [self._roster.name(each.point) for each in told])
        if asked not in self.kept.asked:
            if self._roster.ask is None:
                self._is_asked = False
                return ()
            points = tuple(self._roster.ask(self._column, num, told))
            self.kept = self.kept.model_copy(update={"asked": {**self.kept.asked, asked: points}})
        return self.kept.asked[asked]

    def _keep_epochs(self, hours: float, search: Search) -> int:
        """Return what hours are by the speed of the first rung, and keep it; no less than the race can do with."""
        race, resources = search.races[0], self._column.experiment.resources
        first = (key for name in race.points for key in list(self._cells[name])[: race.rungs[0].seeds])
        speeds = [speed for key in first if key in self._runs and (speed := epoch_s_of(self._runs[key]))]
        devices = resources.workers * resources.gpus_per_worker or 1.0
        narrow = tuple(rung._replace(keep=1) for rung in race.rungs)
        least = most_epochs(narrow, len(race.points), num_kept=self._roster.num_kept(race.points.values()))
        affordable = epochs_of(hours, epoch_s=median(speeds), num_devices=devices) if speeds else 0
        epochs = max(least, affordable)
        self.kept = self.kept.model_copy(update={"epochs": {**self.kept.epochs, self._roster.place: epochs}})
        what = f"search.budget: {hours:g} device hours are {affordable:,} epochs, by the speed of the first rung"
        raised = f"; the narrowest race needs {least:,}, and gets them" if affordable < least else ""
        self._roster.remarks.append(f"{what}{raised}; kept")
        return epochs

    def _legs(self, search: Search) -> Iterator[CellLeg]:
        """Yield what is to be trained now, the longest first: so the slots wait least for the last ones."""
        places = {seed: place for place, seed in enumerate(self._column.seeds)}

        def left(leg: Leg) -> int:
            key = [*self._cells[leg.configuration]][places[leg.seed]]
            return leg.epochs - (self._runs[key].epoch or 0 if key in self._runs else 0)

        for leg in sorted(search.decision.legs, key=left, reverse=True):
            yield CellLeg([*self._cells[leg.configuration].values()][places[leg.seed]], leg.epochs)

    def _epochs(self, search: Search, budget: int | None) -> Epochs:
        column, asked, at_most = self._column, 0, 0
        for race in search.races:
            at_most += most_epochs(race.rungs, len(race.points), num_kept=self._roster.num_kept(race.points.values()))
            asked += len(race.points)
        if not (search.races and self._is_asked and not search.decision.legs):
            for first in range(asked, column.num_samples, column.batch):
                num = min(column.batch, column.num_samples - first)
                at_most += most_epochs(column.rungs_of(num), num, num_kept=min(num, len(column.search.keep)))
        runs = [self._runs[key] for cells in self._cells.values() for key in cells if key in self._runs]
        return Epochs(
            trained=sum(run.epoch or 0 for run in runs),
            at_most=at_most if budget is None else min(at_most, budget),
            of_grid=column.num_samples * len(column.seeds) * column.epochs,
        )


def _labelled(column: FollowedColumn, cells: Mapping[str, Cell]) -> FollowedColumn:
    return replace(
        column,
        cells={name: {key: cells[key] for key in own} for name, own in column.cells.items()},
        legs=tuple(CellLeg(cells[leg.cell.key], leg.until) for leg in column.legs),
    )
