"""The metrics that a model is judged by, computed over the samples of all ranks, the same on each.

torchmetrics takes seconds to import: only `orchestrator.train.evaluation` imports this module, when it first evaluates.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.functional import classification as tm
from torchmetrics.utilities.distributed import gather_all_tensors

from orchestrator.errors import CellError
from orchestrator.metric_names import METRICS, RECALL

_ECE_BINS = 15  # Guo et al., "On Calibration of Modern Neural Networks", ICML 2017


def compute_metrics(
    logits: Tensor, labels: Tensor, *, num_classes: int, class_names: Sequence[str] | None = None
) -> dict[str, float]:
    """Every metric of ``METRICS`` over the samples of all ranks.

    A collective: where a default process group is initialised, every rank must call it. Shards may differ in length and
    may be empty; none is padded. The shards are gathered whole, because AUROC and the calibration error need every
    score anyway, so each rank computes the same values from the same samples. They are computed on the CPU, in one
    order: the CUDA versions of some of the sums involved are not deterministic. What counts say is computed in float64:
    two models that are wrong equally often are equal, and equal differences between pairs of models are, too.

    Args:
        logits: Floating, [n, num_classes]: this rank's shard, on the device that the group's backend works on.
        labels: int64 [n] in [0, num_classes), on the same device.
        num_classes: At least 2.
        class_names: In the order of the labels; adds ``recall/<class>`` for each class that occurs.

    Returns:
        The metrics in the order of ``METRICS``: ``loss`` is the mean cross-entropy; ``f1_macro`` averages over the
        classes that occur among labels or predictions, ``balanced_accuracy`` (mean recall) and ``auroc`` (one against
        the rest) over those that occur among the labels, each as scikit-learn has it; ``ece`` is the expected
        calibration error in 15 bins. ``auroc`` is NaN if all labels are of one class.

    Raises:
        ValueError: A shape that does not fit, or no sample on any rank.
        CellError: An output that is not finite, on any rank; raised on every rank.
    """
    if logits.ndim != 2 or logits.shape[1] != num_classes or labels.shape != logits.shape[:1]:
        raise ValueError(
            f"logits {tuple(logits.shape)} and labels {tuple(labels.shape)} do not fit num_classes={num_classes}: "
            "expected [n, num_classes] and [n]."
        )
    all_logits = _gathered(logits.detach().float()).cpu()
    all_labels = _gathered(labels).cpu()
    if len(all_labels) == 0:
        raise ValueError("no sample to evaluate on any rank.")
    if not torch.isfinite(all_logits).all():
        raise CellError(
            "the model's outputs are not finite in evaluation", remedy="lower train.lr or set train.clip_grad_norm"
        )
    recalls = class_recalls(all_logits, all_labels, class_names) if class_names is not None else {}
    return _metrics_of(all_logits, all_labels, num_classes) | recalls


def recall_names(class_names: Sequence[str]) -> list[str]:
    """The name of each class's recall: ``recall/<class>``, in the characters that MLflow allows, no two alike."""
    names = [re.sub(r"[^\w -]", "_", name) for name in class_names]
    # Again, since a label may make a name that another class has.
    while len(set(names)) < len(names):
        counts = Counter(names)
        names = [name if counts[name] == 1 else f"{name}_{label}" for label, name in enumerate(names)]
    return [f"{RECALL}{name}" for name in names]


def class_recalls(logits: Tensor, labels: Tensor, class_names: Sequence[str]) -> dict[str, float]:
    """The share of each class's samples that are recognised, for the classes that occur.

    Args:
        logits: Floating, [n, num_classes].
        labels: int64 [n].
        class_names: In the order of the labels.
    """
    support = labels.bincount(minlength=len(class_names))
    hits = labels[logits.argmax(dim=1) == labels].bincount(minlength=len(class_names))
    return {
        name: int(hits[label]) / int(support[label])
        for label, name in enumerate(recall_names(class_names))
        if support[label] > 0
    }


