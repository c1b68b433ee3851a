"""MLflow through a real SQLite store."""

from __future__ import annotations

import dataclasses
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import mlflow
import pytest
import torch
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    INTERNAL_ERROR,
    INVALID_PARAMETER_VALUE,
    PERMISSION_DENIED,
    TEMPORARILY_UNAVAILABLE,
)
from sweep_samples import ERM, MIXUP, make_cells
from tracked import FACTS, RESULT, epoch, export, finish, save_weights

from orchestrator import process_names
from orchestrator.errors import TrackingError, UserError
from orchestrator.experiment.augment_spec import AugmentSpec
from orchestrator.experiment.cells import Cell
from orchestrator.experiment.settings import Experiment
from orchestrator.records import EpochResult
from orchestrator.storage import CellFolder
from orchestrator.tracking import add_predictions, fetch_predictions, has_predictions
from orchestrator.tracking.errors import message_of
from orchestrator.tracking.names import OWNER
from orchestrator.tracking.registry import register_model
from orchestrator.tracking.rows import SupersededError
from orchestrator.tracking.tracker import Tracker
from orchestrator.train.audit import Figures

CUTMIX = {"alpha": 1.0, "cutmix_prob": 0.5}


def test_a_finished_cell_is_done_with_its_metrics_and_has_a_model_once_it_is_exported(
    tracker: Tracker, cells: list[Cell], tmp_path: Path
) -> None:
    cell = cells[1]
    tracker.open_cell(cell, None, sweep="sample")
    tracker.log_started(cell, FACTS, data_dir=tmp_path)
    for number in (1, 2):
        tracker.log_epoch(cell, epoch(number))
    save_weights(tmp_path)
    tracker.finish_cell(cell, RESULT, FACTS, folder=CellFolder(tmp_path))
    run = tracker.cell_runs(cells)[cell.key]
    assert (run.status, run.epoch, run.metrics["test/error"], run.split_hash) == ("done", 2, 0.25, "0" * 64)
    assert run.pixel_hash == "0a1b2c3d"
    assert (run.num_images, run.num_classes) == ({"train": 10, "val": 2, "test": 3}, 10)
    tags = tracker.store.client.get_run(run.run_id).data.tags
    assert (tags["zetasweep.groups"], tags["zetasweep.unmeasured"]) == ("none", "no test image of 7")
    assert tags["zetasweep.weights"] == "24 of 26 tensors taken"
    assert run.model_uri is None
    assert export(tracker, cell, tmp_path) == tracker.cell_runs(cells)[cell.key].model_uri
    model = mlflow.pytorch.load_model(export(tracker, cell, tmp_path))
    # The batch is free, the pixels are not normalised yet.
    assert model(torch.rand(5, 1, 8, 8)).shape == (5, 10)


def test_telling_everything_twice_leaves_it_once(tracker: Tracker, uri: str, cells: list[Cell], tmp_path: Path) -> None:
    cell = cells[0]
    save_weights(tmp_path)
    for known in (None, "again"):
        run = tracker.cell_runs(cells).get(cell.key)
        assert (run is None) == (known is None)
        tracker.open_cell(cell, run, sweep="sample")
        tracker.log_started(cell, FACTS, data_dir=tmp_path)
        for number in (1, 2):
            tracker.log_epoch(cell, epoch(number))
        if known is None:
            tracker.interrupt_cell(cell)
    for _ in range(2):
        tracker.finish_cell(cell, RESULT, FACTS, folder=CellFolder(tmp_path))
    client = MlflowClient(uri)
    run = tracker.cell_runs(cells)[cell.key]
    assert [row.step for row in client.get_metric_history(run.run_id, "val/error")] == [1, 2]
    assert len(client.get_metric_history(run.run_id, "test/error")) == 1
    assert len(client.get_run(run.run_id).inputs.dataset_inputs) == 3


