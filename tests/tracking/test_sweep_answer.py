"""What a sweep says, as its run in MLflow has it: description, table, metrics, and the view of its cells."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from sweep_samples import ERM, MIXUP, ZETA, make_cells, runs_with
from tracked import FACTS, RESULT, save_weights

from orchestrator.errors import TrackingError
from orchestrator.experiment.augment_spec import AugmentSpec
from orchestrator.experiment.cells import Cell
from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.experiment.settings import Comparing, Experiment
from orchestrator.records import now_ms
from orchestrator.results import Answer, Names, answer_of, compare
from orchestrator.storage import CellFolder
from orchestrator.tracking.answer import NOTE_LIMIT, note_of
from orchestrator.tracking.pages import pages_of
from orchestrator.tracking.tracker import Tracker
from orchestrator.tracking.view import LIMIT, view_tag, view_value

CELLS = make_cells(ERM, MIXUP, ZETA)
VALUES = {ERM: (0.11, 0.12, 0.10), MIXUP: (0.06, 0.07, 0.05), ZETA: (0.011, 0.015, 0.01)}


def says(values: dict[AugmentSpec, Sequence[float]], cells: Sequence[Cell] = CELLS) -> Answer:
    return answer_of(compare(cells, runs_with(cells, values)), Names())


def sweep_of(tracker: Tracker) -> Run:
    return tracker.store.client.get_run(tracker.sweep.run_id)


def table_of(tracker: Tracker, folder: Path) -> list[dict[str, Any]]:
    path = tracker.store.client.download_artifacts(tracker.sweep.run_id, "comparison.json", str(folder))
    table = json.loads(Path(path).read_text(encoding="utf-8"))
    return [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]


def test_a_sweep_says_which_row_is_best_and_whether_it_is_real(tracker: Tracker, tmp_path: Path) -> None:
    tracker.sweep.log_answer(says(VALUES))
    run = sweep_of(tracker)
    note = run.data.tags["mlflow.note.content"]
    assert "| zeta_mixup(gamma=2.8, num_mixed=4) | **1.20 ± 0.26** n=3 |" in note
    assert "- digits / convnet: better than erm: " in note
    assert json.loads(run.data.tags["mlflow.loggedArtifacts"]) == [{"path": "comparison.json", "type": "table"}]
    rows = table_of(tracker, tmp_path)
    assert [(row["augment"], row["gamma"], row["num_mixed"], row["alpha"], row["mean"]) for row in rows] == [
        ("zeta_mixup(gamma=2.8, num_mixed=4)", 2.8, 4, None, 1.2),
        ("mixup(alpha=1.0)", None, None, 1.0, 6.0),
        ("erm", None, None, None, 11.0),
    ]
    best = rows[0]
    assert (best["standing"], best["verdict"], best["metric"]) == ("best", "better", "test/error in %")
    zeta = "digits convnet/zeta_mixup gamma 2.8 num_mixed 4"
    metrics = run.data.metrics
    assert metrics[f"verdict/mean/{zeta}"] == 1.2
    assert metrics[f"verdict/difference/{zeta} from erm"] == -9.8
    assert metrics[f"verdict/low/{zeta} from erm"] < -9.8 < metrics[f"verdict/high/{zeta} from erm"] < 0
    assert [name for name in metrics if name.endswith("/erm")] == ["verdict/mean/digits convnet/erm"]


def test_what_it_said_before_is_replaced_and_the_same_is_no_second_row(
    tracker: Tracker, uri: str, experiment: Experiment, tmp_path: Path
) -> None:
    first, second = says({ERM: VALUES[ERM], MIXUP: VALUES[MIXUP]}), says(VALUES)
    for said in (first, first, second, second):
        tracker.sweep.log_answer(said)
        assert tracker.sweep.says(experiment, said)
    assert not tracker.sweep.says(experiment, first)
    history = MlflowClient(uri).get_metric_history
    counts = {name: len(history(tracker.sweep.run_id, name)) for name in sweep_of(tracker).data.metrics}
    # What the third row changed has the value of before, too; its own are new.
    assert counts["verdict/mean/digits convnet/erm"] == 1
    assert counts["verdict/low/digits convnet/mixup alpha 1.0 from erm"] == 2
    assert counts["verdict/mean/digits convnet/zeta_mixup gamma 2.8 num_mixed 4"] == 1
    assert len(table_of(tracker, tmp_path)) == 3


HOSTILE = "<img src=x onerror=alert(1)> [a](javascript:alert(1)) **b** `c` _d_ a|b\\ # ~e~ &lt;"


def test_names_are_shown_as_they_are(tracker: Tracker, tmp_path: Path) -> None:
    named = DatasetSpec.model_validate({"name": "digits", "shown_as": HOSTILE})
    cells = make_cells(ERM, ZETA, datasets=[named])
    tracker.sweep.log_answer(says({ERM: VALUES[ERM], ZETA: VALUES[ZETA]}, cells))
    note = sweep_of(tracker).data.tags["mlflow.note.content"]
    shown = "&lt;img src=x onerror=alert(1)&gt; \\[a\\](javascript:alert(1)) \\*\\*b\\*\\* \\`c\\` \\_d\\_ a"
    assert note.count(shown) >= 2, "in the table and in the remarks"
    assert "<" not in note
    assert {row["data set"] for row in table_of(tracker, tmp_path)} == {HOSTILE}
    # Two names that MLflow cannot tell apart are two metrics.
    alike = [DatasetSpec.model_validate({"name": "digits", "shown_as": name}) for name in ("a<b", "a>b", "(")]
    cells = make_cells(ERM, datasets=alike)
    assert len(says({ERM: VALUES[ERM]}, cells).figures) == 3


def test_a_table_that_is_too_long_for_a_description_leaves_room_for_what_it_says() -> None:
    many = [AugmentSpec(name="zeta_mixup", params={"gamma": 1 + each / 100, "num_mixed": 4}) for each in range(300)]
    cells = make_cells(ERM, *many)
    said = says({ERM: VALUES[ERM]} | dict.fromkeys(many, VALUES[MIXUP]), cells)
    note = note_of(said)
    assert len(said.text) > NOTE_LIMIT > len(note)
    assert "better than erm" in note
    assert "comparison.md" in note
    endless = Answer(text="x\n" * NOTE_LIMIT, outline="y\n" * NOTE_LIMIT, columns=(), rows=(), figures={})
    assert len(note_of(endless)) <= NOTE_LIMIT


def test_who_has_lost_the_sweep_says_nothing(tracker: Tracker) -> None:
    tracker.sweep._lost = True
    with pytest.raises(TrackingError, match="took over"):
        tracker.sweep.log_answer(says(VALUES))
    assert "mlflow.note.content" not in sweep_of(tracker).data.tags


def test_errors_are_there_in_percent_once(tracker: Tracker, uri: str, cells: list[Cell], tmp_path: Path) -> None:
    cell = cells[0]
    save_weights(tmp_path)
    tracker.open_cell(cell, None, sweep="sample")
    tracker.log_started(cell, FACTS, data_dir=tmp_path)
    for _ in range(2):
        tracker.finish_cell(cell, RESULT, FACTS, folder=CellFolder(tmp_path))
    run_id = tracker.cell_runs(cells)[cell.key].run_id
    for name, value in (("answer/test_error_percent", 25.0), ("answer/val_error_percent", 20.0)):
        (row,) = MlflowClient(uri).get_metric_history(run_id, name)
        assert (row.value, row.step, row.timestamp) == (value, 0, RESULT.timestamp_ms)


def test_charts_begin_with_the_test(tracker: Tracker, uri: str, cells: list[Cell], tmp_path: Path) -> None:
    """Left to itself MLflow's UI orders their sections by the alphabet."""
    save_weights(tmp_path)
    tracker.open_cell(cells[0], None, sweep="sample")
    tracker.log_started(cells[0], FACTS, data_dir=tmp_path)
    tracker.finish_cell(cells[0], RESULT, FACTS, folder=CellFolder(tmp_path))
    names = MlflowClient(uri).get_run(tracker.cell_runs(cells)[cells[0].key].run_id).data.metrics
    assert min([*names, "audit/ms_per_step"]) == "answer/test_error_percent"


