from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rank_processes import run_ranks
from torch import Tensor

from orchestrator.errors import CellError
from orchestrator.metric_names import METRICS
from orchestrator.train.metrics import class_labels, compute_metrics, judge_test

RANKED = {name for name in METRICS if name == "auroc" or name.startswith(("average_precision", "sens", "spec"))}


def predictions(num: int, num_classes: int, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits that are right more often than not, and labels with classes of unequal sizes."""
    generator = torch.Generator().manual_seed(seed)
    shares = torch.arange(1, num_classes + 1, dtype=torch.float32)
    labels = torch.multinomial(shares, num, replacement=True, generator=generator)
    logits = 2 * torch.randn(num, num_classes, generator=generator)
    logits[torch.arange(num), labels] += 2
    return logits, labels


def truth(logits: Tensor, labels: Tensor, num_classes: int) -> dict[str, float]:
    """scikit-learn's values in float64; the calibration error by its definition (Guo et al. 2017, equation 3)."""
    import sklearn.metrics  # the ranks below import this module too, and need not pay for it

    probabilities, target = logits.double().softmax(dim=1).numpy(), labels.numpy()
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    classes = list(range(num_classes))
    by_class = {k: one_against_rest(probabilities[:, k], target == k) for k in sorted(set(target.tolist()))}
    # One class against the rest has no area without the other; of two classes the second is the one that is looked for.
    chosen = [by_class[1]] if num_classes == 2 else list(by_class.values())
    averages = {name: float(np.mean([of_class[name] for of_class in chosen])) for name in chosen[0]}
    ece = 0.0
    for lower in np.arange(15) / 15:
        inside = (confidence > lower) & (confidence <= lower + 1 / 15)
        if inside.any():
            gap = (predicted == target)[inside].mean() - confidence[inside].mean()
            ece += inside.mean() * abs(gap)
    return {
        "loss": sklearn.metrics.log_loss(target, probabilities, labels=classes),
        "accuracy": sklearn.metrics.accuracy_score(target, predicted),
        "error": 1 - sklearn.metrics.accuracy_score(target, predicted),
        "f1_micro": sklearn.metrics.f1_score(target, predicted, average="micro"),
        "f1_macro": sklearn.metrics.f1_score(target, predicted, average="macro"),
        "balanced_accuracy": sklearn.metrics.balanced_accuracy_score(target, predicted),
        **averages,
        "ece": float(ece),
    }


def one_against_rest(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> dict[str, float]:
    """scikit-learn's values of one class; the best of all points that it draws."""
    import sklearn.metrics

    false_alarms, found, _ = sklearn.metrics.roc_curve(positive, scores, drop_intermediate=False)
    # The shares that scikit-learn divides are whole numbers of samples.
    num, num_others = int(positive.sum()), int((~positive).sum())
    hits, left_out = np.rint(found * num).astype(int), num_others - np.rint(false_alarms * num_others).astype(int)
    values = {
        "auroc": float(sklearn.metrics.roc_auc_score(positive, scores)),
        "average_precision": float(sklearn.metrics.average_precision_score(positive, scores)),
    }
    for percent in (80, 90, 95):
        specific, sensitive = 100 * left_out >= percent * num_others, 100 * hits >= percent * num
        values[f"sensitivity_at_specificity_{percent}"] = hits[specific].max() / num
        values[f"specificity_at_sensitivity_{percent}"] = left_out[sensitive].max() / num_others
    return values


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.parametrize(("num", "num_classes"), [(1000, 10), (301, 2), (997, 100), (12, 3)])
def test_the_values_are_scikit_learns(num: int, num_classes: int) -> None:
    logits, labels = predictions(num, num_classes)
    values = compute_metrics(logits, labels, num_classes=num_classes)
    assert list(values) == list(METRICS)
    assert values == pytest.approx(truth(logits, labels, num_classes), abs=2e-6)


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_classes_that_do_not_occur_are_left_out() -> None:
    logits, labels = predictions(400, 6)
    kept = (labels != 2) & (labels != 5)  # both are still predicted now and then
    logits, labels = logits[kept], labels[kept]
    assert {2, 5} <= set(logits.argmax(dim=1).tolist())
    assert compute_metrics(logits, labels, num_classes=6) == pytest.approx(truth(logits, labels, 6), abs=2e-6)


@pytest.mark.parametrize("num_classes", [2, 3])
def test_a_single_class_is_told_apart_from_nothing(num_classes: int) -> None:
    logits, _ = predictions(20, num_classes)
    judged = judge_test(logits, torch.ones(20, dtype=torch.int64), num_classes=num_classes).images
    assert judged.metrics.keys() == METRICS.keys() - RANKED
    assert all(math.isfinite(value) for value in judged.metrics.values())
    assert judged.by_class.keys() == {"recall"}


@pytest.mark.parametrize("scale", [1, 12, 30])
def test_confidence_does_not_change_the_ranking(scale: int) -> None:
    """In float32 a gap of 17 between two outputs is a probability of 1: ties that the model does not have."""
    logits, labels = predictions(600, 2)
    values = compute_metrics(scale * logits, labels, num_classes=2)
    assert values["auroc"] == pytest.approx(compute_metrics(logits, labels, num_classes=2)["auroc"], abs=2e-6)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=40).filter(
        lambda samples: len({positive for _, positive in samples}) == 2
    )
)
def test_the_area_is_exact_with_ties(samples: list[tuple[int, bool]]) -> None:
    """Of two classes: the share of pairs that are told apart, an equal score counting half."""
    scores = torch.tensor([[0.0, score] for score, _ in samples])
    labels = torch.tensor([int(positive) for _, positive in samples])
    ours = [score for score, positive in samples if positive]
    others = [score for score, positive in samples if not positive]
    won = sum(Fraction(2 * (a > b) + (a == b), 2) for a in ours for b in others)
    assert compute_metrics(scores, labels, num_classes=2)["auroc"] == float(won / (len(ours) * len(others)))


