"""Which batch normalisation keeps its statistics: what is frozen, and nothing that merely has no weights."""

from __future__ import annotations

import pytest
from torch import nn

from orchestrator.models.heads import freeze_backbone, head_of, training_mode


def made(*, affine: bool) -> nn.Sequential:
    """A network that freezes its own first layer, as a plug-in's may."""
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.BatchNorm1d(4, affine=affine), nn.Linear(4, 2))
    network[0].requires_grad_(False)
    return network


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("freeze", [True, False])
def test_it_is_trained_unless_the_backbone_is_frozen(affine: bool, freeze: bool) -> None:
    network = made(affine=affine)
    if freeze:
        freeze_backbone(network, head_of(network))
    training_mode(network, backbone_is_frozen=freeze)
    assert network[2].training != freeze


def test_what_a_network_freezes_itself_stays_frozen() -> None:
    network = made(affine=True)
    network[2].requires_grad_(False)
    training_mode(network, backbone_is_frozen=False)
    assert not network[2].training
