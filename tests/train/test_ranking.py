"""What the order of the predictions says, against its definition and against scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve
from torch import Tensor

from orchestrator.metric_names import CLASS_METRICS, RECALL
from orchestrator.train.ranking import rank_classes


def by_definition(scores: list[int], positive: list[bool]) -> dict[str, Fraction]:
    """In fractions: every threshold, and the one above all scores."""
    num, num_others = sum(positive), len(positive) - sum(positive)
    ours, others = ([score for score, mine in zip(scores, positive, strict=True) if mine == kind] for kind in (1, 0))
    won = sum(Fraction(2 * (a > b) + (a == b), 2) for a in ours for b in others)
    points, average, before = [], Fraction(0), Fraction(0)
    for threshold in [max(scores) + 1, *sorted(set(scores), reverse=True)]:
        found = [mine for score, mine in zip(scores, positive, strict=True) if score >= threshold]
        sensitivity = Fraction(sum(found), num)
        points.append((sensitivity, 1 - Fraction(len(found) - sum(found), num_others)))
        average += (sensitivity - before) * Fraction(sum(found), max(1, len(found)))
        before = sensitivity
    values = {"auroc": won / (num * num_others), "average_precision": average}
    for percent in (80, 90, 95):
        bound = Fraction(percent, 100)
        values[f"sensitivity_at_specificity_{percent}"] = max(one for one, other in points if other >= bound)
        values[f"specificity_at_sensitivity_{percent}"] = max(other for one, other in points if one >= bound)
    return values


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.tuples(st.integers(1, 6), st.booleans()), min_size=2, max_size=60).filter(
        lambda samples: len({positive for _, positive in samples}) == 2
    )
)
def test_every_value_is_that_of_the_definition(samples: list[tuple[int, bool]]) -> None:
    """Few different scores: more ties than a model ever has."""
    scores, positive = [score for score, _ in samples], [mine for _, mine in samples]
    p = torch.tensor(scores, dtype=torch.float64) / 7
    found = rank_classes(torch.stack([1 - p, p], dim=1).log(), torch.tensor(positive).long())
    assert {"recall", *found} == CLASS_METRICS.keys()
    expected = by_definition(scores, positive)
    assert {name: values[1] for name, values in found.items() if name != "average_precision"} == {
        name: float(value) for name, value in expected.items() if name != "average_precision"
    }
    assert found["average_precision"][1] == pytest.approx(float(expected["average_precision"]), abs=1e-12)
    # The other class has the same pairs, from the other end.
    assert found["auroc"][0] == found["auroc"][1]


def random(num: int, num_classes: int) -> Tensor:
    return torch.randn(num, num_classes, generator=torch.Generator().manual_seed(num))


def tied(num: int, num_classes: int) -> Tensor:
    """Each sample names one class, with one of four confidences."""
    generator = torch.Generator().manual_seed(num)
    named = torch.randint(num_classes, (num,), generator=generator)
    sure = torch.randint(4, (num, 1), generator=generator)
    return sure * torch.nn.functional.one_hot(named, num_classes).float()


def equal(num: int, num_classes: int) -> Tensor:
    return torch.ones(num, num_classes)


def certain(num: int, num_classes: int) -> Tensor:
    return 100 * random(num, num_classes)


@pytest.mark.parametrize("logits_of", [random, tied, equal, certain])
@pytest.mark.parametrize(("num", "num_classes"), [(2000, 2), (500, 3), (999, 17), (30, 11)])
def test_every_class_has_scikit_learns_values(
    logits_of: Callable[[int, int], Tensor], num: int, num_classes: int
) -> None:
    logits = logits_of(num, num_classes)
    shares = torch.arange(1.0, num_classes + 1)
    labels = torch.multinomial(shares, num, replacement=True, generator=torch.Generator().manual_seed(1))
    labels[labels == 2] = 1  # a class that does not occur
    log_p = logits.double().log_softmax(dim=1)
    found = rank_classes(log_p, labels)
    for label in range(num_classes):
        positive = (labels == label).numpy()
        values = {name: of_class[label] for name, of_class in found.items()}
        if not positive.any():
            assert all(np.isnan(value) for value in values.values())
            continue
        expected = scikit_learns(log_odds(logits, label), positive)
        assert values == pytest.approx(expected, abs=1e-12), label


def log_odds(logits: Tensor, label: int) -> NDArray[np.float64]:
    """What orders the samples as p does, but does not round to 1; rounded, so that equal ones are equal."""
    others = torch.cat([logits[:, :label], logits[:, label + 1 :]], dim=1).double()
    odds: NDArray[np.float64] = (logits[:, label].double() - others.logsumexp(dim=1)).numpy().round(9)
    return odds


def scikit_learns(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> dict[str, float]:
    false_alarms, sensitivity, _ = roc_curve(positive, scores, drop_intermediate=False)
    specificity, near = 1 - false_alarms, 1e-9
    values = {
        "auroc": float(roc_auc_score(positive, scores)),
        "average_precision": float(average_precision_score(positive, scores)),
    }
    for percent in (80, 90, 95):
        bound = percent / 100 - near
        values[f"sensitivity_at_specificity_{percent}"] = float(sensitivity[specificity >= bound].max())
        values[f"specificity_at_sensitivity_{percent}"] = float(specificity[sensitivity >= bound].max())
    return values


def test_a_bound_that_is_met_exactly_is_met() -> None:
    """One false alarm of 20 leaves 95 %, whatever 1 - 1/20 is as a float."""
    scores = torch.arange(1, 41, dtype=torch.float64) / 41
    labels = torch.tensor([0, 1] * 20)
    found = rank_classes(torch.stack([1 - scores, scores], dim=1).log(), labels)
    # The two kinds take turns, a positive one first: 39 finds one without a false alarm, 37 two with one, 3 nineteen.
    assert found["sensitivity_at_specificity_95"][1] == 2 / 20
    assert found["specificity_at_sensitivity_95"][1] == 2 / 20


def test_recall_is_no_matter_of_order() -> None:
    found = rank_classes(random(50, 3).double().log_softmax(dim=1), torch.arange(50) % 3)
    assert RECALL not in found
