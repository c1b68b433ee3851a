"""MLflow, and only here."""

from orchestrator.tracking.artifacts import missing_of_model, missing_of_run
from orchestrator.tracking.database import (
    NEWER_REMEDY,
    check_can_make,
    check_place,
    migrate,
    newer_than_installed,
    revision_of,
    state_of,
)
from orchestrator.tracking.delivery import INTERRUPTED_GRACE_S, Delivery
from orchestrator.tracking.errors import UntellableError
from orchestrator.tracking.ledger import Entry, Epochs, Ledger
from orchestrator.tracking.logged_model import restore_best, warm_up
from orchestrator.tracking.ownership import described
from orchestrator.tracking.predictions import add_predictions, fetch_predictions, has_predictions
from orchestrator.tracking.registry import register_model
from orchestrator.tracking.tellable import check_tellable
from orchestrator.tracking.tracker import Tracker

__all__ = [
    "INTERRUPTED_GRACE_S",
    "NEWER_REMEDY",
    "Delivery",
    "Entry",
    "Epochs",
    "Ledger",
    "Tracker",
    "UntellableError",
    "add_predictions",
    "check_can_make",
    "check_place",
    "check_tellable",
    "described",
    "fetch_predictions",
    "has_predictions",
    "migrate",
    "missing_of_model",
    "missing_of_run",
    "newer_than_installed",
    "register_model",
    "restore_best",
    "revision_of",
    "state_of",
    "warm_up",
]
