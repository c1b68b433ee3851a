"""MLflow, and only here."""

from orchestrator.tracking.artifacts import missing_of_model, missing_of_run
from orchestrator.tracking.backfill import complete_run, runs_to_complete
from orchestrator.tracking.comparing import compared
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
from orchestrator.tracking.durations import Durations, read_durations
from orchestrator.tracking.errors import UntellableError
from orchestrator.tracking.ledger import Entry, Epochs, Ledger
from orchestrator.tracking.logged_model import restore_best, warm_up
from orchestrator.tracking.own_code import of_other_code
from orchestrator.tracking.pages import pages_of
from orchestrator.tracking.predicting import is_registered, predict_files, registered_uri
from orchestrator.tracking.predictions import FetchedOrNot, add_predictions, fetch_predictions, has_predictions
from orchestrator.tracking.race import RaceReader, kept_of
from orchestrator.tracking.registry import register_model
from orchestrator.tracking.reports import read_environment, read_epochs, run_links, send_report
from orchestrator.tracking.store import Store
from orchestrator.tracking.tellable import check_tellable
from orchestrator.tracking.tracker import Tracker
from orchestrator.tracking.ui_server import HOST, port_to_use, served

__all__ = [
    "HOST",
    "INTERRUPTED_GRACE_S",
    "NEWER_REMEDY",
    "Delivery",
    "Durations",
    "Entry",
    "Epochs",
    "FetchedOrNot",
    "Ledger",
    "RaceReader",
    "Store",
    "Tracker",
    "UntellableError",
    "add_predictions",
    "check_can_make",
    "check_place",
    "check_tellable",
    "compared",
    "complete_run",
    "fetch_predictions",
    "has_predictions",
    "is_registered",
    "kept_of",
    "migrate",
    "missing_of_model",
    "missing_of_run",
    "newer_than_installed",
    "of_other_code",
    "pages_of",
    "port_to_use",
    "predict_files",
    "read_durations",
    "read_environment",
    "read_epochs",
    "register_model",
    "registered_uri",
    "restore_best",
    "revision_of",
    "run_links",
    "runs_to_complete",
    "send_report",
    "served",
    "state_of",
    "warm_up",
]
