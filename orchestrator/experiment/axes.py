"""The lists that an experiment sweeps: how their entries are read; data sets and seeds."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError

from orchestrator.experiment.dataset_spec import MAX_FOLDS, SHOWN_AS, DatasetSpec
from orchestrator.experiment.problems import NOT_GIVEN, Problems, show, suggest_name
from orchestrator.experiment.train_entries import Entry, Written, take_train
from orchestrator.plugins import known_names

_Value = TypeVar("_Value", bound=Hashable)
SAME_CELLS = "The same cells come from {}: remove one of the two."
# torch and NumPy both take any seed of 32 bits.
_MAX_SEED = 2**32 - 1


def read_datasets(problems: Problems, raw: object) -> list[Entry[DatasetSpec]]:
    """Return the data sets of ``dataset: name``, ``{name: {options}}`` or a list of those."""
    found: list[Entry[DatasetSpec]] = []
    for key, item in entries(problems, "dataset", raw, allowed="the name of a data set, or a list"):
        named = split_entry(problems, key, item, known=sorted(known_names("dataset")))
        if named is None:
            continue
        name, options = named
        inside = f"{key}.{name}"
        options, train = take_train(problems, inside, options)
        key = inside if isinstance(item, dict) else key
        known = [*DatasetSpec.options_of(name), "train"]
        if SHOWN_AS in options:
            problems.add_unknown(
                f"{inside}.{SHOWN_AS}", options[SHOWN_AS], word=SHOWN_AS, known=known, what="one of the keys"
            )
        renamed = {SHOWN_AS if option == "name" else option: value for option, value in options.items()}
        for fold in _folds(options):
            try:
                spec = DatasetSpec.model_validate({**renamed, **fold, "name": name})
                found.append(Entry(Written(key, spec.label), spec, train))
            except ValidationError as error:
                problems.add_validation(error, DatasetSpec, prefix=inside, keys=known, written={SHOWN_AS: "name"})
    _refuse_shared_names(problems, found)
    plain = [(each.spec.model_copy(update={SHOWN_AS: None}), str(each.train)) for each in found]
    without_repeats(problems, [(each.at.key, each.at.value, means) for each, means in zip(found, plain, strict=True)])
    return found


def _folds(options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the option ``fold`` of each data set that the options of one stand for."""
    folds, fold = options.get("folds"), options.get("fold")
    if isinstance(fold, list) and fold:
        return [{"fold": one} for one in fold]
    if fold is None and isinstance(folds, int) and not isinstance(folds, bool) and 2 <= folds <= MAX_FOLDS:
        return [{"fold": one} for one in range(folds)]
    return [{}]


def _refuse_shared_names(problems: Problems, found: Sequence[Entry[DatasetSpec]]) -> None:
    """Note a problem if two data sets would be one in a table."""
    first: dict[str, DatasetSpec] = {}
    for key, spec in ((each.at.key, each.spec) for each in found):
        other = first.setdefault(spec.label, spec.over_folds)
        if spec.shown_as is not None and other != spec.over_folds:
            problems.add(f"{key}.name", spec.shown_as, allowed="a name of its own", remedy="Another data set has it.")


def read_seeds(problems: Problems, raw: object) -> tuple[int, ...]:
    """Return the seeds of ``seed: integer`` or a list of integers."""
    found = []
    for key, item in entries(problems, "seed", raw, allowed="an integer, or a list"):
        if isinstance(item, int) and not isinstance(item, bool) and 0 <= item <= _MAX_SEED:
            found.append((key, item, item))
        else:
            remedy = "Write a list for several: [0, 1, 2]." if isinstance(item, str | dict) else "Change it."
            problems.add(key, item, allowed=f"an integer from 0 to {_MAX_SEED}", remedy=remedy)
    return without_repeats(problems, found)


def entries(problems: Problems, key: str, raw: object, *, allowed: str) -> Iterator[tuple[str, Any]]:
    """Yield each alternative that stands at `key`, with its own key; nothing at all is a problem."""
    if raw is None or raw == []:
        value = NOT_GIVEN if raw is None else raw
        problems.add(key, value, allowed=allowed, remedy="At least one is needed: add it.")
    elif isinstance(raw, list):
        yield from ((f"{key}[{index}]", item) for index, item in enumerate(raw))
    else:
        yield key, raw


def split_entry(
    problems: Problems, key: str, item: object, *, known: Sequence[str]
) -> tuple[str, dict[str, Any]] | None:
    """Return name and options of ``name`` or ``{name: {options}}``; None, and a problem, if it is neither."""
    named = named_entry(problems, key, item)
    if named is None or (isinstance(named[0], str) and named[0] in known):
        return named
    problems.add(key, item, allowed=f"one of: {', '.join(known)}", remedy=suggest_name(str(named[0]), known))
    return None


def named_entry(problems: Problems, key: str, item: object) -> tuple[Any, dict[str, Any]] | None:
    """Return what `split_entry` does, whatever stands in place of the name."""
    if isinstance(item, dict) and len(item) > 1:
        problems.add(
            key,
            item,
            allowed="one name with its options below it",
            remedy="Indent the options further than the name; start each alternative with '- '.",
        )
        return None
    name, options = next(iter(item.items())) if isinstance(item, dict) and item else (item, None)
    if options is not None and not isinstance(options, dict):
        problems.add(
            f"{key}.{name}", options, allowed="options as a mapping", remedy=f"Write {name}: {{option: value}}."
        )
        return None
    return name, options or {}


def without_repeats(problems: Problems, found: Sequence[tuple[str, object, _Value]]) -> tuple[_Value, ...]:
    """Return the values of `found`, triples of (key, what stands there, value); one that comes twice is a problem.

    Cells are all combinations of the lists, so two cells are equal only if two entries of a list are.
    """
    first: dict[_Value, tuple[str, object]] = {}
    for key, written, value in found:
        if value in first:
            there, what = first[value]
            problems.add(key, written, allowed="each cell once", remedy=SAME_CELLS.format(f"{there} = {show(what)}"))
        first.setdefault(value, (key, written))
    return tuple(first)


def fits(problems: Problems, num_cells: int, limit: int) -> bool:
    """Return whether there may be so many cells; if not, it is a problem: a list too many multiplies."""
    if num_cells > limit:
        problems.add(
            "max_cells",
            limit,
            allowed=f"at least {num_cells}: so many cells do the lists multiply to",
            remedy=f"Shorten a list; or, if so many are meant: -o max_cells={num_cells}",
        )
    return num_cells <= limit
