"""The section ``names``: what is called otherwise in tables and reports than in the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator.experiment.augment_spec import AugmentSpec
from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.experiment.model_spec import ModelSpec
from orchestrator.experiment.problems import Problems


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
    of what it leaves out may stay.
    """
    kinds: list[dict[str, str]] = [
        {spec.label: spec.name for spec in augments},
        {spec.label: spec.name if spec.shown_as is None else spec.label for spec in datasets},
        {spec.label: spec.name for spec in models},
    ]
    known = list(dict.fromkeys(word for kind in kinds for pair in kind.items() for word in pair))
    narrowed = problems.overrides("dataset", "model", "augment", "train.batch_size_per_worker")
    for word in [word for word in names if word not in known and not narrowed]:
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
