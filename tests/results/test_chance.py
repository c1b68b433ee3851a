"""What a model that has learned nothing has, by each metric: against the metrics' own code."""

from __future__ import annotations

import pytest
import torch

from orchestrator.metric_names import METRICS
from orchestrator.results.chance import chance_level
from orchestrator.results.metric import resolve_metric
from orchestrator.train.metrics import judge_test

NUM_IMAGES = 20_000
# The labels, again and again: as frequent as each other, and not.
EVEN, UNEVEN, OF_TWO = (0, 1, 2, 3), (0, 0, 0, 0, 0, 0, 1, 1, 2, 3), (0, 0, 0, 0, 1)


@pytest.mark.parametrize("pattern", [EVEN, UNEVEN, OF_TWO])
@pytest.mark.parametrize("name", [*METRICS, "group/error", "group/average_precision", "recall/two", "auroc/two"])
def test_a_guess_has_the_level_of_chance(name: str, pattern: tuple[int, ...]) -> None:
    """The level is that of equal probabilities; which class is the likeliest, is drawn."""
    num_classes = max(pattern) + 1
    generator = torch.Generator().manual_seed(0)
    logits = 1e-3 * torch.randn(NUM_IMAGES, num_classes, generator=generator)
    labels = torch.tensor(pattern).repeat(NUM_IMAGES // len(pattern))
    tested = judge_test(logits, labels, num_classes=num_classes, groups=torch.arange(NUM_IMAGES))
    values = tested.metrics(["one", "two", "three", "four"][:num_classes])
    level = chance_level(resolve_metric(name), num_classes)
    if level is None:
        assert name in ("f1_macro", "ece") or (name.endswith("average_precision") and num_classes == 2)
    else:
        assert values[name] == pytest.approx(level, abs=0.02)


def test_the_average_precision_of_a_class_is_not_known_of_a_guess() -> None:
    assert chance_level(resolve_metric("average_precision/two"), 4) is None