def test_certainty_is_in_the_uppermost_bin() -> None:
    """Half of the samples at a probability of 1, of which nine tenths are right; half at 0.95, of which all are."""
    certain, sure = torch.tensor([100.0, 0.0]), torch.tensor([math.log(19), 0.0])
    logits = torch.cat([certain.expand(50, 2), sure.expand(50, 2)])
    labels = torch.tensor([1] * 5 + [0] * 95)
    assert compute_metrics(logits, labels, num_classes=2)["ece"] == pytest.approx(0.025, abs=1e-6)


def test_shares_are_as_exact_as_floats_are() -> None:
    logits = torch.nn.functional.one_hot(torch.tensor([0] * 200 + [1] * 179), 3).float()
    labels = torch.tensor([0] * 111 + [1] * 268)
    values = judge_test(logits, labels, num_classes=3).metrics(["a", "b", "c"])
    assert (values["error"], values["accuracy"], values["f1_micro"]) == (89 / 379, 290 / 379, 290 / 379)
    assert (values["recall/a"], values["recall/b"]) == (1.0, 179 / 268)
    assert values["balanced_accuracy"] == (1 + 179 / 268) / 2


def test_no_two_classes_have_the_same_name() -> None:
    assert class_labels(["a", "b+", "b*", "c"]) == ["a", "b__1", "b__2", "c"]
    assert len(set(class_labels(["c+", "c*", "c__0"]))) == 3
    longest = class_labels(["x" * 255, "x" * 254])
    assert len(set(longest)) == 2
    assert all(len(f"test/group/sensitivity_at_specificity_95/{name}") <= 250 for name in longest)


def test_a_perfect_model() -> None:
    labels = torch.arange(8) % 4
    values = compute_metrics(100.0 * torch.nn.functional.one_hot(labels, 4), labels, num_classes=4)
    for name, info in METRICS.items():
        assert values[name] == pytest.approx(1.0 if info.higher_is_better else 0.0, abs=1e-6)


