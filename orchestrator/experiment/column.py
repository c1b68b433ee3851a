"""The columns of a search: for each data set and model what configurations are chosen from, and how they are raced."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from orchestrator.errors import UserError
from orchestrator.experiment.branch import Branch, DrawnColumn
from orchestrator.experiment.cells import Cell, expand
from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.experiment.model_spec import ModelSpec
from orchestrator.experiment.search_settings import USUAL_BATCH, SearchSettings
from orchestrator.experiment.settings import Configuration, Experiment
from orchestrator.search import SAMPLERS, Batch, Point, Rung, Space, Told, batches_of, ladder

# What others are compared with, where the file names nothing.
BASELINE = "erm"


@dataclass(frozen=True, eq=False)
class Column:
    """What is searched for a data set and a model.

    Attributes:
        experiment: That it is of.
        search: What the file says of it.
        dataset: The data set.
        model: The model.
        space: Of the configurations.
        num_samples: So many are tried, or fewer if the space has no more.
        epochs: Of the whole training, the same for all.
    """

    experiment: Experiment
    search: SearchSettings
    dataset: DatasetSpec
    model: ModelSpec
    space: Space
    num_samples: int
    epochs: int
    _branches: Mapping[str, Branch] = field(default_factory=dict, repr=False)
    _listed: Mapping[str, Configuration] = field(default_factory=dict, repr=False)
    _cells: dict[Point, Cell] = field(default_factory=dict, repr=False)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of the file: a rung takes the first of them."""
        return self.experiment.seed

    @property
    def batch(self) -> int:
        """So many configurations are asked at once: all of a sampler that learns nothing."""
        usual = USUAL_BATCH if self.search.sampler == "optuna" else self.num_samples
        return min(self.search.batch or usual, self.num_samples)

    def ask(self, num: int, told: Sequence[Told] = (), stay: Sequence[Point] = ()) -> tuple[Point, ...]:
        """Return the next points; see `orchestrator.search.Sampler`.

        Each alternative that others are compared with, or that is kept, has one of them at least.

        Args:
            num: So many.
            told: What was asked before, with what became of it.
            stay: What else was asked before, and is to be asked first.

        Raises:
            UserError: Optuna is asked, and not installed.
        """
        known = {each.point for each in told}
        fixed = [point for point in self.space.fixed if point not in known][:num]
        stay = [point for point in stay if point not in known and point not in fixed]
        if stay:
            points = (*fixed, *stay)[:num]
            # Nothing is known yet of what becomes of them.
            asked = [*told, *(Told(point, None) for point in points)]
            points += self._sampled(self.space, num - len(points), asked) if len(points) < num else ()
        else:
            points = self._sampled(self.space, num, told)
        return self._with_compared(points, known, stay, num)

    def _sampled(self, space: Space, num: int, told: Sequence[Told]) -> tuple[Point, ...]:
        try:
            return SAMPLERS[self.search.sampler](space, num, seed=self.search.seed or 0, told=told)
        except UserError as error:
            where = f"{self.experiment.file}: search.{error.args[0]}"
            raise UserError(where, allowed=error.allowed, remedy=error.remedy) from error

    def _with_compared(
        self, points: Sequence[Point], known: Collection[Point], stay: Sequence[Point], num: int
    ) -> tuple[Point, ...]:
        """Return points with one of each alternative that is compared with or kept, in place of the last others."""
        asked = {point.branch for point in (*known, *points)}
        missing = [branches for branches in self._compared() if asked.isdisjoint(branches)]
        if not missing:
            return tuple(points)
        added = [self._first_of(branches, stay) for branches in missing]
        needed = {*added, *(point for each in self._compared() for point in _of(each, points)[:1])}
        others = [point for point in points if point not in needed][: max(0, num - len(needed))]
        return tuple(point for point in (*added, *points) if point in needed or point in others)[:num]

    def _first_of(self, branches: Sequence[str], stay: Sequence[Point]) -> Point:
        """Return a point of one of these: that was asked before, else drawn of the first of them alone."""
        if found := _of(branches, stay):
            return found[0]
        alone = Space({branches[0]: self.space.branches[branches[0]]}, self.space.shared)
        return self._sampled(alone, 1, ())[0]

    def _compared(self) -> Iterator[list[str]]:
        """Yield the branches of each alternative that is drawn, and compared with or kept."""
        confirm = self.search.confirm
        names = [*self.search.keep, *(confirm.against if confirm is not None else ())]
        for name in dict.fromkeys([*names, self.experiment.compare.baseline or BASELINE]):
            branches = [each for each in self._branches.values() if each.augment == name]
            if branches and all(each.axes for each in branches):  # what has none is asked anyway
                yield [each.name for each in branches]

    @property
    def num_needed(self) -> int:
        """How many points it has at least: what has nothing to draw, and of what is drawn, what others need."""
        return len(self.space.fixed) + sum(1 for _ in self._compared())

    def configuration(self, point: Point) -> Configuration:
        """Return what a point means, read like a file that has these values.

        Raises:
            ConfigError: They are not allowed together.
        """
        if point.branch in self._listed:
            return self._listed[point.branch]
        augment, train = self._branches[point.branch].read(dict(point.values))
        return Configuration(self.dataset, self.model, augment, train)

    def cell(self, point: Point) -> Cell:
        """Return the cell of a point that has the first seed."""
        if point not in self._cells:
            one_seed = self.experiment.model_copy(update={"seed": self.seeds[:1]})
            (self._cells[point],) = expand(one_seed, [self.configuration(point)])
        return self._cells[point]

    def name_of(self, point: Point) -> str:
        """Return what a point is called in a race: the ``config_key`` of its cells."""
        return self.cell(point).config_key

    def kept_as(self, point: Point) -> str | None:
        """Return which entry of ``search.keep`` means a point; None if none does.

        An entry may mean several: of those the best of each rung goes on.
        """
        if not self.search.keep:
            return None
        cell = self.cell(point)
        # The narrower name first: what it means is kept for itself.
        names = (cell.variant, cell.augment.label, cell.augment.name)
        return next((name for name in names if name in self.search.keep), None)

    @property
    def num_kept(self) -> int:
        """How many configurations of a rung go on at most because of ``search.keep``."""
        return len({*self.search.keep})

    def rungs_of(self, num_configurations: int) -> tuple[Rung, ...]:
        """Return the rungs that so many configurations race over; one, with all seeds to the end, where none do."""
        race = self.search.race
        if race == "none":
            return (Rung(len(self.seeds), self.epochs, 1),)
        if race == "ladder":
            return ladder(num_configurations, len(self.seeds), self.epochs)
        return tuple(Rung(each.seeds, each.epochs, each.keep) for each in race)

    def batches(self, budget: int | None = None) -> tuple[Batch, ...]:
        """Return what is asked at once, and how it is raced; see `orchestrator.search.batches_of`.

        Args:
            budget: Epochs in all; None for no bound.

        Raises:
            UserError: It does not suffice for the first batch.
        """
        return batches_of(
            self.num_samples, batch=self.batch, rungs_of=self.rungs_of, num_kept=self.num_kept, budget=budget
        )


