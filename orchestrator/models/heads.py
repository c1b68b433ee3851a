"""The head of a network: the layer that makes logits of features, and what is before it, its backbone."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from torch import nn

from orchestrator.models.grey import inner_network


def head_layers(network: nn.Module) -> list[nn.Module]:
    """Return the layers of a network's head.

    Of timm's networks it is what they call their classifier, which may be several layers; of others the last linear
    layer or convolution, in the order in which they were made.

    Raises:
        ValueError: The network has no such layer.
    """
    if callable(classifier := getattr(inner_network(network), "get_classifier", None)):
        found = classifier()
        layers = list(found) if isinstance(found, tuple | list) else [found]
    else:
        layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear | nn.Conv2d)][-1:]
    if not any(True for layer in layers for _ in layer.parameters()):
        raise ValueError("the network has no linear layer or convolution whose output could be its logits")
    return layers


def head_of(network: nn.Module) -> frozenset[str]:
    """Return the names of the parameters of a network's head, see `head_layers`.

    Raises:
        ValueError: The network has no such layer.
    """
    own = {id(parameter) for layer in head_layers(network) for parameter in layer.parameters()}
    return frozenset(name for name, parameter in network.named_parameters() if id(parameter) in own)


def freeze_backbone(network: nn.Module, head: Collection[str]) -> None:
    """Have the head alone be trained: nothing before it gets gradients, and `training_mode` keeps its statistics."""
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name in head)


def training_mode(network: nn.Module, *, backbone_is_frozen: bool) -> None:
    """Put a network into training mode, but batch normalisation that is frozen: it normalises with the statistics that
    it has, and keeps them.

    Args:
        network: Some of its weights may be frozen, by `freeze_backbone` or by itself.
        backbone_is_frozen: Whether `freeze_backbone` was called: then what has no weights (``affine=False``) is frozen
            like all that is before the head.
    """
    network.train()
    for norm in _norms(network):
        weights = list(norm.parameters())
        if not any(weight.requires_grad for weight in weights) and (weights or backbone_is_frozen):
            norm.eval()


def _norms(network: nn.Module) -> Iterator[nn.Module]:
    # The base of BatchNorm1d, 2d and 3d and of SyncBatchNorm, which torch has under this name alone.
    return (module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm))
