"""How cells are trained: the section ``train``, whose lists are swept, and what single entries say instead of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any, Generic, NamedTuple, TypeVar, get_args, get_origin

from pydantic import ValidationError

from orchestrator.experiment.problems import Problems, show
from orchestrator.experiment.train_settings import TrainSettings

_Spec = TypeVar("_Spec")
_BATCH_SIZE = "batch_size_per_worker"
# Their values are lists: what is swept is a list of those.
_LISTS = frozenset(
    name
    for name, field in TrainSettings.model_fields.items()
    if any(get_origin(kind) is tuple for kind in (field.annotation, *get_args(field.annotation)))
)


@dataclass(frozen=True, eq=False)
class Written:
    """What stands in the file, and where; each is another, though it says the same."""

    key: str
    value: Any

    def __str__(self) -> str:
        return f"{self.key} = {show(self.value)}"


@dataclass(frozen=True, eq=False)
class Setting:
    """What one place of the file says of one setting.

    Attributes:
        at: Where, and what.
        swept: The values of the list that stands there; none if it is a value.
    """

    at: Written
    swept: tuple[Written, ...]

    @property
    def values(self) -> tuple[Written, ...]:
        """What the setting is to be, one after the other."""
        return self.swept or (self.at,)


@dataclass(frozen=True, eq=False)
class Said:
    """What one place of the file says of ``train``, by setting."""

    settings: Mapping[Any, Setting]

    def __str__(self) -> str:
        return repr(sorted((str(name), repr(setting.at.value)) for name, setting in self.settings.items()))


NOTHING = Said({})


@dataclass(frozen=True, eq=False)
class Entry(Generic[_Spec]):
    """One alternative of ``dataset``, ``model`` or ``augment``.

    Attributes:
        at: Where it stands, and what.
        spec: What it means.
        train: What it says of its training; that goes before the section ``train``. Others of its kind may share it.
    """

    at: Written
    spec: _Spec
    train: Said = NOTHING

    @property
    def means(self) -> tuple[_Spec, str]:
        """The same for two of its kind that mean the same."""
        return self.spec, str(self.train)


class Training(NamedTuple):
    """One combination of the lists of a training, and which of their values it is made of."""

    settings: TrainSettings
    made_of: tuple[Written, ...]


class Recipe:
    """How some cells are trained.

    Args:
        each: What the places say that speak of them; a later one goes before an earlier one.

    Attributes:
        said: What they say together, by setting.
    """

    def __init__(self, *each: Said) -> None:
        self.said: dict[Any, Setting] = {name: setting for said in each for name, setting in said.settings.items()}

    def __len__(self) -> int:
        """How many trainings it means, before equal ones are one."""
        return math.prod(len(setting.values) for setting in self.said.values())

    @property
    def batch_sizes(self) -> list[int | None]:
        """The batch sizes of one worker, also where another setting is wrong; None for one that is wrong itself."""
        setting = self.said.get(_BATCH_SIZE)
        return [_batch_size({_BATCH_SIZE: each.value}) for each in setting.values] if setting else [_batch_size({})]

    def trainings(self, problems: Problems) -> list[Training]:
        """Return them, the setting that is said last changing fastest; what is wrong with one is noted."""
        found = []
        for chosen in product(*(setting.values for setting in self.said.values())):
            written = dict(zip(self.said, chosen, strict=True))
            try:
                settings = TrainSettings.model_validate({name: each.value for name, each in written.items()})
            except ValidationError as error:
                places = {str(name): each.key for name, each in written.items()}
                problems.add_validation(error, TrainSettings, prefix="train", places=places)
            else:
                found.append(Training(settings, chosen))
        return found


def read_train(problems: Problems, key: str, raw: object) -> Said:
    """Return what stands at `key`, a section ``train``; an empty one says nothing."""
    if not raw and isinstance(raw, dict | None):
        return NOTHING
    if not isinstance(raw, dict):
        allowed = f"a mapping with the keys {', '.join(TrainSettings.model_fields)}"
        problems.add(key, raw, allowed=allowed, remedy="Write train: {key: value}.")
        return NOTHING
    return Said({name: _setting(Written(f"{key}.{name}", value), name) for name, value in raw.items()})


def take_train(problems: Problems, key: str, options: dict[str, Any]) -> tuple[dict[str, Any], Said]:
    """Return the options of an entry at `key` without what it says of its training, and that."""
    rest = {option: value for option, value in options.items() if option != "train"}
    return rest, read_train(problems, f"{key}.train", options.get("train"))


def _setting(at: Written, name: object) -> Setting:
    """Return a setting whose value may be a list, each value of which has its own key then."""
    value = at.value
    if name not in TrainSettings.model_fields or not isinstance(value, list):
        return Setting(at, ())
    if name in _LISTS and not all(item is None or isinstance(item, list) for item in value):
        return Setting(at, ())
    return Setting(at, tuple(Written(f"{at.key}[{index}]", item) for index, item in enumerate(value)))


def note_conflicts(problems: Problems, *lists: Iterable[Said]) -> None:
    """Note where entries of several lists say different things of one setting: none goes before the other."""
    for first, second in combinations(lists, 2):
        for one, other in product(first, second):
            for name in one.settings.keys() & other.settings.keys():
                if (here := other.settings[name].at).value != (there := one.settings[name].at).value:
                    problems.add(
                        here.key,
                        here.value,
                        allowed=f"{show(there.value)}, as {there.key} says: the two meet in a cell",
                        remedy="Keep one of the two, or make an experiment of its own of one.",
                    )


def _batch_size(given: dict[str, Any]) -> int | None:
    try:
        return TrainSettings.model_validate(given).batch_size_per_worker
    except ValidationError:
        return None
