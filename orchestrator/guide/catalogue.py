"""What there is to choose from: models, augmentations, data sets and metrics, each with its options."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass
from typing import Any

from augment import AUGMENTATIONS, SINGLE_IMAGES, ParameterError, check_parameter, parameters
from orchestrator.data import DATASETS
from orchestrator.errors import UserError
from orchestrator.experiment import DatasetSpec, ModelSpec, options_beside
from orchestrator.metric_names import CLASS_METRICS, METRICS, MetricInfo
from orchestrator.models import MODELS, REQUIRED, is_timm, model_names, model_options, timm_names, weight_names
from orchestrator.plugins import Kind, load_all_installed, plugin_of

_SHARED = {"crop_padding", "hflip"}
# Of an augmentation of a plug-in that does not say it.
UNSAID = "what its code takes"
_LOADED: dict[str, Kind] = {"models": "model", "augmentations": "augment", "datasets": "dataset"}
_LOG = logging.getLogger(__name__)
_TIMM_WEIGHTS = "behind a dot: timm/NAME.TAG"


@dataclass(frozen=True)
class Option:
    """What can be said of an item in an experiment file.

    Attributes:
        name: The key.
        default: What stands for it where nothing is said, as JSON has it.
        required: Whether something must be said.
        allowed: Which values it takes.
        what: What it is; empty where its name says it.
    """

    name: str
    default: Any
    required: bool
    allowed: str
    what: str = ""


@dataclass(frozen=True)
class Item:
    """One thing to choose.

    Attributes:
        name: As an experiment file, or ``--metric``, has it.
        what: It is, in a line.
        options: What can be said of it.
        facts: What else is known of it, by name.
    """

    name: str
    what: str
    options: tuple[Option, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()


_OF_ANY_MODEL = tuple(
    Option(name, field.default, False, field.description or "", field.title)
    for name, field in ModelSpec.model_fields.items()
    if field.title
)


_BESIDE = {
    "probability": Option(
        "probability", None, False, "a number above 0 and below 1, or null for every batch", "that a batch is mixed"
    ),
    "combine": Option(
        "combine",
        None,
        False,
        f"none, {', '.join(SINGLE_IMAGES)}, or {{name: {{parameter: value}}}}",
        "what is done to each image before",
    ),
}


def items_of(kind: str) -> list[Item]:
    """Return all there is of one of `KINDS`, in the order of its registry; what installed packages have is loaded."""
    if kind in _LOADED:
        for problem in load_all_installed(_LOADED[kind]):
            _LOG.warning("%s", problem)
    return list(KINDS[kind]())


def parameter_range(make: type[Any], name: str) -> str:
    """Return which values a parameter of an augmentation takes, as it says itself when it refuses one."""
    try:
        check_parameter(make, name, float("nan"))
    except ParameterError as error:
        return error.allowed
    except Exception:  # noqa: BLE001 - of a plug-in: it says nothing that is meant for a user
        return UNSAID
    return UNSAID


def summary(documented: object) -> str:
    """Return the first paragraph of a docstring."""
    return " ".join((inspect.getdoc(documented) or "").split("\n\n")[0].split())


def meaning(make: type[Any], name: str) -> str:
    """Return what the docstring of a class says about an attribute; nothing where it says nothing."""
    told = re.search(rf"^    {name}: (.*(?:\n        .*)*)", inspect.getdoc(make) or "", re.MULTILINE)
    return " ".join(told[1].split()) if told is not None else ""


def _models() -> Iterator[Item]:
    for name in (*model_names(), *_timm_names()):
        own = tuple(
            Option(option.name, None if required else option.default, required, option.allowed)
            for option in model_options(name).values()
            for required in [option.default is REQUIRED]
        )
        what = summary(MODELS[name]) if name in MODELS else "from scratch, or with published weights"
        library = "zetasweep" if name in MODELS else "timm" if is_timm(name) else "torchvision"
        plugin = plugin_of("model", name)
        facts = {"of": plugin.file.name if plugin is not None else library}
        # Each of timm's thousand names would have to be looked up.
        facts["weights"] = _TIMM_WEIGHTS if is_timm(name) else ", ".join(weight_names(name))
        yield Item(name, what, (*own, *_OF_ANY_MODEL), tuple(facts.items()))


def _timm_names() -> list[str]:
    try:
        return timm_names()
    except UserError:  # it is not installed
        return []


def _augmentations() -> Iterator[Item]:
    for name, make in AUGMENTATIONS.items():
        options = tuple(
            Option(
                parameter,
                None if field.default is MISSING else field.default,
                field.default is MISSING,
                parameter_range(make, parameter) + (", or batch for all of it" if parameter == "num_mixed" else ""),
                meaning(make, parameter).rstrip("."),
            )
            for parameter, field in parameters(make).items()
        )
        yield Item(name, summary(make), (*options, *(_BESIDE[option] for option in options_beside(name))))


def _datasets() -> Iterator[Item]:
    for name, info in DATASETS.items():
        facts = {
            "classes": str(info.num_classes or "your own"),
            "images": "x".join(map(str, info.image_shape)) if info.image_shape else "of any size",
            "from": "embedded" if info.embedded else "--download" if info.download else "your disk",
        }
        options = [_dataset_option(name, option) for option in DatasetSpec.options_of(name)]
        yield Item(name, info.description, tuple(options), tuple(facts.items()))


def _dataset_option(dataset: str, option: str) -> Option:
    info = DATASETS[dataset]
    field = DatasetSpec.model_fields["shown_as" if option == "name" else option]
    default = getattr(info, option) if option in _SHARED else field.default
    return Option(option, default, option == info.path_option, field.description or "", field.title or "")


def _metrics() -> Iterator[Item]:
    for name, info in METRICS.items():
        stages = "val, best, test" if info.each_epoch else "best, test"
        yield Item(name, info.what, facts=_facts(info, f"{stages}, test/group"))
    for name, info in CLASS_METRICS.items():
        yield Item(f"{name}/CLASS", info.what, facts=_facts(info, "test"))


def _facts(info: MetricInfo, stages: str) -> tuple[tuple[str, str], ...]:
    better = "higher" if info.higher_is_better else "lower"
    return ("better", better), ("range", "0 to 1" if info.is_fraction else "0 and more"), ("of", stages)


KINDS: Mapping[str, Callable[[], Iterator[Item]]] = {
    "models": _models,
    "augmentations": _augmentations,
    "datasets": _datasets,
    "metrics": _metrics,
}
