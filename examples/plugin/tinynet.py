"""A network of your own: what `MODELS` has is a model of experiment files, and its further arguments are options there.

model: {tinynet: {width: [8, 16]}}
"""

from __future__ import annotations

from torch import nn

from augment import ParameterError


def build_tinynet(
    *, num_classes: int, num_channels: int, image_size: int, width: int = 16, dropout: float = 0.0
) -> nn.Module:
    """Two convolutions and a linear layer, for images of 4 px and more.

    Args:
        num_classes: Of the data set, as the two that follow.
        num_channels: 1 or 3.
        image_size: Height and width in pixels.
        width: Channels of the first convolution; the second has twice as many.
        dropout: The share of features that is left out in training.
    """
    if image_size < 4:
        raise ParameterError("image_size", image_size, "at least 4 px for tinynet", "Set dataset.image_size.")
    return nn.Sequential(
        *(nn.Conv2d(num_channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()),
        nn.MaxPool2d(2),
        *(nn.Conv2d(width, 2 * width, 3, padding=1, bias=False), nn.BatchNorm2d(2 * width), nn.ReLU()),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(2 * width, num_classes),
    )


MODELS = {"tinynet": build_tinynet}
