"""A plan does not take what a race has stopped for work that is left."""

from __future__ import annotations

from raced_samples import experiment_of, followed

from orchestrator.experiment import expand
from orchestrator.plan import Layout, make_plan, pending_cells, plan_lines


def test_stopped_cells_are_neither_done_nor_to_be_run() -> None:
    experiment = experiment_of()
    _, runs = followed(experiment)
    cells = expand(experiment)
    assert pending_cells(cells, runs) == []
    plan = make_plan(experiment, cells, runs, Layout(slots=1, nodes=()))
    assert plan_lines(plan, experiment)[0].startswith("cells:     60: 19 done, 41 stopped, 0 known that may run, ")
