"""Networks by name, and the weights that they may begin with."""

from orchestrator.models.fit import Fit
from orchestrator.models.heads import freeze_backbone, head_layers, head_of, training_mode
from orchestrator.models.names import is_timm, split_tag
from orchestrator.models.options import (
    REQUIRED,
    TAKEN,
    ModelOption,
    check_builder,
    read_options,
    without_off,
)
from orchestrator.models.pretrained import Images, pretrained_network, rebuilt_network
from orchestrator.models.registry import (
    MODELS,
    ModelBuilder,
    build_model,
    describe_unknown,
    is_model,
    model_names,
    model_options,
    timm_names,
)
from orchestrator.models.source import BY_HASH, IMAGENET, Source
from orchestrator.models.weights import fetch_weights, is_file, source_of, weight_names, weights_of_file

__all__ = [
    "BY_HASH",
    "IMAGENET",
    "MODELS",
    "REQUIRED",
    "TAKEN",
    "Fit",
    "Images",
    "ModelBuilder",
    "ModelOption",
    "Source",
    "build_model",
    "check_builder",
    "describe_unknown",
    "fetch_weights",
    "freeze_backbone",
    "head_layers",
    "head_of",
    "is_file",
    "is_model",
    "is_timm",
    "model_names",
    "model_options",
    "pretrained_network",
    "read_options",
    "rebuilt_network",
    "source_of",
    "split_tag",
    "timm_names",
    "training_mode",
    "weight_names",
    "weights_of_file",
    "without_off",
]