def test_the_view_of_a_sweep_is_listed_by_mlflow(tracker: Tracker, experiment: Experiment) -> None:
    before = pages_of(tracker.store, experiment)
    assert "orderByKey=metrics.%60answer%2Ftest_error_percent%60&orderByAsc=true" in before["its cells"]
    tracker.sweep.keep_view(experiment, CELLS)
    known = tracker.store.client.get_experiment(tracker.sweep.experiment_id)
    view = json.loads(known.tags[view_tag("sample")])
    assert (view["name"], view["createdAt"]) == ("zetasweep sample", known.creation_time)
    state = json.loads(view["state"])
    assert state["orderByKey"] == "metrics.`answer/test_error_percent`"
    assert state["groupBy"]["groupByKeys"] == [{"mode": "tag", "groupByData": "setting"}]
    assert len(state["groupsExpanded"]) == 3
    found = pages_of(tracker.store, experiment)
    assert set(found) == {"what it says", "its cells", "its charts"}
    assert found["its charts"] == (
        f"#/experiments/{known.experiment_id}/runs?workflowType=machine_learning"
        "&viewStateShareKey=zetasweep.sample&compareRunsMode=CHART"
    )
    assert f"/runs/{tracker.sweep.run_id}?" in found["what it says"]


def test_a_view_is_sorted_by_the_metric_that_decides_and_always_has_room(experiment: Experiment) -> None:
    auroc = experiment.model_copy(update={"compare": Comparing(metric="test/auroc")})
    state = json.loads(json.loads(view_value(auroc, CELLS, created_ms=now_ms()))["state"])
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`test/auroc`", False)
    many = [AugmentSpec(name="zeta_mixup", params={"gamma": 1 + each / 100, "num_mixed": 4}) for each in range(300)]
    assert len(view_value(experiment, make_cells(*many, seeds=(0,)), created_ms=now_ms())) < LIMIT