def _of(branches: Collection[str], points: Sequence[Point]) -> list[Point]:
    return [point for point in points if point.branch in branches]


def columns(experiment: Experiment) -> tuple[Column, ...]:
    """Return the columns of an experiment's search in the order of the file; none if it has no search."""
    search = experiment.search
    if search is None:
        return ()
    if experiment.drawn:
        return tuple(_drawn(experiment, search, each) for each in experiment.drawn)
    return tuple(_listed(experiment, search))


def _drawn(experiment: Experiment, search: SearchSettings, drawn: DrawnColumn) -> Column:
    branches = {branch.name: branch for branch in drawn.branches}
    space = space_of(drawn.branches)
    num_samples = search.num_samples or sum(1 for _ in space.grid())
    epochs = next(
        each.train.epochs for each in experiment.grid if each[:2] == (drawn.dataset, drawn.model)
    )  # the same in all
    return Column(experiment, search, drawn.dataset, drawn.model, space, num_samples, epochs, _branches=branches)


def _listed(experiment: Experiment, search: SearchSettings) -> Iterator[Column]:
    one_seed = experiment.model_copy(update={"seed": experiment.seed[:1]})
    pairs = zip(experiment.grid, expand(one_seed), strict=True)
    for (dataset, model), group in groupby(pairs, key=lambda pair: pair[0][:2]):
        # Each is a branch of its own, so that they race in the order of the file.
        named = {cell.variant: (each, cell) for each, cell in group}
        listed = {variant: each for variant, (each, _) in named.items()}
        epochs = next(iter(listed.values())).train.epochs
        space = Space({variant: {} for variant in named})
        # Among all others, whose labels say what tells them apart.
        cells = {Point(variant): cell for variant, (_, cell) in named.items()}
        yield Column(experiment, search, dataset, model, space, len(listed), epochs, _listed=listed, _cells=cells)


def space_of(branches: Sequence[Branch]) -> Space:
    """Return the space of some branches; what all have alike is shared."""
    first, *others = branches
    shared = {
        name: axis
        for name, axis in first.axes.items()
        if all(other.axes.get(name) == axis and other.keys[name] == first.keys[name] for other in others)
    }
    own = {branch.name: {name: axis for name, axis in branch.axes.items() if name not in shared} for branch in branches}
    return Space(own, shared)


def known_from_start(experiment: Experiment) -> tuple[Configuration, ...]:
    """Return the configurations that are known before anything is trained.

    Those of a sampler that learns nothing are all; of one that learns, the first batch.

    Raises:
        UserError: Optuna is asked, and not installed.
    """
    if not experiment.drawn:
        return tuple(experiment.grid)
    return tuple(column.configuration(point) for column in columns(experiment) for point in column.ask(column.batch))