def test_the_directions_are_right() -> None:
    good, labels = predictions(2000, 5)
    better, worse = (compute_metrics(logits, labels, num_classes=5) for logits in (good, good.roll(1, dims=1)))
    for name, info in METRICS.items():
        assert (better[name] > worse[name]) == info.higher_is_better
        if info.is_fraction:
            assert 0 <= better[name] <= 1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_precisions_are_evaluated_in_float32(dtype: torch.dtype) -> None:
    logits, labels = predictions(200, 4)
    rounded = logits.to(dtype)
    assert compute_metrics(rounded, labels, num_classes=4) == compute_metrics(rounded.float(), labels, num_classes=4)


def test_the_input_is_neither_changed_nor_kept_in_a_graph() -> None:
    logits, labels = predictions(50, 3)
    logits.requires_grad_()
    before = logits.detach().clone()
    values = compute_metrics(logits, labels, num_classes=3)
    assert all(type(value) is float for value in values.values())
    assert torch.equal(logits, before)


def test_what_does_not_fit_is_refused() -> None:
    logits, labels = predictions(10, 3)
    for wrong_logits, wrong_labels, num_classes in (
        (logits, labels, 4),
        (logits, labels[:9], 3),
        (logits.flatten(), labels, 3),
        (logits, labels.unsqueeze(1), 3),
    ):
        with pytest.raises(ValueError, match="do not fit num_classes"):
            compute_metrics(wrong_logits, wrong_labels, num_classes=num_classes)
    with pytest.raises(ValueError, match="no sample"):
        compute_metrics(logits[:0], labels[:0], num_classes=3)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_outputs_that_are_not_finite_fail_the_cell(value: float) -> None:
    logits, labels = predictions(10, 3)
    logits[4, 1] = value
    with pytest.raises(CellError, match="not finite"):
        compute_metrics(logits, labels, num_classes=3)


def evaluate_shards(rank: int, folder: Path) -> None:
    """One of two ranks: unequal shards, an empty shard, and an output that is not finite on the other rank."""
    logits, labels = predictions(101, 5)
    own = slice(0, 60) if rank == 0 else slice(60, None)
    unequal = compute_metrics(logits[own], labels[own], num_classes=5)
    # A group with images on both ranks.
    groups = (4 * labels + torch.arange(101) % 4).unique(return_inverse=True)[1]
    grouped = judge_test(logits[own], labels[own], num_classes=5, groups=groups[own]).metrics(list("abcde"))
    own = slice(0, None) if rank == 0 else slice(0, 0)
    empty = compute_metrics(logits[own], labels[own], num_classes=5)
    if rank == 1:
        logits[80, 0] = float("nan")
    own = slice(0, 60) if rank == 0 else slice(60, None)
    try:
        compute_metrics(logits[own], labels[own], num_classes=5)
        failure = ""
    except CellError as error:
        failure = str(error)
    found = {"unequal": unequal, "grouped": grouped, "empty": empty, "failure": failure}
    (folder / f"{rank}.json").write_text(json.dumps(found))


def test_two_ranks_report_the_values_of_all_samples(tmp_path: Path) -> None:
    run_ranks(evaluate_shards, tmp_path, world_size=2)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first == second
    logits, labels = predictions(101, 5)
    assert first["unequal"] == first["empty"] == compute_metrics(logits, labels, num_classes=5)
    assert first["unequal"] == pytest.approx(truth(logits, labels, 5), abs=2e-6)
    groups = (4 * labels + torch.arange(101) % 4).unique(return_inverse=True)[1]
    assert first["grouped"] == judge_test(logits, labels, num_classes=5, groups=groups).metrics(list("abcde"))
    assert "group/auroc/e" in first["grouped"]
    assert "not finite" in first["failure"]