def test_the_tables_of_the_test_are_artifacts(tracker: Tracker, uri: str, cells: list[Cell], tmp_path: Path) -> None:
    """A cell that an earlier version tested has none, and is finished like the others."""
    client = MlflowClient(uri)
    for cell, names in ((cells[0], set()), (cells[1], {"per_class.csv", "group"})):
        folder = tmp_path / cell.key
        save_weights(folder)
        for name in names:
            (folder / "test" / "group").mkdir(parents=True, exist_ok=True)
            (folder / "test" / name / "confusion_matrix.csv" if name == "group" else folder / "test" / name).touch()
        tracker.open_cell(cell, None, sweep="sample")
        tracker.log_started(cell, FACTS, data_dir=tmp_path)
        # Told again after a lost answer.
        for _ in range(2):
            tracker.finish_cell(cell, RESULT, FACTS, folder=CellFolder(folder))
        run = tracker.cell_runs(cells)[cell.key]
        assert run.status == "done"
        assert {item.path for item in client.list_artifacts(run.run_id, "test")} == {f"test/{name}" for name in names}
        found = {item.path for item in client.list_artifacts(run.run_id, "test/group")}
        assert found == ({"test/group/confusion_matrix.csv"} if names else set())


def test_predictions_are_an_artifact(tracker: Tracker, cells: list[Cell], tmp_path: Path) -> None:
    """A cell that an earlier version tested has none; another machine takes them from there."""
    for cell, content in ((cells[0], None), (cells[1], b"of each image")):
        folder = CellFolder(tmp_path / cell.key)
        save_weights(folder.path)
        if content is not None:
            folder.predictions.write_bytes(content)
        tracker.open_cell(cell, None, sweep="sample")
        tracker.log_started(cell, FACTS, data_dir=tmp_path)
        for _ in range(2):
            tracker.finish_cell(cell, RESULT, FACTS, folder=folder)
        run_id = tracker.cell_runs(cells)[cell.key].run_id
        assert run_id is not None
        fetched = tmp_path / "fetched" / cell.key / "predictions.npz"
        has_any = has_predictions(tracker.store, run_id)
        assert has_any == fetch_predictions(tracker.store, run_id, fetched) == (content is not None)
        if content is None:
            assert not fetched.exists()
            folder.predictions.write_bytes(b"computed later")
            add_predictions(tracker.store, run_id, folder.predictions)
            assert fetch_predictions(tracker.store, run_id, fetched)
        assert fetched.read_bytes() == (content or b"computed later")


def test_operating_points_of_validation_are_of_the_tested_epoch_alone(
    tracker: Tracker, cells: list[Cell], tmp_path: Path
) -> None:
    name = "sensitivity_at_specificity_95"
    tracker.open_cell(cells[0], None, sweep="sample")
    tracker.log_epoch(cells[0], EpochResult(1, {"val/auroc": 0.5, f"val/{name}": 0.25}, timestamp_ms=1))
    save_weights(tmp_path)
    tracker.log_started(cells[0], FACTS, data_dir=tmp_path)
    result = dataclasses.replace(RESULT, metrics={f"best/{name}": 0.25, f"test/{name}/mel": 0.5})
    tracker.finish_cell(cells[0], result, FACTS, folder=CellFolder(tmp_path))
    metrics = tracker.cell_runs(cells)[cells[0].key].metrics
    assert metrics == {"epoch": 1, "val/auroc": 0.5, f"best/{name}": 0.25, f"test/{name}/mel": 0.5}


