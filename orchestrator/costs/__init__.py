"""How long cells take, and what that costs: from measurements and finished cells to hours and money."""

from orchestrator.costs.durations import Duration, Finished, Measured
from orchestrator.costs.estimates import (
    Estimate,
    Estimates,
    curve,
    finished_by_kind,
    longer_than_measured,
    makespan_s,
)
from orchestrator.costs.kept import KeptMeasurements, layout_id
from orchestrator.costs.kinds import Kind, kind_of, kind_of_params, labels_of
from orchestrator.costs.price import Price, duration_text, hours_text, money_text
from orchestrator.costs.spent import money_of, worker_seconds
from orchestrator.costs.time_left import KindLeft, Left, TimeLeft, column_of

__all__ = [
    "Duration",
    "Estimate",
    "Estimates",
    "Finished",
    "KeptMeasurements",
    "Kind",
    "KindLeft",
    "Left",
    "Measured",
    "Price",
    "TimeLeft",
    "column_of",
    "curve",
    "duration_text",
    "finished_by_kind",
    "hours_text",
    "kind_of",
    "kind_of_params",
    "labels_of",
    "layout_id",
    "longer_than_measured",
    "makespan_s",
    "money_of",
    "money_text",
    "worker_seconds",
]
