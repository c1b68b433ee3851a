"""A plan does not take what a race has stopped for work that is left."""

from __future__ import annotations

import pytest
from raced_samples import experiment_of, followed

from orchestrator.experiment import Comparing, SearchSettings, expand
from orchestrator.plan import Layout, make_plan, pending_cells, plan_lines


def test_stopped_cells_are_neither_done_nor_to_be_run() -> None:
    experiment = experiment_of()
    _, runs = followed(experiment)
    cells = expand(experiment)
    assert pending_cells(cells, runs) == []
    plan = make_plan(experiment, cells, runs, Layout(slots=1, nodes=()))
    assert plan_lines(plan, experiment)[0].startswith("cells:     60: 19 done, 41 stopped, 0 known that may run, ")


@pytest.mark.parametrize(
    ("metric", "best_by", "race", "said"),
    [
        ("balanced_accuracy", None, "ladder", "compare.metric is balanced_accuracy"),
        ("test/error", "auroc", "ladder", "train.best_by is auroc"),
        ("auroc", "auroc", "ladder", "train.best_by is auroc and compare.metric is auroc"),
        ("test/error", None, "ladder", None),
        ("auroc", "auroc", "none", None),
    ],
)
def test_a_race_by_another_metric_than_the_file_decides_by_is_warned_of(
    metric: str, best_by: str | None, race: str, said: str | None
) -> None:
    found = experiment_of()
    train = tuple(each.model_copy(update={"best_by": best_by}) for each in found.train)
    changes = {"compare": Comparing(metric=metric), "search": SearchSettings(race=race), "train": train}
    experiment = found.model_copy(update=changes)
    plan = make_plan(experiment, expand(experiment), {}, Layout(slots=1, nodes=()))
    lines = [line for line in plan_lines(plan, experiment) if "goes by the validation error" in line]
    assert [said in line for line in lines] == ([True] if said else [])