def _gathered(shard: Tensor) -> Tensor:
    """The shards of all ranks in the order of the ranks; the shard itself where there is no process group."""
    if not (dist.is_available() and dist.is_initialized()):
        return shard
    return torch.cat(gather_all_tensors(shard))


def _metrics_of(logits: Tensor, labels: Tensor, num_classes: int) -> dict[str, float]:
    # torchmetrics counts; the ratios of the counts, as it has them, would be float32.
    hits, false_positives, _, misses, support = tm.multiclass_stat_scores(
        logits, labels, num_classes=num_classes, average=None
    ).T.double()
    present = support > 0
    occurs = present | (false_positives > 0)
    accuracy = float(hits.sum() / support.sum())
    f1 = 2 * hits / (2 * hits + false_positives + misses)
    values = {
        # float64: a sum over all samples in float32 would depend on how many there are.
        "loss": float(torch.nn.functional.cross_entropy(logits.double(), labels)),
        "accuracy": accuracy,
        "error": float(misses.sum() / support.sum()),
        # Each sample has one label and one prediction: a miss of one class is a false positive of another.
        "f1_micro": accuracy,
        "f1_macro": float(f1[occurs].mean()),
        # torchmetrics' macro recall counts a class that is predicted but never occurs as 0; it has no recall at all.
        "balanced_accuracy": float((hits / support)[present].mean()),
        "auroc": _auroc(logits, labels, present),
        "ece": _calibration_error(logits, labels, num_classes),
    }
    assert values.keys() == METRICS.keys()
    return values


def _auroc(logits: Tensor, labels: Tensor, present: Tensor) -> float:
    """Mean area under the ROC curve of each class that occurs against the rest; NaN if only one occurs."""
    if int(present.sum()) < 2:
        return float("nan")
    # The area depends on the order alone. A confident model's probabilities round to 1: ties it does not have.
    scores = _log_odds(logits).T.contiguous().numpy()
    of_label = labels.numpy()
    areas = [_area(scores[label], of_label == label) for label in present.nonzero().flatten().tolist()]
    return float(np.mean(areas))


def _area(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Exact area under the ROC curve, ties included: the share of pairs in which the positive sample scores higher.

    That is Mann and Whitney's U over the number of pairs, from counts that are whole numbers. torchmetrics walks along
    the curve, class by class, in ten times the time.

    Args:
        scores: float64 [n].
        positive: bool [n]: both kinds occur.
    """
    mine, ordered = scores[positive], np.sort(scores)
    # Of two that are equal, each counts half: twice the pairs that are won, those among the positive ones included.
    won = int(np.searchsorted(ordered, mine, "left").sum()) + int(np.searchsorted(ordered, mine, "right").sum())
    return (won - len(mine) ** 2) / (2 * len(mine) * (len(scores) - len(mine)))


def _log_odds(logits: Tensor) -> Tensor:
    """Logarithm of p / (1 - p) for each class, float64 like `logits` in shape, exact also where p rounds to 1."""
    logits = logits.double()
    log_p = logits.log_softmax(dim=1)
    top = logits.argmax(dim=1, keepdim=True)
    # Only one class can have more than a half; for the others 1 - p loses nothing.
    rest = logits.scatter(1, top, -torch.inf).logsumexp(dim=1, keepdim=True)
    return (log_p - torch.log1p(-log_p.exp())).scatter(1, top, logits.gather(1, top) - rest)


def _calibration_error(logits: Tensor, labels: Tensor, num_classes: int) -> float:
    # torchmetrics' bins are open above: a probability of 1 would be in a bin of its own.
    probabilities = logits.softmax(dim=1).clamp(max=1 - torch.finfo(logits.dtype).eps)
    return float(tm.multiclass_calibration_error(probabilities, labels, num_classes=num_classes, n_bins=_ECE_BINS))
