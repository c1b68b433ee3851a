"""The search of an experiment while it runs: from runs and what is kept to what is trained now; no Ray, no MLflow."""

from orchestrator.racing.asking import staying
from orchestrator.racing.course import Advance, Choose, Course, to_the_end
from orchestrator.racing.curves import lacks_curve, read_at
from orchestrator.racing.followed import CellLeg, Epochs, Followed, FollowedColumn
from orchestrator.racing.following import Following
from orchestrator.racing.kept import Kept, place
from orchestrator.racing.known import known_configurations
from orchestrator.racing.record import kept_in, record
from orchestrator.racing.warm import FinishedCell, told_at_first

__all__ = [
    "Advance",
    "CellLeg",
    "Choose",
    "Course",
    "Epochs",
    "FinishedCell",
    "Followed",
    "FollowedColumn",
    "Following",
    "Kept",
    "kept_in",
    "known_configurations",
    "lacks_curve",
    "place",
    "read_at",
    "record",
    "staying",
    "to_the_end",
    "told_at_first",
]
