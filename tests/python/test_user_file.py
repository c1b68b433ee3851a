"""A user's file that imports zetasweep, under ``mypy --strict``, from an installation; and the wheel itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from commands import ROOT

USER_FILE = '''
"""What a user writes."""

import torch

import zetasweep
from zetasweep import Outcome, UserError


def best_row(file: str, *, epochs: int) -> str:
    overrides = {"train.epochs": epochs}
    experiment = zetasweep.load(file, overrides=overrides)
    print(experiment.name, experiment.train[0].lr, [cell.key for cell in zetasweep.expand(experiment)])
    try:
        outcome = zetasweep.run(file, overrides=overrides, download=True)
    except UserError as error:
        print(error.remedy)
        raise
    if outcome is not Outcome.DONE:
        raise SystemExit(outcome.value)
    results = zetasweep.results(file, overrides=overrides)
    compared = results.compare(metric="test/auroc", baseline="erm", best_of=["train.lr"])
    print(compared, compared.remarks[0], compared.text("latex"), compared.verdicts.head())
    predictions = results.predictions(str(results.cells["key"][0]))
    print(int((predictions.predicted == predictions.labels).sum()), len(predictions))
    rows: list[str] = list(results.cells["row"])
    return rows[0]


def mixed(images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    mixing = zetasweep.ZetaMixup(gamma=2.8, num_mixed="batch", num_classes=10)
    mixed_images, targets = mixing(images, labels)
    return torch.nn.functional.cross_entropy(torch.nn.Linear(8, 10)(mixed_images), targets)
'''
WRONG = """
import zetasweep

zetasweep.run(1)
zetasweep.results("a.yaml").compare(metrics="error")
zetasweep.nothing
"""


def packed(folder: Path) -> Path:
    """The wheel, made of a copy: setuptools writes beside the sources."""
    copy = folder / "copy"
    ignore = shutil.ignore_patterns(".*", "__pycache__", "runs", "docs", "tests", "benchmarks", "build", "*.egg-info")
    shutil.copytree(ROOT, copy, symlinks=True, ignore=ignore)
    build = "import setuptools.build_meta as backend; print(backend.build_wheel('dist'))"
    (copy / "dist").mkdir()
    subprocess.run([sys.executable, "-c", build], cwd=copy, check=True, capture_output=True, timeout=200)
    (wheel,) = (copy / "dist").glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The python of an environment in which the wheel is installed, beside all that this one has."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True, timeout=60)
    (packages,) = (folder / "env" / "lib").glob("*/site-packages")
    with zipfile.ZipFile(packed(folder)) as wheel:
        wheel.extractall(packages)
    # Without the folder of the repository, which may be on the path of this one.
    others = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "others.pth").write_text("\n".join(others))
    return folder / "env" / "bin" / "python"


@pytest.mark.slow
@pytest.mark.timeout(1200)  # mypy reads PyTorch once
@pytest.mark.parametrize(("text", "code", "said"), [(USER_FILE, 0, "Success"), (WRONG, 1, "Found 3 errors")])
def test_a_users_file_is_checked_strictly(installed: Path, tmp_path: Path, text: str, code: int, said: str) -> None:
    (tmp_path / "mine.py").write_text(text)
    cache = installed.parents[2] / "mypy"
    command = [sys.executable, "-m", "mypy", "--strict", f"--cache-dir={cache}", "--python-executable", installed]
    answer = subprocess.run([*command, "mine.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (answer.returncode, said in answer.stdout) == (code, True), answer.stdout + answer.stderr


@pytest.mark.slow
def test_a_wheel_has_the_examples_and_what_is_read_beside_the_code(installed: Path, tmp_path: Path) -> None:
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ask = [installed, "-c", "from orchestrator.cli.main import main; main()"]
    names = sorted(path.stem for path in (ROOT / "experiments").glob("*.yaml"))
    for name in names:
        subprocess.run([*ask, "init", "--example", name], cwd=tmp_path, check=True, timeout=100, env=variables)
    assert sorted(path.stem for path in tmp_path.glob("*.yaml")) == names
    look = "import orchestrator, zetasweep, augment; print(*(p.__file__ for p in (orchestrator, zetasweep, augment)))"
    answer = subprocess.run([installed, "-c", look], cwd=tmp_path, check=True, capture_output=True, env=variables)
    for file in answer.stdout.decode().split():
        assert Path(file).is_relative_to(installed.parents[1])
        assert Path(file).with_name("py.typed").exists()
    templates = ROOT / "orchestrator" / "report" / "templates"
    there = Path(answer.stdout.decode().split()[0]).parent
    assert {path.name for path in (there / "report" / "templates").iterdir()} == {
        each.name for each in templates.iterdir()
    }
    assert (there / "cli" / "completion.json").exists()
