"""What other test images would change: the variance that the difference of two rows owes to its images alone.

More seeds lessen what differs from training to training; what the test images favour by chance stays. It is the
covariance, over images, of the differences of two trainings: what they have in common beyond their own noise.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from orchestrator.metric_names import CLASS_METRICS, GROUP, METRICS, RECALL
from orchestrator.results.statistics.answers import Answers, Floats, of_groups
from orchestrator.results.statistics.class_means import ClassMeans
from orchestrator.results.statistics.few_images import Floors, added_to, is_nothing, steps
from orchestrator.results.statistics.kept_resamples import resampled_once
from orchestrator.results.statistics.ranking import RANKED
from orchestrator.results.statistics.resampling import Measure, measure_of

Cells = Mapping[str, Mapping[Hashable, Answers]]

# Means over the images, or over those of each class: their variance is known without resampling.
_SHARES = ("error", "accuracy", "f1_micro")
_MEANS = (*_SHARES, "loss", "ece", "balanced_accuracy", RECALL)
# Those that images change in whole steps: what is not seen of them is known to be few images.
_COUNTED = (*_SHARES, "balanced_accuracy", RECALL, "f1_macro")
_OF_CLASSES = ("balanced_accuracy", RECALL, "f1_macro")
_ECE_BINS = 15
_ARRAYS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys((*_SHARES, "balanced_accuracy", RECALL, "f1_macro"), ("predicted",)),
    "loss": ("loss",),
    "ece": ("predicted", "confidence"),
    **dict.fromkeys(RANKED, ("logits",)),
}


def image_floors(metric: str, predictions: Cells, *, classes: Sequence[str] = ()) -> Floors | None:
    """Return what the test images add to the variance of the difference of each two rows, in the metric's unit squared.

    With the same n seeds in both rows it is max(0, (n V_avg - V_one) / (n - 1)): V_avg is the variance, over test sets,
    of the difference of the rows' means, V_one that of one seed's difference, in the mean. Written out, that is the
    mean covariance of the differences of two seeds; so seeds that a row lacks need not be left out of the others. A row
    with a single seed has no two: there the seed's own variance takes their place, which holds the noise of training,
    too, so that the floor is rather too high.

    Where images are counted, and rows differ on very few of them, some are added: see `few_images`.

    Where images are of groups (lesions), groups are what other test sets have others of, and not single images.

    Args:
        metric: ``test/error``, ``group/auroc``, ``test/recall/CLASS`` and so on; fractions are in [0, 1].
        predictions: Of each row the cells by seed, with the arrays that `arrays_needed` names at least.
        classes: The names of the classes as metrics have them, by label; for metrics of one class.

    Returns:
        Each pair of rows once, in their order; means over images, in all or by class, exactly, others by bootstrap.
        The calibration error counts as the mean that it is while no bin's gap changes its sign: resamples of a gap
        lie around the one that was seen, not around the true one, so that its sign is lost in them too often, and with
        it half of the variance.
        None where it cannot be known: the metric is not of the test; a row has no predictions, or without what the
        metric needs (logits are not kept above a hundred classes); they are of different images; a class that counts
        has a single image or group; nothing is to be told apart because only one class is there; or two rows differ on
        no image, and how much one would change is not known.
    """
    asked = _asked(metric, classes)
    cells = [cell for of_row in predictions.values() for cell in of_row.values()]
    if asked is None or not all(predictions.values()) or len({cell.order for cell in cells}) != 1:
        return None
    judged = _of_groups(predictions) if asked.of_groups else predictions
    deviations = None if judged is None else _deviations(asked, judged)
    if judged is None or deviations is None:
        return None
    return _floors(judged, deviations, step=_step(asked, judged) if asked.name in _COUNTED else None)


def arrays_needed(metric: str) -> tuple[str, ...]:
    """Return the names of the arrays of predictions that `image_floors` looks at, beside the labels."""
    asked = _asked(metric, None)
    if asked is None:
        return ()
    return ("groups", "logits") if asked.of_groups else ("groups", *_ARRAYS[asked.name])


def resolution_of(metric: str, predictions: Answers, *, classes: Sequence[str] = ()) -> float | None:
    """Return the least step between two values of a metric that counts images (or groups); None of one that does not.

    Args:
        metric: See `image_floors`.
        predictions: Of any cell.
        classes: See `image_floors`.
    """
    asked = _asked(metric, classes)
    if asked is None or asked.name not in (*_SHARES, "balanced_accuracy", RECALL):
        return None
    labels = predictions.labels
    if asked.of_groups:
        if predictions.groups is None:
            return None
        labels = labels[np.unique(predictions.groups, return_index=True)[1]]
    counts = np.bincount(labels, minlength=(asked.label or 0) + 1)
    if asked.name in _SHARES:
        return 1 / len(labels)
    if asked.name == RECALL:
        return float(1 / counts[asked.label]) if counts[asked.label] else None
    return float(1 / (np.count_nonzero(counts) * counts.max()))


@dataclass(frozen=True)
class _Asked:
    """A metric of the test: its name, the label of its class (None for all), and whether it is of groups."""

    name: str
    label: int | None
    of_groups: bool


def _asked(metric: str, classes: Sequence[str] | None) -> _Asked | None:
    """Return what is meant; None if it is nothing that test images decide. Without classes, one label is any other."""
    rest = metric.removeprefix("test/")
    name, _, class_name = rest.removeprefix(GROUP).partition("/")
    if name not in (CLASS_METRICS if class_name else METRICS):
        return None
    if class_name and classes is not None and class_name not in classes:
        return None
    label = None if not class_name else 0 if classes is None else list(classes).index(class_name)
    return _Asked(name, label, rest.startswith(GROUP))


def _of_groups(predictions: Cells) -> Cells | None:
    """Return the answers for whole groups; None if a cell does not know them."""
    pooled: dict[str, dict[Hashable, Answers]] = {row: {} for row in predictions}
    for row, of_row in predictions.items():
        for seed, cell in of_row.items():
            of_cell = of_groups(cell)
            if of_cell is None:
                return None
            pooled[row][seed] = of_cell
    return pooled


_Deviations = Callable[[Sequence[str], Hashable], Floats]
"""Of the cells of rows, by rows and seed, [rows, ...]: what each image (or resample) makes of their metrics, such that
the product of two cells' is the covariance of their metrics over test sets."""


