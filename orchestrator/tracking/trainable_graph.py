"""A network as a graph of plain torch layers: it can be moved, evaluated and trained without the code that built it.

`torch.export` takes more networks, but what it makes cannot be put into training mode, nor back: MLflow hands out
modules whose `train` and `eval` raise.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor, fx, nn

from orchestrator.errors import first_line

# How the graph calls the network, and what that was in models of earlier versions.
NETWORK, EARLIER_NETWORK = "network.", "1."

logger = logging.getLogger(__name__)


class FromPixels(nn.Module):
    """A network with the normalisation before it.

    Args:
        network: From normalised images to logits.
        mean: Of each channel, in units of [0, 1].
        std: Likewise.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, *, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits of float images ``[B, C, S, S]`` in [0, 1]."""
        logits: Tensor = self.network((pixels - self.mean) / self.std)
        return logits


def trainable_graph(module: FromPixels, example: Tensor) -> fx.GraphModule | None:
    """Return `module` as a graph of layers of torch and torchvision; None, with a line in the log, if it has none.

    A graph has none that does other things with other images, or whose code does not run on the placeholders of
    `torch.fx`. What a network does in training without a layer that does it, such as a function that is told whether
    it is trained, it does as in evaluation.

    Args:
        module: In evaluation mode.
        example: Images, two at least: the graph has to say of them, and of one fewer, what `module` says.
    """
    try:
        graph = fx.GraphModule(module, _tracer().trace(module), "ImageClassifier")
        with torch.inference_mode():
            for images in (example, example[1:]):
                if not torch.allclose(graph(images), module(images), rtol=1e-4, atol=1e-5):
                    raise ValueError(f"it says something else of {len(images)} images")
        if graph.state_dict().keys() != module.state_dict().keys():
            raise ValueError("it leaves weights out")
    except Exception as error:  # noqa: BLE001 - which errors, is the network's
        logger.info("the network is logged as an exported program: torch.fx has no graph of it (%s)", first_line(error))
        return None
    return graph.eval()


def _tracer() -> fx.Tracer:
    # A graph remembers the class of what traced it, and would need it when it is loaded; but none that is local.
    class Tracer(fx.Tracer):
        def is_leaf_module(self, module: nn.Module, name: str) -> bool:
            # Such as those that drop whole layers in training.
            return super().is_leaf_module(module, name) or type(module).__module__.startswith("torchvision.ops.")

    return Tracer()
