"""What is compared: a tracked metric, as a user names it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from orchestrator.errors import UserError, nearest
from orchestrator.metric_names import METRICS, RECALL


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
    def is_comparable(self) -> bool:
        """Augmentations can be compared by it: not by the loss in training, which is of what each of them made."""
        return self.stage != "train"


def resolve_metric(name: str, *, default_stage: str = "test", recalls: Collection[str] = ()) -> Metric:
    """The metric meant by `name`: ``stage/metric``, or a metric alone for `default_stage`.

    Args:
        name: What the user wrote.
        default_stage: ``test``, ``best`` or ``val``.
        recalls: The ``test/recall/CLASS`` that the runs hold; without any, every class is taken.

    Raises:
        UserError: Unknown; names the nearest.
    """
    known = {f"{stage}/{base}": base for stage in ("test", "best", "val") for base in METRICS} | {"train/loss": "loss"}
    key = name if "/" in name and not name.startswith(RECALL) else f"{default_stage}/{name}"
    if key.startswith(f"test/{RECALL}") and (key in recalls or (not recalls and key != f"test/{RECALL}")):
        return Metric("test", key.removeprefix("test/"), higher_is_better=True, is_fraction=True)
    if key not in known:
        classes = sorted(recalls) or [f"test/{RECALL}CLASS"]
        meant = nearest(name, (*METRICS, *known, *classes), cutoff=0.5)
        hint = f" Did you mean {meant}?" if meant else ""
        raise UserError(
            f"metric={name} is not tracked.{hint} Known: {', '.join(METRICS)}; with test/, best/ (validation at the "
            f"tested epoch) or val/ (validation at the last epoch) before them, train/loss, {', '.join(classes)}."
        )
    info = METRICS[known[key]]
    return Metric(key.partition("/")[0], known[key], info.higher_is_better, info.is_fraction)
