"""What nobody need wait for: imports that take seconds stay with those who use them.

Which package may import which is said by the contracts in ``pyproject.toml`` (``make lint``).
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from commands import ROOT


def python(code: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=variables)


@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        # A training also runs on machines that have torch and little else.
        ("orchestrator.train", ["ray", "mlflow", "sklearn", "scipy", "torchvision", "torchmetrics", "rich"]),
        # A mistake in a file is said before anything else.
        ("orchestrator.experiment", ["ray", "mlflow", "torchvision", "sklearn", "scipy", "torchmetrics"]),
        # Two seconds for each worker that replaces another.
        ("orchestrator.sweep.worker", ["mlflow", "sklearn", "scipy", "torchvision", "torchmetrics", "alembic", "rich"]),
        ("orchestrator.plan", ["ray", "mlflow"]),
        ("orchestrator.results", ["ray", "mlflow", "torch.distributed.run"]),
        ("augment", ["numpy.testing", "ray", "mlflow", "pydantic", "yaml", "PIL"]),
    ],
)
def test_import_works_without(modules: str, absent: list[str]) -> None:
    # None in sys.modules makes the import of a library fail as if it were not installed.
    done = python(f"import sys\nfor name in {absent!r}: sys.modules[name] = None\nimport {modules}")
    assert done.returncode == 0, done.stderr
