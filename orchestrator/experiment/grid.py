"""Which combinations of its lists an experiment trains: each once, and no value of a list for nothing."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import product

from orchestrator.experiment.augment_spec import AugmentSpec
from orchestrator.experiment.augments import AugmentEntry
from orchestrator.experiment.axes import SAME_CELLS, fits
from orchestrator.experiment.cells import resolved, resolved_for
from orchestrator.experiment.dataset_spec import SHOWN_AS, DatasetSpec
from orchestrator.experiment.model_spec import ModelSpec
from orchestrator.experiment.problems import Problems, show
from orchestrator.experiment.resources import Resources
from orchestrator.experiment.schedule_checks import check_schedules
from orchestrator.experiment.settings import Configuration
from orchestrator.experiment.train_entries import NOTHING, Entry, Recipe, Said, Training, Written, note_conflicts
from orchestrator.experiment.train_settings import TrainSettings


def combine(
    problems: Problems,
    datasets: Sequence[Entry[DatasetSpec]],
    models: Sequence[Entry[ModelSpec]],
    augments: Sequence[AugmentEntry],
    recipes: Recipes,
    *,
    resources: Resources,
    num_seeds: int,
    limit: int,
) -> tuple[Configuration, ...]:
    """Return the configurations in the order of their cells; nothing, and problems, if anything is wrong with them.

    Args:
        problems: Takes the problems.
        datasets: Of the file.
        models: Of the file.
        augments: Of the file.
        recipes: Of what the section ``train`` says.
        resources: They say what ``precision: auto`` stands for.
        num_seeds: How many cells each becomes.
        limit: How many cells there may be.
    """
    lists = (datasets, models, augments)
    # Of a list that could not be read one entry is supposed: a mistake in it hides none in `train`.
    saids = [Counter([entry.train for entry in entries] or [NOTHING]) for entries in lists]
    note_conflicts(problems, *saids)
    if not fits(problems, num_seeds * recipes.num_trainings(*saids), limit):
        return ()
    for each in product(*saids):
        recipes.trainings(problems, *each)
    if problems.stand_at("dataset", "model", "augment", "train", "resources") or not all(lists):
        return ()
    grid = _Grid(resources)
    for dataset, model in product(datasets, models):
        of_augments = [(each, recipes.trainings(problems, dataset.train, model.train, each.train)) for each in augments]
        # An interrupted sweep is to have compared all augmentations, and not to have finished some.
        for index in range(max(len(trainings) for _, trainings in of_augments)):
            for augment, trainings in of_augments:
                if index < len(trainings):
                    grid.add(dataset, model, augment, trainings[index])
    grid.note_idle(problems, [entry.at for entries in lists for entry in entries])
    of_entries = [said for each in saids for said in each]
    grid.note_idle(problems, _swept(recipes.train, *of_entries))
    grid.note_untaken(problems, recipes.train, of_entries)
    places = {spec: entry.at for entry in augments for _, spec in entry.spec.specs}
    check_schedules(problems, ((each.augment, each.train) for each in grid.configurations), places)
    return tuple(grid.configurations)


class Recipes:
    """How the cells of entries that meet are trained, each read once.

    Args:
        train: What the section says.

    Attributes:
        train: That.
    """

    def __init__(self, train: Said) -> None:
        self.train = train
        self._found: dict[tuple[Said, ...], Recipe] = {}
        self._trainings: dict[Recipe, list[Training]] = {}

    def num_trainings(self, *lists: Counter[Said]) -> int:
        """Return how many trainings lists mean of which so many entries say what."""
        met = product(*(said.items() for said in lists))
        return sum(math.prod(num for _, num in each) * len(self.saying(*(said for said, _ in each))) for each in met)

    def saying(self, *each: Said) -> Recipe:
        """Return what the section says and others say instead."""
        if each not in self._found:
            self._found[each] = Recipe(self.train, *each)
        return self._found[each]

    def trainings(self, problems: Problems, *each: Said) -> list[Training]:
        """Return all trainings of what the section says and others say instead; what is wrong with one is noted."""
        recipe = self.saying(*each)
        if recipe not in self._trainings:
            self._trainings[recipe] = recipe.trainings(problems)
        return self._trainings[recipe]


class _Grid:
    """Configurations, equal ones once, and what of the file each is made of.

    Args:
        resources: Of the experiment.

    Attributes:
        configurations: In the order in which they were added.
    """

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self.configurations: list[Configuration] = []
        self._made_of: dict[tuple[int, ...], tuple[Written, ...]] = {}
        self._needed: set[Written] = set()
        # Of what an equal configuration was made of before: that one, and this one.
        self._equal: dict[Written, tuple[tuple[Written, ...], tuple[Written, ...]]] = {}
        self._numbers: dict[Hashable, int] = {}
        self._known: dict[int, int] = {}

    def add(
        self, dataset: Entry[DatasetSpec], model: Entry[ModelSpec], augment: AugmentEntry, training: Training
    ) -> None:
        """Add what four things mean together."""
        spec = augment.spec[training.settings.batch_size_per_worker]
        made_of = (dataset.at, model.at, augment.at, *training.made_of)
        identity = (
            self._number(dataset.spec, lambda: dataset.spec.model_copy(update={SHOWN_AS: None})),
            self._number(model.spec, lambda: model.spec),
            self._number(spec, lambda: spec),
            self._training_number(training.settings, spec),
        )
        first = self._made_of.setdefault(identity, made_of)
        if first is made_of:
            self.configurations.append(Configuration(dataset.spec, model.spec, spec, training.settings))
            self._needed.update(made_of)
        else:
            self._equal.update({each: (first, made_of) for each in made_of if each not in self._equal})

    def _training_number(self, train: TrainSettings, augment: AugmentSpec) -> int:
        own = resolved_for(augment, train)
        if own is train:
            return self._number(train, lambda: resolved(train, self._resources))
        # Not found again by itself, as `_number` does: it does not last.
        return self._numbers.setdefault(resolved(own, self._resources), len(self._numbers))

    def note_idle(self, problems: Problems, written: Iterable[Written]) -> None:
        """Note what no configuration needs: without it the cells would be the same."""
        for each in written:
            if each in self._needed:
                continue
            if each in self._equal:
                first, made_of = self._equal[each]
                there = _instead_of(each, [other for other in first if other not in made_of])
                problems.add(each.key, each.value, allowed="each cell once", remedy=SAME_CELLS.format(there))
            else:
                allowed = "what a cell has: all of them have it from an entry of dataset, model or augment"
                problems.add(each.key, each.value, allowed=allowed, remedy="Remove it here or there.")

    def note_untaken(self, problems: Problems, section: Said, of_entries: Iterable[Said]) -> None:
        """Note what the command line sets in the section for no cell; in a file it may be for entries to come."""
        for name, setting in section.settings.items():
            is_for_cells = setting.swept or setting.at in self._needed or setting.at in self._equal
            if is_for_cells or not problems.is_overridden(setting.at.key):
                continue
            there = next((said.settings[name].at.key for said in of_entries if name in said.settings), None)
            if there is not None:
                allowed = "what a cell has: all of them have it from an entry, which goes before the section"
                remedy = f"Set it there: -o '{there}={show(setting.at.value)}'"
                problems.add(setting.at.key, setting.at.value, allowed=allowed, remedy=remedy)

    def _number(self, value: object, meaning: Callable[[], Hashable]) -> int:
        """Return the same number for all that mean the same; found out once for each object."""
        if id(value) not in self._known:
            self._known[id(value)] = self._numbers.setdefault(meaning(), len(self._numbers))
        return self._known[id(value)]


def _instead_of(written: Written, others: Sequence[Written]) -> Written:
    """Return which of `others` makes the cells of `written`: the one in its own list, if there is one."""
    place = written.key.rpartition("[")[0]
    return next((other for other in others if other.key.rpartition("[")[0] == place), others[0])


def _swept(*each: Said) -> Iterator[Written]:
    for said in dict.fromkeys(each):
        for setting in said.settings.values():
            yield from setting.swept