def test_the_audit_is_logged_once(tracker: Tracker, uri: str, cells: list[Cell], tmp_path: Path) -> None:
    cell, folder = cells[1], tmp_path / "audit"
    tracker.open_cell(cell, None, sweep="sample")
    tracker.log_audit(cell, folder, timestamp_ms=1_000)
    folder.mkdir()
    figures = Figures(
        weights=[0.8, 0.2], effective_num_samples=1.5, soft_label_entropy=0.4, ms_per_step=2.5, backend="torch"
    )
    (folder / "audit.json").write_text(json.dumps(dataclasses.asdict(figures)))
    (folder / "panel.png").write_bytes(b"picture")
    # Told again, and made again after the training began anew.
    for timestamp_ms in (1_000, 1_000, 2_000):
        tracker.log_audit(cell, folder, timestamp_ms=timestamp_ms)
    client, run_id = MlflowClient(uri), tracker.cell_runs(cells)[cell.key].run_id
    for name, value in (("effective_num_samples", 1.5), ("soft_label_entropy", 0.4), ("ms_per_step", 2.5)):
        (row,) = client.get_metric_history(run_id, f"audit/{name}")
        assert (row.value, row.step) == (value, 0)
    assert {item.path for item in client.list_artifacts(run_id, "audit")} == {"audit/audit.json", "audit/panel.png"}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (AugmentSpec(name="zeta_mixup", params={"gamma": 1.0, "num_mixed": 4}), "true"),
        (AugmentSpec(name="zeta_mixup", params={"gamma": 1.1, "num_mixed": 4}), "false"),
        (AugmentSpec(name="zeta_mixup", params={"gamma": 1.1, "num_mixed": 64}), "true"),
        (AugmentSpec(name="cutmix_zeta_mixup", params={"gamma": 1.7, "num_mixed": 256} | CUTMIX), "true"),
        (
            AugmentSpec(name="zeta_mixup_range", params={"gamma_low": 1.0, "gamma_high": 3.0, "num_mixed": 64}),
            "true",
        ),
        (AugmentSpec(name="mixup_pseries", params={"gamma": 0.1}), "false"),
        (MIXUP, None),
        (ERM, None),
    ],
    ids=lambda value: value.label if isinstance(value, AugmentSpec) else None,
)
def test_a_gamma_below_the_least_is_recorded_as_such(
    tracker: Tracker, uri: str, spec: AugmentSpec, expected: str | None
) -> None:
    (cell,) = make_cells(spec, seeds=(0,))
    tracker.open_cell(cell, None, sweep="sample")
    run = MlflowClient(uri).get_run(tracker.cell_runs([cell])[cell.key].run_id)
    assert run.data.tags.get("zetasweep.below_gamma_min") == expected


def test_states(tracker: Tracker, cells: list[Cell]) -> None:
    for cell in cells:
        tracker.open_cell(cell, None, sweep="sample")
    tracker.fail_cell(cells[0], "the loss became nan\nand more")
    assert tracker.cell_runs(cells)[cells[1].key].status == "running"
    tracker.interrupt_cell(cells[1])
    runs = tracker.cell_runs(cells)
    assert runs[cells[1].key].status == "interrupted"
    assert runs[cells[0].key].status == "failed"
    assert runs[cells[0].key].reason == "the loss became nan"


def test_cells_of_other_experiments_are_not_confused(tracker: Tracker, cells: list[Cell]) -> None:
    tracker.open_cell(cells[0], None, sweep="sample")
    assert set(tracker.cell_runs(cells)) == {cells[0].key}
    assert tracker.cell_runs([cells[1]]) == {}


def test_register_moves_the_alias_best(tracker: Tracker, uri: str, cells: list[Cell], tmp_path: Path) -> None:
    save_weights(tmp_path)
    for number, cell in enumerate(cells, start=1):
        tracker.open_cell(cell, None, sweep="sample")
        tracker.finish_cell(cell, dataclasses.replace(RESULT), FACTS, folder=CellFolder(tmp_path))
        model_uri = export(tracker, cell, tmp_path)
        assert register_model(tracker.store, model_uri, "digits", description="…") == str(number)
    assert str(MlflowClient(uri).get_model_version_by_alias("digits", "best").version) == "2"


def test_the_description_of_a_version_shows_names_of_classes_as_they_are(
    tracker: Tracker, uri: str, cells: list[Cell], tmp_path: Path
) -> None:
    finish(tracker, cells[0], tmp_path)
    classes = ("<b>", "*a*", *FACTS.dataset.class_names[2:])
    save_weights(tmp_path, dataclasses.replace(FACTS.dataset, class_names=classes))
    register_model(tracker.store, export(tracker, cells[0], tmp_path), "digits", description="**What** it is")
    said = MlflowClient(uri).get_model_version("digits", "1").description.split("\n\n")
    assert said[:2] == ["**What** it is", r"Classes: &lt;b&gt;, \*a\*, 2, 3, 4, 5, 6, 7, 8, 9"]
    assert said[2].startswith("Input: images, as paths")
    assert said[2].endswith(r"float images \[B, 1, 8, 8\] in \[0, 1\]")
    assert said[3].startswith("Output: ")


