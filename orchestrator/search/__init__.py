"""Which configurations are tried, and which of them train on: pure functions of the curves; no Ray, no MLflow."""

from orchestrator.search.batches import Race, Search, follow
from orchestrator.search.budget import (
    Batch,
    MostCells,
    batches_of,
    epochs_of,
    least_epochs,
    most_cells,
    most_epochs,
    within,
)
from orchestrator.search.ledger import Told, told_of, warm_start
from orchestrator.search.race import Curves, Decision, Leg, Place, Standing, Stop, decide, ranking, standings
from orchestrator.search.ranges import (
    RANGES,
    LogRandInt,
    LogUniform,
    RandInt,
    Range,
    Uniform,
    is_range,
    read_range,
)
from orchestrator.search.rungs import Rung, check_rungs, ladder, ladder_epochs
from orchestrator.search.sampling import SAMPLERS, Sampler
from orchestrator.search.space import Axis, Point, Scalar, Space

__all__ = [
    "RANGES",
    "SAMPLERS",
    "Axis",
    "Batch",
    "Curves",
    "Decision",
    "Leg",
    "LogRandInt",
    "LogUniform",
    "MostCells",
    "Place",
    "Point",
    "Race",
    "RandInt",
    "Range",
    "Rung",
    "Sampler",
    "Scalar",
    "Search",
    "Space",
    "Standing",
    "Stop",
    "Told",
    "Uniform",
    "batches_of",
    "check_rungs",
    "decide",
    "epochs_of",
    "follow",
    "is_range",
    "ladder",
    "ladder_epochs",
    "least_epochs",
    "most_cells",
    "most_epochs",
    "ranking",
    "read_range",
    "standings",
    "told_of",
    "warm_start",
    "within",
]
