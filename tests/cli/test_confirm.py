"""A confirmation from the command line: chosen once, and apart from the sweep in whatever is shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from commands import Answer, Call
from mlflow import MlflowClient
from tracked import FACTS, save_weights

from orchestrator.experiment.cells import Cell, expand
from orchestrator.experiment.load import load_experiment
from orchestrator.records import CellResult, EpochResult, Opened, Outcome, Started
from orchestrator.storage import Choice, Confirmation, RankedRow, Storage, journal
from orchestrator.sweep import run as sweep_run

EXPERIMENT = """
name: small
dataset: digits
model: convnet
augment: [erm, {mixup: {alpha: [1.0, 0.5]}}, {cutmix: {alpha: 1.0}}]
seed: [0]
train: {epochs: 2}
"""
# On validation, best first: mixup(1.0), cutmix, mixup(0.5), erm.
ERRORS = {"erm": 0.4, "mixup(alpha=1.0)": 0.1, "mixup(alpha=0.5)": 0.3, "cutmix(alpha=1.0)": 0.2}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(f"{EXPERIMENT}storage: {tmp_path / 'runs'}\n")
    return path


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path / "runs")


def train(storage: Storage, cells: Sequence[Cell]) -> None:
    """What is left of cells that MLflow did not take."""
    for cell in cells:
        folder = storage.cell(cell.key).path
        save_weights(folder)
        journal.begin(folder)
        error = ERRORS[cell.augment.label]
        metrics = {"test/error": error + 0.001 * (cell.seed % 7), "best/error": error, "best/epoch": 2.0}
        epochs = (EpochResult(number, {"val/error": error}, 1_000 * number) for number in (1, 2))
        for event in (Opened(), Started(FACTS), *epochs, CellResult(metrics, 3_000)):
            journal.append(folder, event)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch, storage: Storage) -> SimpleNamespace:
    """What `run_missing` was given; it trains as many cells as it is allowed to, and leaves them undelivered."""
    seen = SimpleNamespace(cells=[], at_most=0, really=sweep_run.run_missing)

    def run_missing(_: object, cells: Sequence[Cell], *__: object, **___: object) -> Outcome:
        seen.cells = list(cells)
        train(storage, cells[: seen.at_most])
        return Outcome.INTERRUPTED

    monkeypatch.setattr(sweep_run, "run_missing", run_missing)
    return seen


def text(answer: Answer, code: int) -> str:
    assert answer.code == code, answer.out + answer.err
    assert "Traceback" not in answer.out + answer.err
    return answer.out if code != 2 else answer.err


def test_from_the_choice_to_the_table(
    call: Call, file: Path, storage: Storage, trained: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(storage, expand(load_experiment(file)))
    text(call("sync", file), 0)
    price = "confirm:   zetasweep confirm would train 40 cells more: the 3 best rows and erm on 10 new seeds"
    assert price in text(call("plan", file), 0)
    assert "nothing of it is confirmed yet" in text(call("compare", file, "--confirmed"), 2)
    before = text(call("compare", file), 0)
    said = text(call("confirm", file, "--top", "1", "--seeds", "2"), 130)
    assert "1. mixup(alpha=1.0): 10.00 %, n=1" in said
    kept = Confirmation.load(storage.confirmation("small"))
    assert kept is not None
    assert {cell.augment.label for cell in trained.cells} == {"erm", "mixup(alpha=1.0)"}
    begun = trained.cells

    trained.at_most = 1
    text(call("confirm", file), 130)
    assert (trained.cells, Confirmation.load(storage.confirmation("small"))) == (begun, kept)
    assert "--top 3: digits / convnet has been confirmed since" in text(call("confirm", file, "--top", "3"), 2)
    assert "delivered: 1 of 1 cell" in text(call("sync", file), 0)
    assert "confirm:   1 of 4 cells done: zetasweep confirm trains the other 3" in text(call("plan", file), 0)
    assert "4 cells: 1 done, 3 missing" in text(call("status", file, "--confirmed"), 1)
    assert "zetasweep confirm trains and delivers what is missing" in text(call("compare", file, "--confirmed"), 1)
    final = call("compare", file, "--confirmed", "--final")
    assert (final.code, "3 of 4 cells missing: zetasweep confirm trains them" in final.err) == (1, True)
    trained.at_most = 4
    text(call("confirm", file), 130)
    text(call("sync", file), 0)
    assert "confirm:   4 of 4 cells done: zetasweep confirm prints its table" in text(call("plan", file), 0)

    monkeypatch.setattr(sweep_run, "run_missing", trained.really)
    above = "confirmed on seeds that were never used for choosing: 1000000 to 1000001"
    said = text(call("confirm", file), 0)
    assert "nothing is missing: all 4 cells are done" in said
    assert above in said[: said.index("test/error in %")]
    table = said[said.index("test/error in %") :]
    assert "cutmix" not in table
    assert table.count("n=2") == 2
    formats = {"table": above, "markdown": f"{above}\n\n", "latex": f"% {above}\n", "csv": "dataset,", "json": "{"}
    for format_, begins in formats.items():
        answer = call("compare", file, "--confirmed", "--format", format_)
        assert text(answer, 0).startswith(begins)
        assert (above in answer.err) == (format_ in ("csv", "json"))
    assert "seeds.svg" in text(call("plot", "seeds", file, "--confirmed"), 0)
    # The sweep is as it was, in every table.
    assert text(call("compare", file), 0) == before
    assert "4 cells: 4 done" in text(call("status", file), 0)
    assert "n=1 (the choice looks at nothing else)" in text(call("select", file), 0)
    text(call("doctor", file), 0)
    assert_mlflow_has_it_apart(storage, begun)


def assert_mlflow_has_it_apart(storage: Storage, cells: Sequence[Cell]) -> None:
    client = MlflowClient(f"sqlite:///{storage.database}")
    runs = {}
    for experiment in client.search_experiments():
        runs[experiment.name] = [run.data.tags for run in client.search_runs([experiment.experiment_id])]
    (sweep,) = [tags for tags in runs["small-confirm"] if tags["zetasweep.kind"] == "sweep"]
    assert (sweep["mlflow.runName"], sweep["zetasweep.confirms"]) == ("small-confirm", "small")
    keys = {tags["zetasweep.cell"] for tags in runs["small-confirm"] if tags["zetasweep.kind"] == "cell"}
    assert keys == {cell.key for cell in cells}
    assert len(runs["small"]) == 1 + 4
    assert not any("zetasweep.confirms" in tags for tags in runs["small"])


def test_the_sweep_and_its_confirmation_share_no_seed(call: Call, file: Path, storage: Storage) -> None:
    mixup = next(cell for cell in expand(load_experiment(file)) if cell.augment.name == "mixup")
    row = RankedRow(row=mixup.augment.label, configuration=mixup.config_key, mean=0.1, cells=(), num_planned=1)
    choice = Choice(
        **{"dataset": "digits", "model": "convnet", "number": 1, "chosen_at": "2026-11-29 18:00", "top": 1},
        **{"metric": "best/error", "against": (), "taken": (row,), "passed_over": (), "seeds": (1_000_003, 1_000_004)},
    )
    Confirmation(sweep="small", choices=(choice,)).save(storage.confirmation("small"))
    for command in ("compare", "run", "plan", "confirm"):
        said = text(call(command, file, "-o", "seed=[0, 1, 1000004]"), 2)
        assert f"{file}: seed = 1000004: kept for what zetasweep confirm trains of small: " in said
    again = text(call("status", file, "-o", "seed=[0, 1000003]", "-o", "name=other"), 2)
    assert f"{file}: seed = 1000003: kept for what zetasweep confirm trains of small: " in again
    for command in (("confirm",), ("compare", "--confirmed"), ("status", "--confirmed"), ("report", "--confirmed")):
        said = text(call(*command, file, "-o", "train.epochs=3"), 2)
        assert "rows that are confirmed are not in it, or are trained otherwise there: mixup(alpha=1.0) on dig" in said
    assert "nothing waits" in text(call("sync", file, "-o", "train.epochs=3"), 0), "nothing is there of these cells"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--top", "0"), "--top 0: one row is chosen at least"),
        (("--top", "9"), "allowed: 1 to 3, the rows beside the baseline"),
        (("--seeds", "1"), "--seeds 1: one training has no spread"),
        (("--against", "mixxup"), "--against mixxup: there is no such row"),
        (("-o", "names={erm: plain}", "--against", "plain"), "the sweep is not complete: 4 of 4 cells to choose by"),
        ((), "the sweep is not complete: 4 of 4 cells to choose by without a result (4 missing)"),
    ],
)
def test_what_cannot_be_confirmed_is_said_in_a_sentence(
    call: Call, file: Path, storage: Storage, options: tuple[str, ...], said: str
) -> None:
    assert said in text(call("confirm", file, *options), 2)
    assert not storage.confirmation("small").exists()
