"""Claim: all metrics of a test, exact and with ties, cost less than a second of one core for 100 classes.

Run, a quarter of an hour on 2 cores::

    python benchmarks/metrics_cost.py [--classes 7 100 1000] [--rounds 5] [--json PATH]

Bars, for 50,000 images: less than 1 s of CPU for 100 classes, less than 8 s for 1,000, with everything that a test
computes and writes: the metrics of the images, of each class and of the groups (three groups for each four images, as
in HAM10000), and the tables.

What is timed is CPU of one thread, on made-up predictions that are right three times in four:

* ``test``: all of it, from logits to the files; ``images alone``: without groups and files, as validation has it.
* ``curves``: AUROC, average precision and the six operating points of each class, from logits. The rivals, in the same
  run: ``scikit-learn`` with ``roc_auc_score``, ``average_precision_score`` and, for the six points, ``roc_curve``;
  ``torchmetrics`` with ``multiclass_auroc``, ``multiclass_average_precision`` and its two functions for points, three
  times each, all exact (``thresholds=None``).

The contestants take turns; the rivals, which take minutes for 1,000 classes, sit out after ``--rival-rounds``. How far
their values are from ours at most is said, too.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from figures import Spread, origin, say, show, write_json
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve
from torch import Tensor
from torchmetrics.functional import classification as tm

from orchestrator.metric_names import OPERATING_POINTS, sensitivity_name, specificity_name
from orchestrator.train.metrics import judge_test
from orchestrator.train.ranking import rank_classes
from orchestrator.train.tables import write_tables

NUM_IMAGES = 50_000
BARS_S = {100: 1.0, 1000: 8.0}
# Rounding of 1 minus a share decides at a bound which a share meets exactly; ours compares whole numbers.
NEAR = 1e-9

Curves = dict[str, NDArray[np.float64]]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Predictions:
    """Logits float32 [n, K], labels int64 [n], and the group of each, int64 [n]; those of a group have one label."""

    logits: Tensor
    labels: Tensor
    groups: Tensor

    @property
    def num_classes(self) -> int:
        """K."""
        return self.logits.shape[1]


def main() -> None:
    """Time every contestant and print the figures with the bars."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--classes", type=int, nargs="+", default=[7, 100, 1000], metavar="K")
    parser.add_argument("--images", type=int, default=NUM_IMAGES, metavar="N", help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--rival-rounds", type=int, default=3, metavar="N", help="default: %(default)s")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures there, too")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    source = origin() | {"threads": 1, "images": arguments.images}
    tables: dict[str, dict[str, Spread]] = {}
    differences: dict[str, dict[str, float]] = {}
    verdicts: dict[str, bool] = {}
    for num_classes in arguments.classes:
        title = f"{arguments.images:,} images, {num_classes:,} classes"
        rounds = arguments.rounds, arguments.rival_rounds
        tables[title], differences[title] = race(title, made_up(arguments.images, num_classes), *rounds)
        if bar := BARS_S.get(num_classes):
            median = tables[title]["test"].median
            verdicts[f"{title}: a test takes {median:.2f} s of CPU, less than {bar:g}"] = median < bar
    for verdict, fulfilled in verdicts.items():
        print(f"{'met' if fulfilled else 'NOT met':>8}: {verdict}")
    print(", ".join(f"{name} {value}" for name, value in source.items()))
    if arguments.json is not None:
        write_json(arguments.json, source=source, cpu_s=tables, largest_difference=differences, bars=verdicts)


def made_up(num: int, num_classes: int) -> Predictions:
    """Return predictions of a model that is right about three times in four."""
    generator = torch.Generator().manual_seed(0)
    num_groups = 3 * num // 4
    rest = torch.randint(num_groups, (num - num_groups,), generator=generator)
    groups = torch.cat([torch.arange(num_groups), rest])[torch.randperm(num, generator=generator)]
    labels = torch.randint(num_classes, (num_groups,), generator=generator)[groups]
    logits = torch.randn(num, num_classes, generator=generator)
    # The largest of K normal numbers is about sqrt(2 log K).
    logits[torch.arange(num), labels] += 0.7 + (2 * np.log(num_classes)) ** 0.5
    return Predictions(2 * logits, labels, groups)


