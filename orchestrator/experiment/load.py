"""Reads an experiment file into an `Experiment`, or says everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orchestrator.credentials import NO_CREDENTIALS, PLACES, take_secrets
from orchestrator.experiment.axes import read_seeds
from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.experiment.grid_in_file import Around, read_grid
from orchestrator.experiment.overrides import Key, apply_overrides
from orchestrator.experiment.problems import NOT_GIVEN, Problems, read_section
from orchestrator.experiment.resources import Resources
from orchestrator.experiment.search_checks import check_search
from orchestrator.experiment.search_in_file import read_search
from orchestrator.experiment.settings import (
    CacheSettings,
    Comparing,
    Experiment,
    General,
    Tracking,
)
from orchestrator.experiment.shown_names import check_names_of_rows, with_labels
from orchestrator.experiment.yaml_reader import read_yaml
from orchestrator.plugins import Kind, load_installed

_KEYS = [name for name, field in Experiment.model_fields.items() if name != "file" and not field.exclude]
_SWEPT: tuple[Kind, ...] = ("dataset", "model", "augment")
# What is refused with a sentence of its own.
_CODE = ("plugin", "plugins")


def load_experiment(path: Path, overrides: Sequence[str] = ()) -> Experiment:
    """Return the experiment in `path`.

    Args:
        path: A YAML file; see ``experiments/``.
        overrides: ``key=value`` each, as after ``-o`` on the command line; the last one for a key wins.

    Raises:
        ConfigError: Anything is wrong with file or overrides; holds all of it. Names are checked against the
            registries, values against their ranges; neither data nor cluster is looked at.
        UserError: An installed package that has one of the names cannot be used.
    """
    path = Path(path)
    problems = Problems(str(path))
    in_file = read_yaml(path, problems)
    data = apply_overrides(in_file, overrides, problems, written_out=_with_dataset_name)
    for key in take_secrets(data):
        problems.add(key, NOT_GIVEN, allowed=NO_CREDENTIALS, remedy=PLACES)
    for key in [key for key in data if key in _CODE]:
        remedy = "Name it on the command line, --plugin mine.py, or in ZETASWEEP_PLUGINS."
        problems.add(key, data[key], allowed="no code: an experiment file is only data", remedy=remedy)
    for key in [key for key in data if key not in (*_KEYS, *_CODE)]:
        problems.add_unknown(str(key), data[key], word=str(key), known=_KEYS, what="one of the keys")
    for kind in _SWEPT:
        load_installed(kind, _names_in(data.get(kind)))
    # Each part on its own: a mistake in one hides none in another.
    general = read_section(problems, General, {key: data[key] for key in General.model_fields if key in data})
    parts: dict[str, Any] = {
        "resources": read_section(problems, Resources, data.get("resources"), key="resources"),
        "tracking": read_section(problems, Tracking, data.get("tracking"), key="tracking"),
        "cache": read_section(problems, CacheSettings, data.get("cache"), key="cache"),
        "compare": read_section(problems, Comparing, data.get("compare"), key="compare"),
        "compare_in_file": read_section(problems.another(), Comparing, in_file.get("compare"), key="compare"),
        "seed": read_seeds(problems, data.get("seed", 0)),
    }
    search = read_search(problems, data.get("search"))
    limit = general.max_cells if general is not None else General.model_fields["max_cells"].default
    resources, names = parts["resources"] or Resources(), general.names if general is not None else {}
    parts |= read_grid(problems, data, Around(resources, names, parts["seed"], limit), search)
    problems.raise_if_any()
    assert general is not None, "a section that could not be read has left a problem"
    for section in ("compare", "compare_in_file"):
        parts[section] = parts[section] and with_labels(parts[section], names, "baseline")
    if search is not None:
        confirm = search.confirm and with_labels(search.confirm, names, "against")
        search = with_labels(search, names, "keep").model_copy(update={"confirm": confirm})
    experiment = Experiment(**general.model_dump(), **parts, search=search, file=path)
    check_search(problems, experiment)
    check_names_of_rows(problems, experiment)
    problems.raise_if_any()
    return experiment


def _names_in(raw: object) -> list[str]:
    """Return the names in ``name``, ``{name: {options}}`` or a list of those; nothing of what is neither."""
    names: list[object] = []
    for item in raw if isinstance(raw, list) else [raw]:
        names += item if isinstance(item, dict) else [item]
    return [name for name in names if isinstance(name, str)]


def _with_dataset_name(data: dict[str, Any], key: Key) -> Key:
    """Write ``dataset.image_size`` out as ``dataset.NAME.image_size``, where there is one data set."""
    dataset = data.get("dataset")
    place: Key = ["dataset"]
    if isinstance(dataset, list) and len(dataset) == 1:
        dataset, place = dataset[0], ["dataset", 0]
    names = [dataset] if isinstance(dataset, str) else list(dataset) if isinstance(dataset, dict) else []
    options = {"train", *DatasetSpec.model_fields}
    if key[0] == "dataset" and len(key) > 1 and key[1] in options and len(names) == 1:
        return [*place, names[0], *key[1:]]
    return key
