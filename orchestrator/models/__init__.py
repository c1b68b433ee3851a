"""Networks by name."""

from orchestrator.models.registry import MODELS, ModelBuilder, build_model, is_model, model_names

__all__ = ["MODELS", "ModelBuilder", "build_model", "is_model", "model_names"]
