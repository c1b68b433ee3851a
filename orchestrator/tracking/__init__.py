"""MLflow, and only here."""

from orchestrator.tracking.database import check_place
from orchestrator.tracking.registry import register_model
from orchestrator.tracking.tracker import Tracker

__all__ = ["Tracker", "check_place", "register_model"]
