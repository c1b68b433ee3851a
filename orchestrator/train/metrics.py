"""The metrics that a model is judged by, computed over the samples of all ranks, the same on each.

torchmetrics takes seconds to import: only `orchestrator.train.evaluation` imports this module, when it first evaluates.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.functional import classification as tm
from torchmetrics.utilities.distributed import gather_all_tensors

from orchestrator.errors import CellError
from orchestrator.metric_names import CLASS_METRICS_UP_TO, GROUP, METRICS, RECALL
from orchestrator.train.ranking import rank_classes

_ECE_BINS = 15  # Guo et al., "On Calibration of Modern Neural Networks", ICML 2017


@dataclass(frozen=True)
class Judged:
    """What predictions are worth. What does not exist, such as the recall of a class without samples, is left out.

    Attributes:
        metrics: Those of ``METRICS``, in that order. ``loss`` is the mean cross-entropy; ``f1_macro`` averages over the
            classes that occur among labels or predictions, ``balanced_accuracy`` (mean recall) and ``auroc`` (one
            against the rest) over those that occur among the labels, each as scikit-learn has it; ``ece`` is the
            expected calibration error in 15 bins. ``average_precision`` and the operating points are means like
            ``auroc``, but of two classes they are those of the second. None of these exists where one class alone does.
        by_class: Those of ``CLASS_METRICS``, in that order, float64 [num_classes] each; NaN where it does not exist.
        labels: int64 [n].
        predicted: int64 [n]: the most likely class.
    """

    metrics: dict[str, float]
    by_class: dict[str, NDArray[np.float64]]
    labels: Tensor
    predicted: Tensor


@dataclass(frozen=True)
class JudgedTest:
    """A model's predictions for the test images, judged.

    Attributes:
        images: By image.
        groups: By group, with the mean of the probabilities over its images; None if no groups are known.
        logits: float32 [n, num_classes] on the CPU: of all images, one rank's after the other's.
    """

    images: Judged
    groups: Judged | None
    logits: Tensor

    def metrics(self, class_names: Sequence[str]) -> dict[str, float]:
        """Return all by name: ``NAME``, ``NAME/CLASS`` for each class, and after ``group/`` those of the groups.

        Args:
            class_names: In the order of the labels. Of more than ``CLASS_METRICS_UP_TO``, each has its recall alone.
        """
        found = _named(self.images, class_names)
        if self.groups is not None:
            found |= {f"{GROUP}{name}": value for name, value in _named(self.groups, class_names).items()}
        return found


def compute_metrics(logits: Tensor, labels: Tensor, *, num_classes: int) -> dict[str, float]:
    """Every metric of ``METRICS`` over the samples of all ranks (see ``Judged``).

    A collective: where a default process group is initialised, every rank must call it. Shards may differ in length and
    may be empty; none is padded. The shards are gathered whole, because AUROC and the calibration error need every
    score anyway, so each rank computes the same values from the same samples. They are computed on the CPU, in one
    order: the CUDA versions of some of the sums involved are not deterministic. What counts say is computed in float64:
    two models that are wrong equally often are equal, and equal differences between pairs of models are, too.

    Args:
        logits: Floating, [n, num_classes]: this rank's shard, on the device that the group's backend works on.
        labels: int64 [n] in [0, num_classes), on the same device.
        num_classes: At least 2.

    Raises:
        ValueError: A shape that does not fit, or no sample on any rank.
        CellError: An output that is not finite, on any rank; raised on every rank.
    """
    return _judged(logits, labels, None, num_classes).images.metrics


def judge_test(logits: Tensor, labels: Tensor, *, num_classes: int, groups: Tensor | None = None) -> JudgedTest:
    """Judge the predictions of all ranks, image by image and group by group; a collective like `compute_metrics`.

    Args:
        logits: See `compute_metrics`; it says what is raised, too.
        labels: Likewise.
        num_classes: Likewise.
        groups: int64 [n], on the same device: the group of each sample, numbered from 0 over all ranks; those of one
            group have one label.
    """
    return _judged(logits, labels, groups, num_classes)


def class_labels(class_names: Sequence[str]) -> list[str]:
    """The name of each class in metrics: in the characters that MLflow allows, no two alike."""
    # MLflow's names have 250 characters at most.
    names = [re.sub(r"[^\w -]", "_", name)[:200] for name in class_names]
    # Again, since a label may make a name that another class has.
    while len(set(names)) < len(names):
        counts = Counter(names)
        names = [name if counts[name] == 1 else f"{name}_{label}" for label, name in enumerate(names)]
    return names


def _judged(logits: Tensor, labels: Tensor, groups: Tensor | None, num_classes: int) -> JudgedTest:
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
    # float64: a sum over all samples in float32 would depend on how many there are.
    log_p = all_logits.double().log_softmax(dim=1)
    confidence, predicted = all_logits.softmax(dim=1).amax(dim=1), all_logits.argmax(dim=1)
    images = _judge(log_p, all_labels, predicted, confidence)
    if groups is None:
        return JudgedTest(images, None, all_logits)
    all_groups = _gathered(groups).cpu()
    pooled = _mean_by_group(log_p, all_groups)
    of_group = all_labels.new_empty(len(pooled)).scatter_(0, all_groups, all_labels)
    log_confidence, predicted = pooled.max(dim=1)
    of_groups = _judge(pooled, of_group, predicted, log_confidence.exp().float())
    return JudgedTest(images, of_groups, all_logits)


def _gathered(shard: Tensor) -> Tensor:
    """The shards of all ranks in the order of the ranks; the shard itself where there is one rank.

    A group of one is not asked, either: over NCCL that would start it, for nothing.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return shard
    return torch.cat(gather_all_tensors(shard))


