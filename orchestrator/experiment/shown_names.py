"""The section ``names``: what is called otherwise in tables and reports than in the file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from pydantic import BaseModel

from orchestrator.experiment.augment_spec import AugmentSpec
from orchestrator.experiment.cells import expand
from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.experiment.model_spec import ModelSpec
from orchestrator.experiment.problems import Problems
from orchestrator.experiment.settings import Experiment

_Section = TypeVar("_Section", bound=BaseModel)


def check_names(
    problems: Problems,
    names: Mapping[str, str],
    *,
    augments: Sequence[AugmentSpec],
    datasets: Sequence[DatasetSpec],
    models: Sequence[ModelSpec],
) -> None:
    """Note a problem for each entry of `names` that names nothing, or gives two things one text.

    Two rows of one text would be one row to who reads the table. Where the command line says what is swept, the names
    of what it leaves out may stay. Rows with settings, such as ``erm, lr=0.05``, are for `check_names_of_rows`.
    """
    kinds: list[dict[str, str]] = [
        {spec.label: spec.name for spec in augments},
        {spec.label: spec.name if spec.shown_as is None else spec.label for spec in datasets},
        {spec.label: spec.name for spec in models},
    ]
    known = list(dict.fromkeys(word for kind in kinds for pair in kind.items() for word in pair))
    narrowed = problems.overrides("dataset", "model", "augment", "train.batch_size_per_worker")
    for word in [word for word in names if not (word in known or narrowed or _has_settings(word, kinds[0]))]:
        problems.add_unknown(f"names.{word}", names[word], word=word, known=known, what="one of")
    for kind in kinds:
        first: dict[str, str] = {}
        for label, name in kind.items():
            text = names.get(label, names.get(name, name) + label.removeprefix(name))
            if (other := first.setdefault(text, label)) != label:
                word = next(word for word in (label, name, other, kind[other]) if word in names)
                problems.add(
                    f"names.{word}", names[word], allowed="a text of its own", remedy=f"So {other} is called, too."
                )


def check_names_of_rows(problems: Problems, experiment: Experiment) -> None:
    """Note a problem for each row with settings in ``names`` that is none, or that has another's text."""
    augments = {word for spec in experiment.augment for word in (spec.label, spec.name)}
    words = [word for word in experiment.names if _has_settings(word, augments)]
    # Which rows a search has is not known yet.
    if not words or experiment.drawn or problems.overrides("dataset", "model", "augment", "train"):
        return
    rows = list(dict.fromkeys(cell.variant for cell in expand(experiment)))
    first = {experiment.names[word]: word for word in experiment.names if word in augments}
    for word in words:
        text = experiment.names[word]
        if word not in rows:
            problems.add_unknown(f"names.{word}", text, word=word, known=rows, what="one of")
        elif (other := first.setdefault(text, word)) != word:
            problems.add(f"names.{word}", text, allowed="a text of its own", remedy=f"So {other} is called, too.")


def _has_settings(word: str, augments: Iterable[str]) -> bool:
    return any(word.startswith(f"{label}, ") for label in augments)


def label_of(text: str, names: Mapping[str, str]) -> str:
    """Return the label of the row that is shown as `text`; `text` itself if nothing in `names` is called so."""
    for key, called in names.items():
        if text == called:
            return key
    for key, called in names.items():
        if text.startswith((f"{called}(", f"{called}, ")):
            return key + text.removeprefix(called)
    return text


def with_labels(section: _Section, names: Mapping[str, str], key: str) -> _Section:
    """Return a section with the labels of rows at `key`, where the file may have what tables show for them."""
    said = getattr(section, key)
    if not said:
        return section
    labels = label_of(said, names) if isinstance(said, str) else tuple(label_of(each, names) for each in said)
    return section.model_copy(update={key: labels})
