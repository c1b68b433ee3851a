"""`zetasweep report` and `zetasweep plot` on a store that was made by hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from commands import Call
from mlflow import MlflowClient
from mlflow.entities import Metric

from orchestrator import report
from orchestrator.experiment import expand, load_experiment
from orchestrator.report import FIGURES
from orchestrator.tracking import names

EXPERIMENT = """
name: shown
dataset: digits
model: convnet
augment: [erm, {mixup: {alpha: 1.0}}]
seed: [0, 1, 2]
train: {epochs: 2}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shown.yaml"
    path.write_text(EXPERIMENT)
    return path


@pytest.fixture
def few_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report of three kinds: how it is written is tried here, and what is in it elsewhere."""
    few = {kind: FIGURES[kind] for kind in ("table", "seeds", "gamma-and-n")}
    monkeypatch.setattr(report, "FIGURES", few)


@pytest.fixture
def store(file: Path, tmp_path: Path, new_store: Path) -> MlflowClient:
    """What an earlier version left of a sweep: no predictions, and neither weights nor images are looked for."""
    (tmp_path / "runs").mkdir()
    shutil.copyfile(new_store, tmp_path / "runs" / "mlflow.db")
    client = MlflowClient(f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}")
    place = client.create_experiment("shown", artifact_location=(tmp_path / "runs" / "artifacts").as_uri())
    client.create_run(place, tags={names.KIND: "sweep", names.SWEEP: "shown"})
    for number, cell in enumerate(expand(load_experiment(file, ()))):
        tags = {names.KIND: "cell", names.KEY: cell.key, names.SPLIT_HASH: "a" * 64, names.DEVICE: "cpu"}
        run_id = client.create_run(place, tags=tags).info.run_id
        rows = [Metric("val/error", 0.5 / epoch, 1_000 * epoch, epoch) for epoch in (1, 2)]
        rows += [Metric("test/error", 0.1 + 0.01 * number, 3_000, 0), Metric("best/error", 0.1, 3_000, 0)]
        client.log_batch(run_id, metrics=rows)
        client.set_terminated(run_id, "FINISHED")
    return client


@pytest.mark.usefixtures("few_figures")
def test_the_report_is_in_storage_and_in_mlflow(call: Call, file: Path, store: MlflowClient, tmp_path: Path) -> None:
    answer = call("report", file)
    assert answer.code == 0, answer.err
    folder = tmp_path / "runs" / "report" / "shown"
    assert answer.out == f"{folder / 'report.html'}\n"
    assert "not in it: gamma-and-n: There is no grid" in answer.err
    written = {path.name for path in folder.iterdir()}
    assert {"table.tex", "table.json", "seeds.svg", "seeds.pdf", "seeds.png", "seeds.json"} <= written
    (sweep,) = store.search_runs(["1"], f"tags.`{names.KIND}` = 'sweep'")
    assert {item.path for item in store.list_artifacts(sweep.info.run_id, "report")} == {f"report/{n}" for n in written}
    # Again, over what is there: the same.
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert call("report", file).code == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["shown"]


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("name", ["seeds.svg", "a/b.PDF", "c.png", "d.json"])
def test_one_figure_is_written_where_it_is_wanted(call: Call, file: Path, tmp_path: Path, name: str) -> None:
    answer = call("plot", "seeds", file, "--output", name)
    assert (answer.code, answer.out) == (0, f"{name}\n"), answer.err
    content = (tmp_path / name).read_bytes()
    starts = {".svg": b"<?xml", ".pdf": b"%PDF", ".png": b"\x89PNG", ".json": b"{"}
    assert content.startswith(starts[Path(name).suffix.lower()])
    if name.endswith("json"):
        assert len(json.loads(content)["data"]["rows"]["erm"]["values"]) == 3


@pytest.mark.usefixtures("store")
def test_what_cannot_be_plotted_is_said(call: Call, file: Path) -> None:
    for arguments, said in (
        (("plot", "table", file), "text, not a drawing"),
        (("plot", "gamma-and-n", file), "There is no grid of γ and N"),
        (("plot", "data-sets", file), "name several in the file"),
    ):
        answer = call(*arguments)
        assert answer.code == 2
        assert said in answer.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("plot", "seed"), "write seeds"),
        (("plot", "xyz"), "write one of them"),
        (("plot", "seeds", "--output", "x.jpg"), "one of .svg, .pdf, .png, .json"),
    ],
)
def test_a_wrong_kind_or_ending_is_said_before_mlflow_is_asked(
    call: Call, file: Path, arguments: tuple[str, ...], said: str
) -> None:
    command, kind, *rest = arguments
    answer = call(command, kind, file, *rest)
    assert answer.code == 2
    assert said in answer.err
    assert not (file.parent / "runs").exists()


@pytest.mark.parametrize("command", [("report",), ("plot", "seeds")])
def test_where_nothing_is_nothing_is_made(call: Call, file: Path, command: tuple[str, ...]) -> None:
    answer = call(*command, file)
    assert answer.code == 2
    assert "no cell has a result yet" in answer.err
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.usefixtures("store", "few_figures")
def test_a_store_that_takes_no_artifacts_is_said(
    call: Call, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no room in https://me:secret@bucket/")

    monkeypatch.setattr(MlflowClient, "log_artifacts", refuse)
    answer = call("report", file)
    assert answer.code == 1
    assert "the report is in storage alone" in answer.err
    assert "secret" not in answer.err
    assert (tmp_path / "runs" / "report" / "shown" / "report.html").exists()


@pytest.mark.usefixtures("store")
def test_each_kind_can_be_plotted_or_says_why_not(call: Call, file: Path) -> None:
    for kind in FIGURES:
        answer = call("plot", kind, file, "--output", f"{kind}.json")
        assert answer.code in (0, 2), answer.err
        assert "Traceback" not in answer.err
