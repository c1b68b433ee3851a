"""A run ends with what each row has cost; of a finished sweep that is all that is left to say."""

from __future__ import annotations

from pathlib import Path

from commands import Call
from finished_sweep import FinishedSweep

from orchestrator.tracking.names import FIRST_STEP_MS


def test_a_run_ends_with_what_each_row_has_cost(call: Call, tmp_path: Path, new_store: Path) -> None:
    sweep = FinishedSweep(tmp_path, new_store)
    sweep.finish()
    for run in sweep.client.search_runs([sweep.home]):
        sweep.client.set_tag(run.info.run_id, FIRST_STEP_MS, str(run.info.end_time - 2000))
    words = ("-o", f"storage={sweep.storage.root}", "-o", "tracking.models=none")
    answer = call("run", sweep.file, *words, "--price", "3.6/cpu-hour")
    assert answer.code == 0, answer.err
    told = answer.out[answer.out.index("cost, of all workers") :].splitlines()
    assert [line.split() for line in told[1:4]] == [
        ["erm", "median", "2", "s,", "6", "s", "for", "3", "cells,", "0.006"],
        ["mixup(alpha=1.0)", "median", "2", "s,", "6", "s", "for", "3", "cells,", "0.006"],
        ["together", "12", "s", "for", "6", "cells,", "0.012"],
    ]
    assert "0.006" not in call("run", sweep.file, *words).out
