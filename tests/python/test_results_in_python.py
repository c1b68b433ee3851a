"""``zetasweep.results``: what the commands show, as tables of pandas, and refused in the same words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from finished_sweep import NUM_IMAGES, FinishedSweep

import zetasweep
from orchestrator.results.formats import WRITERS
from orchestrator.storage import Predictions


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory, new_store: Path) -> FinishedSweep:
    found = FinishedSweep(tmp_path_factory.mktemp("sweep"), new_store)
    found.finish()
    return found


def of(sweep: FinishedSweep, **overrides: object) -> zetasweep.Results:
    return zetasweep.results(sweep.file, overrides={"storage": sweep.storage.root, **overrides})


def test_cells_are_a_table_with_a_row_for_each(sweep: FinishedSweep) -> None:
    found = of(sweep, seed=[0, 1, 2, 3])
    cells = found.cells
    assert list(cells["state"]) == ["done"] * 6 + ["missing"] * 2
    assert list(cells.columns[:5]) == ["key", "dataset", "model", "row", "augment"]
    assert list(cells.columns[-3:]) == ["test/error", "run_id", "link"]
    errors = cells.groupby("row")["test/error"].mean()
    assert errors["erm"] == pytest.approx(0.21)
    assert errors["mixup(alpha=1.0)"] == pytest.approx(0.09)
    assert set(cells["augment"]) == {"erm", "mixup"}
    assert cells["alpha"].dropna().unique() == [1.0]
    assert cells["train.lr"].unique() == [0.1]
    assert cells["seed"].dtype.kind == "i"
    assert repr(found).endswith("6 of 8 cells done")
    assert found._repr_html_().startswith("<table")


def test_a_comparison_is_what_the_command_shows(sweep: FinishedSweep) -> None:
    compared = of(sweep).compare()
    assert compared.metric == "test/error"
    assert "better than erm: mixup(alpha=1.0) by -12.00 points" in " ".join(str(compared).split())
    assert any("better than erm" in remark for remark in compared.remarks)
    table = compared.table()
    assert list(table.columns) == [("digits", "convnet")]
    assert table.loc["mixup(alpha=1.0)", ("digits", "convnet")] == "* 9.00 ± 1.00 n=3"
    (verdict,) = compared.verdicts.to_dict("records")
    assert (verdict["augment"], verdict["against"], verdict["verdict"]) == ("mixup(alpha=1.0)", "erm", "better")
    assert verdict["low"] < verdict["difference"] < verdict["high"] < 0
    assert verdict["difference"] == pytest.approx(-12)
    assert list(compared.to_dataframe()["n"]) == [3, 3]
    shown = compared._repr_html_()
    assert "<table>" in shown
    assert "better than erm" in shown
    assert sweep.storage.looks.exists(), "whoever looks in Python has looked"


def test_it_leaves_in_every_format(sweep: FinishedSweep) -> None:
    compared = of(sweep).compare(baseline="mixup", metric="error")
    texts = {format_: compared.text(format_) for format_ in WRITERS}
    assert "| mixup(alpha=1.0) |" in texts["markdown"]
    assert "worse than mixup" in " ".join(compared.text().split())


def test_predictions_are_arrays(sweep: FinishedSweep) -> None:
    found = of(sweep)
    key = found.cells["key"][0]
    for asked in (key, found.cells.iloc[0], {"key": key}):
        predictions = found.predictions(asked)
        assert isinstance(predictions, Predictions)
        assert np.mean(predictions.predicted != predictions.labels) == 20 / NUM_IMAGES


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda sweep: of(sweep, dataset="digit"), "dataset = digit"),
        (lambda sweep: of(sweep).compare(metric="eror"), "metric=eror is not tracked"),
        (lambda sweep: of(sweep).compare(baseline="cutmix"), "there is no such row"),
        (lambda sweep: of(sweep).compare(best_of=["lr"]), "the cells do not differ in it"),
        (lambda sweep: of(sweep).predictions("0" * 16), "has no such cell"),
        (lambda sweep: of(sweep, seed=[7]).predictions(of(sweep, seed=[7]).cells["key"][0]), "not finished yet"),
        (lambda sweep: zetasweep.results(sweep.file, overrides="seed=1"), "neither a mapping nor a list"),
        (lambda sweep: of(sweep, seed=object()), "not what a file could have"),
        (lambda sweep: zetasweep.results(sweep.file, confirmed=True), "nothing of it is confirmed yet"),
    ],
)
def test_wrong_input_is_refused_as_by_the_commands(sweep: FinishedSweep, call: object, said: str) -> None:
    assert callable(call)
    with pytest.raises(zetasweep.UserError, match=said):
        call(sweep)


def test_nothing_there_yet_is_a_table_of_missing_cells(tmp_path: Path) -> None:
    file = tmp_path / "new.yaml"
    file.write_text("{name: new, dataset: digits, model: convnet, augment: erm}")
    found = zetasweep.results(file, overrides=[f"storage={tmp_path / 'runs'}"])
    assert list(found.cells["state"]) == ["missing"]
    assert list(found.compare().table().iloc[:, 0]) == ["missing n=0/1"]
    assert not (tmp_path / "runs").exists()
