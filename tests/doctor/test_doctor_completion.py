"""What MLflow's UI sorts and groups by, which runs of earlier versions lack: told, and added on demand."""

from __future__ import annotations

from mlflow.entities import Metric
from scene import Scene


def test_what_earlier_versions_did_not_log_is_added(scene: Scene) -> None:
    cell = scene.cells[1]
    run_id = scene.add_run(cell.key)
    scene.client.delete_tag(run_id, "setting")
    scene.client.log_batch(run_id, metrics=[Metric("test/error", 0.25, 3_000, 0), Metric("best/error", 0.2, 3_000, 0)])
    predictions = scene.file.with_name("predictions.npz")
    predictions.write_bytes(b"of each image")
    scene.client.log_artifact(run_id, str(predictions), "test")

    looked = scene.doctor()
    assert looked.code == 0, looked.out
    assert "MLflow: 1 finished run without a setting to group by or errors in percent" in looked.out
    assert f"run {run_id} (cell {cell.key}, {cell.label}): mended" in scene.doctor("--fix").out
    run = scene.client.get_run(run_id)
    assert run.data.params["setting"] == run.data.tags["setting"] == cell.setting
    assert (run.info.run_name, run.info.status) == ("mixup α1.0 s0 digits convnet", "FINISHED")
    for name, value in (("answer/test_error_percent", 25.0), ("answer/val_error_percent", 20.0)):
        (row,) = scene.client.get_metric_history(run_id, name)
        assert (row.value, row.timestamp, row.step) == (value, 3_000, 0)
    for options in ((), ("--fix",)):
        assert "errors in percent" not in scene.doctor(*options).out