def _mean_by_group(log_p: Tensor, groups: Tensor) -> Tensor:
    """The logarithms of the mean probabilities of each group, float64 [num_groups, K].

    Args:
        log_p: float64 [n, K].
        groups: int64 [n]: from 0 to num_groups - 1.
    """
    order, counts = groups.argsort(stable=True), groups.bincount()
    first = counts.cumsum(0) - counts
    pooled = log_p[order[first]]
    # The second image of all groups that have one, the third, ...: few steps, each with many rows.
    for number in range(1, int(counts.max())):
        more = (counts > number).nonzero().flatten()
        pooled[more] = pooled[more].logaddexp(log_p[order[first[more] + number]])
    return pooled - counts.double().log().unsqueeze(1)


def _judge(log_p: Tensor, labels: Tensor, predicted: Tensor, confidence: Tensor) -> Judged:
    """Judge predictions.

    Args:
        log_p: float64 [n, K]: logarithms of the probabilities.
        labels: int64 [n].
        predicted: int64 [n]: the most likely class.
        confidence: float32 [n]: its probability.
    """
    num_classes = log_p.shape[1]
    support, claimed = labels.bincount(minlength=num_classes), predicted.bincount(minlength=num_classes)
    hits = labels[predicted == labels].bincount(minlength=num_classes).double()
    present, occurs = support > 0, support + claimed > 0
    accuracy = float(hits.sum() / len(labels))
    f1, recall = 2 * hits / (support + claimed), hits / support
    # One class alone has nothing that it could be told apart from.
    ranked = rank_classes(log_p, labels) if int(present.sum()) > 1 else {}
    values = {
        "loss": float(torch.nn.functional.nll_loss(log_p, labels)),
        "accuracy": accuracy,
        "error": int((predicted != labels).sum()) / len(labels),
        # Each sample has one label and one prediction: a miss of one class is a false positive of another.
        "f1_micro": accuracy,
        "f1_macro": float(f1[occurs].mean()),
        # torchmetrics' macro recall counts a class that is predicted but never occurs as 0; it has no recall at all.
        "balanced_accuracy": float(recall[present].mean()),
        "ece": _calibration_error(confidence, predicted == labels),
        **{name: _summary(name, of_class) for name, of_class in ranked.items()},
    }
    assert values.keys() <= METRICS.keys()
    metrics = {name: values[name] for name in METRICS if name in values}
    return Judged(metrics, {RECALL: recall.numpy()} | ranked, labels, predicted)


def _summary(name: str, of_class: NDArray[np.float64]) -> float:
    """One number of the classes' own: their mean; of two the second's, where the first's would not be the same."""
    if len(of_class) == 2 and name != "auroc":
        return float(of_class[1])
    return float(np.mean(of_class[~np.isnan(of_class)]))


def _calibration_error(confidence: Tensor, correct: Tensor) -> float:
    # torchmetrics' bins are open above: a probability of 1 would be in a bin of its own.
    below_1 = confidence.clamp(max=1 - torch.finfo(confidence.dtype).eps)
    return float(tm.binary_calibration_error(below_1, correct.long(), n_bins=_ECE_BINS))


def _named(judged: Judged, class_names: Sequence[str]) -> dict[str, float]:
    of_classes = judged.by_class if len(class_names) <= CLASS_METRICS_UP_TO else {RECALL: judged.by_class[RECALL]}
    return judged.metrics | {
        f"{name}/{class_name}": value
        for name, values in of_classes.items()
        for class_name, value in zip(class_labels(class_names), values.tolist(), strict=True)
        if not np.isnan(value)
    }
