"""What nobody need wait for: imports that take seconds stay with those who use them.

Which package may import which is said by the contracts in ``pyproject.toml`` (``make lint``).
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import ROOT


def python(code: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=variables)


@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        # torchrun starts a process for each rank.
        ("orchestrator.train", ["ray", "mlflow", "sklearn", "scipy", "torchvision", "torchmetrics", "rich", "click"]),
        # A mistake in a file is said before anything else.
        ("orchestrator.experiment", ["ray", "mlflow", "torchvision", "sklearn", "scipy", "torchmetrics"]),
        # Two seconds for each worker that replaces another.
        ("orchestrator.sweep.worker", ["mlflow", "sklearn", "scipy", "torchvision", "torchmetrics", "alembic", "rich"]),
        ("orchestrator.plan", ["ray", "mlflow"]),
        ("orchestrator.search", ["ray", "mlflow", "torch", "scipy", "optuna", "sklearn", "yaml", "pydantic"]),
        ("orchestrator.report", ["ray", "mlflow", "matplotlib", "jinja2", "sklearn"]),
        ("orchestrator.results", ["ray", "mlflow", "torch.distributed.run"]),
        ("augment", ["numpy.testing", "ray", "mlflow", "pydantic", "yaml", "PIL"]),
    ],
)
def test_import_works_without(modules: str, absent: list[str]) -> None:
    # None in sys.modules makes the import of a library fail as if it were not installed.
    done = python(f"import sys\nfor name in {absent!r}: sys.modules[name] = None\nfrom {modules} import *")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", sorted((ROOT / "augment").glob("*.py")), ids=lambda path: path.name)
def test_augment_needs_torch_only(path: Path) -> None:
    allowed = {*sys.stdlib_module_names, "torch", "triton", "augment"}
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
        assert {name.split(".")[0] for name in names} <= allowed