def _deviations(asked: _Asked, predictions: Cells) -> _Deviations | None:
    first = next(cell for of_row in predictions.values() for cell in of_row.values())
    cells = (cell for of_row in predictions.values() for cell in of_row.values())
    if any(getattr(cell, name) is None for cell in cells for name in _ARRAYS[asked.name]):
        return None
    if asked.name not in _MEANS:
        measure = measure_of(asked.name, asked.label)
        return None if measure is None else _by_resampling(predictions, measure, of=(asked.name, asked.label))
    by_class = asked.name in ("balanced_accuracy", RECALL)
    classes = first.labels.astype(np.intp) if by_class else np.zeros(len(first.labels), np.intp)
    means = ClassMeans.of(classes, first.groups, label=asked.label)
    if means is None:
        return None
    return lambda rows, seed: means.deviations(np.stack([_values(asked, predictions[row][seed]) for row in rows]))


def _values(asked: _Asked, cell: Answers) -> Floats:
    """Return what a mean over images is the mean of, [n]; its sign does not matter."""
    if asked.name == "loss":
        return np.asarray(cell.loss, dtype=np.float64)
    right = np.asarray(cell.predicted == cell.labels, dtype=np.float64)
    return _gaps(right, np.asarray(cell.confidence, dtype=np.float64)) if asked.name == "ece" else right


def _gaps(right: Floats, confidence: Floats) -> Floats:
    """Return by how much each image adds to the gap between what is right and what is said in its bin, [n]."""
    bins = np.minimum((confidence * _ECE_BINS).astype(np.intp), _ECE_BINS - 1)
    gaps = right - confidence
    of_images: Floats = gaps * np.sign(np.bincount(bins, gaps))[bins]
    return of_images


def _by_resampling(predictions: Cells, measure: Measure, *, of: Hashable) -> _Deviations | None:
    places = {place: at for at, place in enumerate((row, seed) for row in predictions for seed in predictions[row])}
    values = resampled_once([predictions[row][seed] for row, seed in places], measure, of=of)
    # Which resamples lack the metric is the same for all cells: those without an image of some class.
    values = values[:, np.isfinite(values).all(axis=0)]
    if values.shape[1] < 2:
        return None
    values -= values.mean(axis=1, keepdims=True)
    values /= np.sqrt(values.shape[1] - 1)
    return lambda rows, seed: values[[places[row, seed] for row in rows]]


def _step(asked: _Asked, predictions: Cells) -> float:
    """Return the most that one image (or group) changes in a metric that counts them."""
    first = next(cell for of_row in predictions.values() for cell in of_row.values())
    labels = first.labels if asked.name in _OF_CLASSES else np.zeros(len(first.labels), np.intp)
    found = steps(labels, first.groups, label=asked.label)
    # An error is half of one in the F1 of its own class, and half of one in that of the class it is taken for.
    return sum(found[:2]) / 2 if asked.name == "f1_macro" else found[0]


def _floors(predictions: Cells, deviations: _Deviations, *, step: float | None) -> Floors | None:
    """Return the floors of pairs of rows: seed by seed, so that the deviations of all cells are never there at once."""
    rows = list(predictions)
    size = len(rows)
    shared, same = np.zeros((size, size)), np.zeros((size, size))
    summed: Floats | float = 0.0
    for seed in _seeds(predictions):
        there = np.array([seed in predictions[row] for row in rows])
        found = deviations([row for row in rows if seed in predictions[row]], seed)
        of_seed = np.zeros((size, found.shape[1]))
        of_seed[there] = found
        same += of_seed @ of_seed.T
        shared += np.outer(there, there)
        summed = summed + of_seed
    assert isinstance(summed, np.ndarray)
    num = np.diag(shared)
    pairs = np.outer(num, num)
    all_pairs, of_different = summed @ summed.T, pairs - shared
    averaged = all_pairs / pairs
    spread = _of_differences(averaged)
    if step is None and is_nothing(spread, np.diag(averaged)):
        return None
    covariance = np.where(of_different > 0, (all_pairs - same) / np.maximum(of_different, 1), averaged)
    added = np.zeros((size, size)) if step is None else added_to(spread, step)
    floors = _of_differences(covariance) + added
    places = list(combinations(range(size), 2))
    return Floors(
        {(rows[i], rows[j]): float(floors[i, j]) for i, j in places},
        bounds={(rows[i], rows[j]) for i, j in places if min(num[i], num[j]) < 2},
        seen={
            (rows[i], rows[j]): float(spread[i, j] / step**2)
            for i, j in places
            if step is not None and added[i, j] > spread[i, j]
        },
    )


def _of_differences(covariance: Floats) -> Floats:
    """Return the variance of the difference of each two rows, [rows, rows]."""
    own = np.diag(covariance)
    variances: Floats = np.maximum(own[:, None] + own[None, :] - 2 * covariance, 0.0)
    return variances


def _seeds(predictions: Cells) -> Collection[Hashable]:
    return dict.fromkeys(seed for of_row in predictions.values() for seed in of_row)
