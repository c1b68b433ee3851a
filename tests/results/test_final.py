"""What keeps a table from being final, and a metric that nothing has: each with what to do."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from sweep_samples import ERM, MIXUP, make_cells, make_run

from orchestrator.errors import UserError
from orchestrator.records import CellRun
from orchestrator.results import check_metric_is_there, compare, lacks_for_publication

Change = Callable[[CellRun], CellRun | None]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda run: run, []),
        (lambda _: None, ["1 of 6 cells missing: zetasweep run trains them"]),
        (lambda run: replace(run, status="failed"), ["1 of 6 cells failed: zetasweep status says why: mend that"]),
        (lambda run: replace(run, status="running"), ["1 of 6 cells running: wait for the sweep at work"]),
        (lambda run: replace(run, status="interrupted"), ["1 of 6 cells interrupted: zetasweep run trains them"]),
        (lambda run: replace(run, metrics={}), ["1 of 6 cells without this metric: name a metric that they have"]),
        (lambda run: replace(run, status="trained"), ["1 result not in MLflow: zetasweep sync delivers them"]),
        (
            lambda run: replace(run, metrics={"test/error": math.nan}),
            [f"a value is not finite in {MIXUP.label} on digits / convnet: take the row out of the file"],
        ),
        (lambda run: replace(run, split_hash="b"), ["digits / convnet: its cells saw different images: restore"]),
    ],
)
def test_a_table_is_final_when_nothing_is_left_to_come(change: Change, said: list[str]) -> None:
    cells = make_cells(ERM, MIXUP)
    runs = {cell.key: replace(make_run(cell, {"test/error": 0.1}), split_hash="a") for cell in cells}
    changed = change(runs.pop(cells[-1].key))
    if changed is not None:
        runs[changed.key] = changed
    found = list(lacks_for_publication(compare(cells, runs)))
    assert len(found) == len(said)
    assert all(line.startswith(start) for line, start in zip(found, said, strict=True))


def test_a_confirmation_is_made_final_by_confirm() -> None:
    cells = make_cells(ERM, MIXUP)
    runs = {cell.key: make_run(cell, {"test/error": 0.1}) for cell in cells[2:]}
    runs |= {cells[0].key: make_run(cells[0], {}, status="failed")}
    runs |= {cells[5].key: make_run(cells[5], {"test/error": math.nan})}
    assert [*lacks_for_publication(compare(cells, runs, confirmed=()))] == [
        "1 of 6 cells failed: zetasweep status --confirmed says why: mend that and zetasweep confirm, or zetasweep "
        "confirm --again chooses anew",
        "1 of 6 cells missing: zetasweep confirm trains them",
        f"a value is not finite in {MIXUP.label} on digits / convnet: zetasweep confirm --again chooses anew",
    ]


def test_a_metric_that_no_finished_cell_has_is_refused() -> None:
    cells = make_cells(ERM)
    check_metric_is_there(compare(cells, {}, metric="test/group/error"))
    runs = {cells[0].key: make_run(cells[0], {"test/error": 0.1})}
    check_metric_is_there(compare(cells, runs))
    with pytest.raises(UserError, match="metric = test/group/error: none of the finished cells has it") as caught:
        check_metric_is_there(compare(cells, runs, metric="test/group/error"))
    assert "name another with --metric or compare.metric, e.g. test/error" in str(caught.value)
