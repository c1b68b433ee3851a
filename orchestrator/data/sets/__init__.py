"""The data sets, one file per family; the registry says which there are."""

from orchestrator.data.sets.registry import DATASETS

__all__ = ["DATASETS"]
