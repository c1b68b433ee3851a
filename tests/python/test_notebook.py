"""The notebook and the examples of the documents are run as they stand."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
from commands import ROOT

import zetasweep

NOTEBOOK = ROOT / "examples" / "quickstart.ipynb"


def cells() -> list[dict[str, Any]]:
    found = json.loads(NOTEBOOK.read_text())
    assert (found["nbformat"], found["nbformat_minor"]) >= (4, 5)
    return list(found["cells"])


def sources() -> list[str]:
    return ["".join(cell["source"]) for cell in cells() if cell["cell_type"] == "code"]


def run_cell(source: str, namespace: dict[str, Any]) -> object:
    """Run a cell, and return what it shows below itself: the value of its last line."""
    body = ast.parse(source).body
    last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), str(NOTEBOOK), "exec"), namespace)
    if not isinstance(last, ast.Expr):
        return None
    return eval(compile(ast.Expression(last.value), str(NOTEBOOK), "eval"), namespace)


def test_the_notebook_is_kept_without_what_a_run_leaves_in_it() -> None:
    assert len({cell["id"] for cell in cells()}) == len(cells())
    for cell in cells():
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("RAY_ADDRESS", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    namespace: dict[str, Any] = {}
    shown = [run_cell(source, namespace) for source in sources()]
    assert namespace["outcome"] is zetasweep.Outcome.DONE
    assert list(namespace["results"].cells["state"]) == ["done"] * 6
    assert all(hasattr(value, "_repr_html_") or isinstance(value, list | str | zetasweep.Outcome)
               for value in shown if value is not None)  # fmt: skip
    assert "\\begin{table}" in capsys.readouterr().out
    assert zetasweep.run("digits.yaml") is zetasweep.Outcome.DONE
    assert "nothing is missing: all 6 cells are done" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["python.md"])
def test_examples_of_the_documents_are_code_whose_names_there_are(name: str) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs" / name).read_text(), re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        tree = ast.parse(block)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "zetasweep":
                assert node.attr in {*zetasweep.__all__, "testing"}, block
            if isinstance(node, ast.ImportFrom) and node.module == "zetasweep":
                assert {alias.name for alias in node.names} <= {*zetasweep.__all__}, block