def race(title: str, given: Predictions, rounds: int, rival_rounds: int) -> tuple[dict[str, Spread], dict[str, float]]:
    """Return the CPU seconds of each contestant, and how far the rivals' values are from ours; print both."""
    contestants: dict[str, Callable[[Predictions], object]] = {
        "test": whole_test,
        "images alone": lambda given: judge_test(given.logits, given.labels, num_classes=given.num_classes),
        "curves": ours,
    }
    rivals: dict[str, Callable[[Predictions], Curves]] = {"scikit-learn": scikit_learn, "torchmetrics": torchmetrics}
    seconds: dict[str, list[float]] = {}
    differences: dict[str, float] = {}
    mine = ours(given)
    for number in range(rounds):
        for name, contestant in contestants.items():
            seconds.setdefault(name, []).append(timed(contestant, given)[0])
        for name, rival in rivals.items() if number < rival_rounds else ():
            say(f"{title}: {name}, round {number + 1}")
            spent, found = timed(rival, given)
            seconds.setdefault(f"curves, {name}", []).append(spent)
            differences[name] = max(float(np.nanmax(np.abs(values - mine[key]))) for key, values in found.items())
    times = {name: Spread.of(values) for name, values in seconds.items()}
    notes = [f"{name}: at most {difference:.1e} from ours" for name, difference in differences.items()]
    show(f"\n{title}: seconds of CPU", times, digits=3, notes=notes)
    return times, differences


def timed(step: Callable[[Predictions], Result], given: Predictions) -> tuple[float, Result]:
    """Return the CPU seconds that `step` takes, and its result."""
    started = time.process_time()
    result = step(given)
    return time.process_time() - started, result


def whole_test(given: Predictions) -> None:
    """All that is computed and written when a model is tested."""
    tested = judge_test(given.logits, given.labels, num_classes=given.num_classes, groups=given.groups)
    names = [f"class {label}" for label in range(given.num_classes)]
    tested.metrics(names)
    with tempfile.TemporaryDirectory() as folder:
        write_tables(Path(folder) / "test", tested, names)


def ours(given: Predictions) -> Curves:
    """The metrics that depend on the order alone, of each class, by this project."""
    return rank_classes(given.logits.double().log_softmax(dim=1), given.labels)


def scikit_learn(given: Predictions) -> Curves:
    """The same by scikit-learn, class by class."""
    scores, labels = given.logits.double().softmax(dim=1).T.contiguous().numpy(), given.labels.numpy()
    rows = []
    for label in range(given.num_classes):
        positive = labels == label
        false_alarms, sensitivity, _ = roc_curve(positive, scores[label], drop_intermediate=False)
        row = {
            "auroc": roc_auc_score(positive, scores[label]),
            "average_precision": average_precision_score(positive, scores[label]),
        }
        for percent in OPERATING_POINTS:
            bound = percent / 100 - NEAR
            row[sensitivity_name(percent)] = sensitivity[1 - false_alarms >= bound].max()
            row[specificity_name(percent)] = (1 - false_alarms)[sensitivity >= bound].max()
        rows.append(row)
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def torchmetrics(given: Predictions) -> Curves:
    """The same by torchmetrics."""
    scores, options = given.logits.double().softmax(dim=1), {"num_classes": given.num_classes, "validate_args": False}
    found = {
        "auroc": tm.multiclass_auroc(scores, given.labels, average=None, **options),
        "average_precision": tm.multiclass_average_precision(scores, given.labels, average=None, **options),
    }
    for percent in OPERATING_POINTS:
        bound = percent / 100 - NEAR
        found[sensitivity_name(percent)], _ = tm.multiclass_sensitivity_at_specificity(
            scores, given.labels, min_specificity=bound, **options
        )
        found[specificity_name(percent)], _ = tm.multiclass_specificity_at_sensitivity(
            scores, given.labels, min_sensitivity=bound, **options
        )
    return {name: values.double().numpy() for name, values in found.items()}


if __name__ == "__main__":
    main()
