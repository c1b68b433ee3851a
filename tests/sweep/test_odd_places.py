"""A sweep runs where a user happens to be: a folder with modules named like others, odd letters, no home."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from commands import ROOT

# Whatever is imported from where the user stands says so, and ends the program.
TAKEN = "raise RuntimeError('the user\\'s own')\n"
MODULES = ("orchestrator/__init__", "augment/__init__", "torch/__init__", "random", "yaml", "queue", "statistics")


@pytest.mark.slow
def test_a_sweep_runs_to_its_end(tmp_path: Path, environment: dict[str, str]) -> None:
    for module in MODULES:
        file = tmp_path / f"{module}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(TAKEN)
    temporary = tmp_path / ("a 'long' \"way\" #?%" + 90 * "l")
    temporary.mkdir()
    storage = tmp_path / "it's a #h %x =ü"
    overrides = ["augment=erm", "seed=0", "train.epochs=1", "resources.workers=1", f'storage="{storage}"']
    # As the command that is installed: its folder is first on the path, not the one where the user stands.
    command = [sys.executable, "-P", "-c", "from orchestrator.cli.main import main; main()"]
    command += ["run", str(ROOT / "experiments" / "quickstart.yaml")]
    done = subprocess.run(
        [*command, *(word for key in overrides for word in ("-o", key))],
        cwd=tmp_path,
        env=environment | {"HOME": "/dev/null/none", "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[1/1 cells" in done.stdout
    assert "warning:   Ray's token is in no file" in done.stdout
    assert (storage / "mlflow.db").is_file()
