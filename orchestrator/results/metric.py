"""What is compared: a tracked metric, as a user names it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from orchestrator.errors import UserError, nearest
from orchestrator.metric_names import CLASS_METRICS, GROUP, METRICS, OPERATING_POINTS, MetricInfo

# What is before a metric's name: of which images, and of which epoch, it is.
_STAGES = ("train", "val", "best", "test")


@dataclass(frozen=True)
class Metric:
    """A tracked metric: ``stage/name``, which direction is better, and whether it lies in [0, 1] (shown in percent)."""

    stage: str
    name: str
    higher_is_better: bool
    is_fraction: bool

    @property
    def key(self) -> str:
        """The name under which a run holds it, e.g. ``test/error``."""
        return f"{self.stage}/{self.name}"

    @property
    def is_of_class(self) -> bool:
        """It is of one class against the rest, e.g. ``test/recall/CLASS``."""
        return _of_class(self.key) is not None

    @property
    def is_comparable(self) -> bool:
        """Augmentations can be compared by it: not by the loss in training, which is of what each of them made."""
        return self.stage != "train"


def resolve_metric(name: str, *, default_stage: str = "test", tracked: Collection[str] = ()) -> Metric:
    """The metric meant by `name`: ``stage/metric``, or a metric alone for `default_stage`.

    Args:
        name: What the user wrote.
        default_stage: ``test``, ``best`` or ``val``.
        tracked: The ``test/METRIC/CLASS`` and ``test/group/METRIC/CLASS`` that the runs hold; without any, every class
            is taken.

    Raises:
        UserError: Unknown; names the nearest.
    """
    key = name if name.partition("/")[0] in _STAGES else f"{default_stage}/{name}"
    info = _known().get(key) or (_of_class(key) if key in tracked or not tracked else None)
    if info is None:
        raise UserError(_unknown(name, tracked))
    stage, _, base = key.partition("/")
    return Metric(stage, base, info.higher_is_better, info.is_fraction)


def classes_tracked(metrics: Iterable[str]) -> set[str]:
    """Those of `metrics` that are of one class."""
    return {key for key in metrics if _of_class(key) is not None}


def _known() -> dict[str, MetricInfo]:
    """The metrics that every run may have, by key."""
    found = {f"{stage}/{name}": info for stage in ("test", "best") for name, info in METRICS.items()}
    found |= {f"val/{name}": info for name, info in METRICS.items() if info.each_epoch}
    found |= {f"test/{GROUP}{name}": info for name, info in METRICS.items()}
    return found | {"train/loss": METRICS["loss"]}


def _of_class(key: str) -> MetricInfo | None:
    """How to read ``test/METRIC/CLASS`` or ``test/group/METRIC/CLASS``; None for anything else."""
    stage, _, rest = key.partition("/")
    name, _, class_name = rest.removeprefix(GROUP).partition("/")
    return CLASS_METRICS.get(name) if stage == "test" and class_name else None


def _unknown(name: str, tracked: Collection[str]) -> str:
    """What is wrong with `name`, which is none of ours, and which are."""
    of_classes = sorted(tracked) or [f"test/{metric}/CLASS" for metric in CLASS_METRICS]
    meant = nearest(name, (*METRICS, *_known(), *of_classes), cutoff=0.5)
    hint = f" Did you mean {meant}?" if meant else ""
    bases = sorted({key.split("/")[-2] for key in of_classes})
    classes = sorted({key.rpartition("/")[2] for key in tracked})
    shown = f"CLASS: {', '.join(classes)}; " if classes else ""
    percent = ", ".join(map(str, OPERATING_POINTS))
    return (
        f"metric={name} is not tracked.{hint} Known: {_listed(METRICS)} (N: {percent}); with test/, best/ (validation "
        "at the tested epoch), val/ (validation at the last epoch; none with N) or test/group/ (lesions and the like, "
        f"where they are known) before them; train/loss; test/METRIC/CLASS ({shown}METRIC: {_listed(bases)})."
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(re.sub(r"_\d+$", "_N", name) for name in names))
