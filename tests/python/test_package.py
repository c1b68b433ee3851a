"""The package ``zetasweep``: what it names is there and typed, and none of it is imported before it is used."""

from __future__ import annotations

import ast
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from commands import ROOT

import zetasweep

HEAVY = {"torch", "numpy", "pandas", "ray", "mlflow", "pydantic", "rich", "click"}


def test_what_it_names_is_there_and_its_types_are_of_the_same_modules() -> None:
    tree = ast.parse((ROOT / "zetasweep" / "__init__.py").read_text())
    typed = {
        alias.name: node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed == zetasweep._MODULE_OF
    assert sorted(typed) == zetasweep.__all__
    for name in zetasweep.__all__:
        assert getattr(zetasweep, name).__name__ == name
    assert set(zetasweep.__all__) <= set(dir(zetasweep))
    with pytest.raises(AttributeError, match="'zetasweep' has no attribute 'compare'"):
        _ = zetasweep.compare  # type: ignore[attr-defined]


def test_import_alone_takes_no_time() -> None:
    look = f"import sys, zetasweep\nprint(sorted(sys.modules.keys() & {HEAVY}))"
    answer = subprocess.run([sys.executable, "-c", look], cwd=ROOT, check=True, capture_output=True, text=True)
    assert answer.stdout == "[]\n"


def test_load_gives_the_experiment(tmp_path: Path) -> None:
    file = ROOT / "experiments" / "quickstart.yaml"
    named = {"erm": 'sans mélange: "rien"'}
    overrides = {"train.epochs": 2, "seed": range(2), "storage": tmp_path, "train.lr": 1e-5, "names": named}
    experiment = zetasweep.load(file, overrides=overrides)
    assert experiment.names == named
    assert ([train.epochs for train in experiment.train], experiment.seed, experiment.train[0].lr) == (
        [2],
        (0, 1),
        1e-5,
    )
    assert experiment.storage == tmp_path
    assert len(zetasweep.expand(experiment)) == 12


def test_run_refuses_before_anything_is_made(tmp_path: Path) -> None:
    file = ROOT / "experiments" / "quickstart.yaml"
    with pytest.raises(zetasweep.UserError, match="trian"):
        zetasweep.run(file, overrides={"trian.epochs": 1})
    with pytest.raises(zetasweep.UserError, match="cifar10"):
        zetasweep.run(file, overrides={"dataset": "cifar10", "data_dir": tmp_path, "storage": tmp_path / "runs"})
    found: list[BaseException] = []

    def elsewhere() -> None:
        try:
            zetasweep.run(file)
        except zetasweep.UserError as error:
            found.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert "only the main thread" in str(found[0])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("given", [{"name": "x"}, None, 3])
def test_what_is_no_path_is_said(given: object) -> None:
    for function in (zetasweep.load, zetasweep.run, zetasweep.results):
        with pytest.raises(zetasweep.UserError, match=f"experiment = {type(given).__name__}: no path\n  allowed: "):
            function(given)  # type: ignore[arg-type]
