"""MLflow, and only here."""

from orchestrator.tracking.database import (
    NEWER_REMEDY,
    check_place,
    migrate,
    newer_than_installed,
    revision_of,
    state_of,
)
from orchestrator.tracking.delivery import Delivery
from orchestrator.tracking.errors import UntellableError
from orchestrator.tracking.ledger import Entry, Epochs, Ledger
from orchestrator.tracking.logged_model import warm_up
from orchestrator.tracking.ownership import described
from orchestrator.tracking.registry import register_model
from orchestrator.tracking.tellable import check_tellable
from orchestrator.tracking.tracker import Tracker

__all__ = [
    "NEWER_REMEDY",
    "Delivery",
    "Entry",
    "Epochs",
    "Ledger",
    "Tracker",
    "UntellableError",
    "check_place",
    "check_tellable",
    "described",
    "migrate",
    "newer_than_installed",
    "register_model",
    "revision_of",
    "state_of",
    "warm_up",
]
