"""What a model that has learned nothing has, by each metric: against the metrics' own code."""

from __future__ import annotations

import pytest
import torch

from orchestrator.metric_names import METRICS
from orchestrator.results.chance import chance_level
from orchestrator.results.metric import resolve_metric
from orchestrator.train.metrics import judge_test

NUM_CLASSES, NUM_IMAGES = 4, 20_000


@pytest.mark.parametrize("name", [*METRICS, "group/error", "recall/two", "average_precision/two"])
def test_a_guess_has_the_level_of_chance(name: str) -> None:
    """The level is that of equal probabilities; which class is the likeliest, is drawn."""
    generator = torch.Generator().manual_seed(0)
    logits = 1e-3 * torch.randn(NUM_IMAGES, NUM_CLASSES, generator=generator)
    labels = torch.arange(NUM_IMAGES) % NUM_CLASSES
    tested = judge_test(logits, labels, num_classes=NUM_CLASSES, groups=torch.arange(NUM_IMAGES))
    values = tested.metrics(["one", "two", "three", "four"])
    level = chance_level(resolve_metric(name), NUM_CLASSES)
    if level is None:
        assert name in ("f1_macro", "ece", "average_precision/two")
    else:
        assert values[name] == pytest.approx(level, abs=0.02)
