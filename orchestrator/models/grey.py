"""Grey images for networks that were made for three channels."""

from __future__ import annotations

from torch import Tensor, nn


class GreyToRgb(nn.Module):
    """Repeats the one channel of [B, 1, H, W] three times, without a copy."""

    def forward(self, images: Tensor) -> Tensor:
        """[B, 1, H, W] to [B, 3, H, W], same dtype."""
        return images.expand(-1, 3, -1, -1)


def behind_grey(network: nn.Module) -> nn.Module:
    """Return what gives a network of three channels one channel, three times."""
    return nn.Sequential(GreyToRgb(), network)


def inner_network(network: nn.Module) -> nn.Module:
    """Return the network in what `behind_grey` returned; any other as it is."""
    is_behind = isinstance(network, nn.Sequential) and len(network) == 2 and isinstance(network[0], GreyToRgb)
    return network[1] if is_behind else network  # type: ignore[index]