def test_a_description_fits_into_every_database(tracker: Tracker, uri: str, cells: list[Cell], tmp_path: Path) -> None:
    """PostgreSQL and MySQL take 5,000 characters, and SQLite, which is here, takes any number."""
    finish(tracker, cells[0], tmp_path)
    save_weights(tmp_path)
    register_model(tracker.store, export(tracker, cells[0], tmp_path), "digits", description="é" * 6000)
    said = MlflowClient(uri).get_model_version_by_alias("digits", "best").description
    assert len(said) == 5000
    assert said.endswith("… The model itself has the rest.")


def test_a_name_that_mlflow_refuses(tracker: Tracker, cells: list[Cell], tmp_path: Path) -> None:
    save_weights(tmp_path)
    tracker.open_cell(cells[0], None, sweep="sample")
    tracker.finish_cell(cells[0], RESULT, FACTS, folder=CellFolder(tmp_path))
    with pytest.raises(UserError, match=r"--register a/b: MLflow refuses the name \(.*\n  remedy: +use another name"):
        register_model(tracker.store, export(tracker, cells[0], tmp_path), "a/b", description="…")


@pytest.mark.parametrize(
    ("owner", "function", "code"),
    [
        (MlflowClient, "create_registered_model", TEMPORARILY_UNAVAILABLE),
        (MlflowClient, "create_registered_model", PERMISSION_DENIED),
        (mlflow, "register_model", INVALID_PARAMETER_VALUE),  # e.g. of the place of its files
        (MlflowClient, "update_model_version", INTERNAL_ERROR),
    ],
)
def test_what_mlflow_refuses_otherwise_is_no_fault_of_the_name(
    tracker: Tracker,
    cells: list[Cell],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner: object,
    function: str,
    code: int,
) -> None:
    finish(tracker, cells[0], tmp_path)
    model_uri = export(tracker, cells[0], tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise MlflowException("no", error_code=code)

    monkeypatch.setattr(owner, function, refuse)
    with pytest.raises(TrackingError) as raised:
        register_model(tracker.store, model_uri, "digits", description="…")
    first, *remedy = str(raised.value).splitlines()
    assert first == f"MLflow at {tracker.store.shown_uri}: MlflowException: no"
    # Not another name.
    assert remedy == ["  remedy:  ask who keeps the server to let this user look and write"] * (
        code == PERMISSION_DENIED
    )


def test_a_run_whose_driver_died_right_after_making_it_is_completed(
    tracker: Tracker, uri: str, cells: list[Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise MlflowException("gone")

    with monkeypatch.context() as patch:
        patch.setattr(tracker._client, "log_batch", refuse)
        with pytest.raises(MlflowException):
            tracker.open_cell(cells[0], None, sweep="sample")
    run = tracker.cell_runs(cells)[cells[0].key]
    tracker.open_cell(cells[0], run, sweep="sample")
    stored = MlflowClient(uri).get_run(run.run_id)
    assert stored.data.params == cells[0].params() | {"setting": cells[0].setting}
    assert {item.path for item in MlflowClient(uri).list_artifacts(run.run_id)} == {"cell.json", "environment.json"}


def test_what_the_database_says_is_said(tracker: Tracker, uri: str, cells: list[Cell]) -> None:
    tracker.open_cell(cells[0], None, sweep="sample")
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as database:
        database.execute("drop table metrics")
    with pytest.raises(MlflowException) as refusal:
        tracker.log_epoch(cells[0], epoch(1))
    assert message_of(refusal.value) == "no such table: metrics"


def named(cell: Cell, **options: object) -> Cell:
    return cell.model_copy(update={"dataset": cell.dataset.model_copy(update=options)})


def test_a_cell_is_continued_under_another_name_of_its_data_set(tracker: Tracker, uri: str, cells: list[Cell]) -> None:
    """Also one whose run was made by an earlier version, which has the name as a param."""
    client = MlflowClient(uri)
    for number, cell in enumerate(cells):
        before, after = named(cell, shown_as="moles"), named(cell, shown_as="naevi")
        tracker.open_cell(before, None, sweep="sample")
        tracker.log_epoch(before, epoch(1))
        first = tracker.cell_runs([before])[before.key]
        if number:
            client.log_param(first.run_id, "dataset.name", "moles")
        tracker.interrupt_cell(before)
        tracker.open_cell(after, first, sweep="sample")
        tracker.log_epoch(after, epoch(2))
        run = client.get_run(first.run_id)
        assert run.data.tags["zetasweep.dataset_name"] == "naevi"
        assert run.info.run_name == run.data.tags["mlflow.runName"]
        assert " naevi " in run.info.run_name
        assert tracker.cell_runs([after])[after.key].epoch == 2


def test_the_name_of_a_run_tells_folds_apart(tracker: Tracker, cells: list[Cell]) -> None:
    for fold in (0, 1):
        tracker.open_cell(named(cells[0], folds=3, fold=fold), None, sweep="sample")
    known = tracker.store.experiments()
    found = list(tracker.store.search("tags.`zetasweep.kind` = 'cell'", list(known)))
    assert {run.info.run_name.split()[1] for run in found} == {"s0/0", "s0/1"}
    assert len({run.data.tags["setting"] for run in found}) == 1


def test_an_old_reason_does_not_survive_a_new_start(tracker: Tracker, cells: list[Cell]) -> None:
    tracker.open_cell(cells[0], None, sweep="sample")
    tracker.fail_cell(cells[0], "out of memory")
    tracker.open_cell(cells[0], tracker.cell_runs(cells)[cells[0].key], sweep="sample")
    assert tracker.cell_runs(cells)[cells[0].key].reason is None


def with_loss(number: int, *, loss: float, timestamp_ms: int) -> EpochResult:
    return EpochResult(epoch=number, metrics={"train/loss": loss}, timestamp_ms=timestamp_ms)


def test_an_epoch_that_was_trained_again_is_no_second_row(
    tracker: Tracker, uri: str, cells: list[Cell], experiment: Experiment, tmp_path: Path
) -> None:
    tracker.open_cell(cells[0], None, sweep="sample")
    tracker.log_epoch(cells[0], with_loss(1, loss=0.1, timestamp_ms=1_000))
    run = tracker.cell_runs(cells)[cells[0].key]
    later = Tracker(uri, artifacts=tmp_path / "artifacts")
    later.sweep.open(experiment, {})
    later.open_cell(cells[0], run, sweep="sample")
    later.log_epoch(cells[0], with_loss(1, loss=0.1, timestamp_ms=2_000))
    later.log_epoch(cells[0], with_loss(2, loss=0.05, timestamp_ms=3_000))
    history = MlflowClient(uri).get_metric_history(run.run_id, "train/loss")
    assert [(row.step, row.timestamp) for row in history] == [(1, 1_000), (2, 3_000)]


def test_other_numbers_of_the_same_epoch_need_another_run(tracker: Tracker, cells: list[Cell]) -> None:
    tracker.open_cell(cells[0], None, sweep="sample")
    tracker.log_epoch(cells[0], with_loss(1, loss=0.1, timestamp_ms=1_000))
    with pytest.raises(SupersededError):
        tracker.log_epoch(cells[0], with_loss(1, loss=0.2, timestamp_ms=2_000))
    tracker.discard_cell(cells[0])
    assert tracker.cell_runs(cells) == {}
    tracker.open_cell(cells[0], None, sweep="sample")
    tracker.log_epoch(cells[0], with_loss(1, loss=0.2, timestamp_ms=2_000))
    assert tracker.cell_runs(cells)[cells[0].key].epoch == 1


def test_a_run_whose_making_was_not_answered_is_no_second_one(tracker: Tracker, cells: list[Cell]) -> None:
    tracker.open_cell(cells[0], None, sweep="sample")
    first = tracker.cell_runs(cells)[cells[0].key].run_id
    tracker.open_cell(cells[0], None, sweep="sample")
    assert tracker.cell_runs(cells)[cells[0].key].run_id == first


@pytest.mark.parametrize("owner", [None, "elsewhere:0:1:00000001"], ids=["late answer", "an earlier driver's"])
def test_a_twin_goes_when_the_cell_is_finished(
    tracker: Tracker, uri: str, cells: list[Cell], tmp_path: Path, owner: str | None
) -> None:
    tracker.open_cell(cells[0], None, sweep="sample")
    client = MlflowClient(uri)
    own = client.get_run(tracker.cell_runs(cells)[cells[0].key].run_id)
    tags = dict(own.data.tags) | ({OWNER: owner} if owner else {})
    twin = client.create_run(own.info.experiment_id, tags=tags)
    save_weights(tmp_path)
    tracker.finish_cell(cells[0], RESULT, FACTS, folder=CellFolder(tmp_path))
    assert client.get_run(twin.info.run_id).info.lifecycle_stage == "deleted"
    assert tracker.cell_runs(cells)[cells[0].key].run_id == own.info.run_id


def test_a_model_is_logged_once_however_often_it_is_exported(
    tracker: Tracker, uri: str, cells: list[Cell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker.open_cell(cells[0], None, sweep="sample")
    save_weights(tmp_path)
    tracker.finish_cell(cells[0], RESULT, FACTS, folder=CellFolder(tmp_path))
    # As if the driver had died before each of the steps.
    for step in ("log_model_artifacts", "finalize_logged_model", "log_outputs", "set_tag"):
        with monkeypatch.context() as patch:

            def refuse(*_: object, **__: object) -> None:
                raise MlflowException("gone")

            patch.setattr(tracker._client, step, refuse)
            with pytest.raises(TrackingError, match="does not take the model of cell"):
                export(tracker, cells[0], tmp_path)
    for _ in range(2):
        export(tracker, cells[0], tmp_path)
    run = tracker.cell_runs(cells)[cells[0].key]
    (model,) = MlflowClient(uri).search_logged_models([tracker.sweep.experiment_id])
    assert run.model_uri == model.model_uri
    assert {metric.key: metric.value for metric in model.metrics} == RESULT.metrics
    client = MlflowClient(uri)
    assert len(client.get_metric_history(str(run.run_id), "test/error")) == 1
    assert len(client.get_run(str(run.run_id)).outputs.model_outputs) == 1


def test_a_run_that_another_sweep_has_finished_is_not_opened_again(
    tracker: Tracker, cells: list[Cell], tmp_path: Path
) -> None:
    tracker.open_cell(cells[0], None, sweep="sample")
    before = tracker.cell_runs(cells)[cells[0].key]
    save_weights(tmp_path)
    tracker.finish_cell(cells[0], RESULT, FACTS, folder=CellFolder(tmp_path))
    for known in (before, None):
        with pytest.raises(TrackingError, match=f"finished it meanwhile: run {before.run_id}"):
            tracker.open_cell(cells[0], known, sweep="sample")
    assert tracker.cell_runs(cells)[cells[0].key].status == "done"


def test_two_sweeps_that_share_a_cell_never_write_to_one_run(
    tracker: Tracker,
    uri: str,
    cells: list[Cell],
    experiment: Experiment,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second starts before the first has opened the run of their common cell."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        monkeypatch.setattr(process_names.os, "getpid", lambda: other.pid)
        second = Tracker(uri, artifacts=Path("/nowhere"))
        monkeypatch.undo()
        monkeypatch.setattr(second.sweep, "_log_files", lambda _: None)
        second.sweep.open(experiment.model_copy(update={"name": "another"}), {})
        tracker.open_cell(cells[0], None, sweep="sample")
        with pytest.raises(TrackingError, match=f"trains it, too: process {os.getpid()} on "):
            second.open_cell(cells[0], None, sweep="another")
        other.kill()
