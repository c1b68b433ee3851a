"""The four lists that an experiment sweeps (dataset, model, augment, seed): from their YAML forms to checked values."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError

from orchestrator.data import DATASETS
from orchestrator.experiment.dataset_spec import MAX_FOLDS, SHOWN_AS, DatasetSpec
from orchestrator.experiment.problems import NOT_GIVEN, Problems, show, suggest
from orchestrator.models import is_model, model_names

_Value = TypeVar("_Value", bound=Hashable)
# torch and NumPy both take any seed of 32 bits.
_MAX_SEED = 2**32 - 1


def read_datasets(problems: Problems, raw: object) -> tuple[DatasetSpec, ...]:
    """Return the data sets of ``dataset: name``, ``{name: {options}}`` or a list of those."""
    found = []
    for key, item in entries(problems, "dataset", raw, allowed="the name of a data set, or a list"):
        named = split_entry(problems, key, item, known=sorted(DATASETS))
        if named is None:
            continue
        name, options = named
        inside = f"{key}.{name}"
        key = inside if isinstance(item, dict) else key
        known = DatasetSpec.options_of(name)
        if SHOWN_AS in options:
            problems.add_unknown(
                f"{inside}.{SHOWN_AS}", options[SHOWN_AS], word=SHOWN_AS, known=known, what="one of the keys"
            )
        renamed = {SHOWN_AS if option == "name" else option: value for option, value in options.items()}
        for fold in _folds(options):
            try:
                found.append((key, DatasetSpec.model_validate({**renamed, **fold, "name": name})))
            except ValidationError as error:
                problems.add_validation(error, DatasetSpec, prefix=inside, keys=known, written={SHOWN_AS: "name"})
    _refuse_shared_names(problems, found)
    return without_repeats(
        problems, [(key, spec.label, spec.model_copy(update={SHOWN_AS: None})) for key, spec in found]
    ) and tuple(spec for _, spec in found)


def _folds(options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the option ``fold`` of each data set that the options of one stand for."""
    folds, fold = options.get("folds"), options.get("fold")
    if isinstance(fold, list) and fold:
        return [{"fold": one} for one in fold]
    if fold is None and isinstance(folds, int) and not isinstance(folds, bool) and 2 <= folds <= MAX_FOLDS:
        return [{"fold": one} for one in range(folds)]
    return [{}]


def _refuse_shared_names(problems: Problems, found: Sequence[tuple[str, DatasetSpec]]) -> None:
    """Note a problem if two data sets would be one in a table."""
    first: dict[str, DatasetSpec] = {}
    for key, spec in found:
        other = first.setdefault(spec.label, spec.over_folds)
        if spec.shown_as is not None and other != spec.over_folds:
            problems.add(f"{key}.name", spec.shown_as, allowed="a name of its own", remedy="Another data set has it.")


def read_models(problems: Problems, raw: object) -> tuple[str, ...]:
    """Return the models of ``model: name`` or a list of names."""
    found = []
    for key, item in entries(problems, "model", raw, allowed="the name of a model, or a list"):
        if isinstance(item, str) and is_model(item):
            found.append((key, item, item))
        else:
            problems.add(
                key,
                item,
                allowed="convnet, resnet18, resnet50 or another of torchvision's classification models",
                remedy=suggest(str(item), model_names()),
            )
    return without_repeats(problems, found)


def read_seeds(problems: Problems, raw: object) -> tuple[int, ...]:
    """Return the seeds of ``seed: integer`` or a list of integers."""
    found = []
    for key, item in entries(problems, "seed", raw, allowed="an integer, or a list"):
        if isinstance(item, int) and not isinstance(item, bool) and 0 <= item <= _MAX_SEED:
            found.append((key, item, item))
        else:
            remedy = "Write a list for several: [0, 1, 2]." if isinstance(item, str) else "Change it."
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
    if isinstance(item, dict) and len(item) > 1:
        problems.add(
            key,
            item,
            allowed="one name with its options below it",
            remedy="Indent the options further than the name; start each alternative with '- '.",
        )
        return None
    name, options = next(iter(item.items())) if isinstance(item, dict) and item else (item, None)
    if not isinstance(name, str) or name not in known:
        problems.add_unknown(key, item, word=str(name), known=known, what="one of")
        return None
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
    first: dict[_Value, str] = {}
    for key, written, value in found:
        if value in first:
            remedy = f"The same cells come from {first[value]}: remove one of the two."
            problems.add(key, written, allowed="each cell once", remedy=remedy)
        first.setdefault(value, f"{key} = {show(written)}")
    return tuple(first)
