"""Every experiment that is shipped can be run, and its header says what it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.experiment import expand, known_from_start, load_experiment
from orchestrator.plan import searched

ROOT = Path(__file__).parents[2]
FILES = sorted(path for path in (ROOT / "experiments").rglob("*") if path.suffix in (".yaml", ".yml"))
HEADER = re.compile(
    r"# Question: \S.*\?\n"
    r"# Run:      zetasweep run (?P<path>\S+) +"
    r"\((?:(?P<cells>\d+) cells|at most (?P<epochs>[\d,]+) of (?P<of_all>[\d,]+) epochs), "
    r"(?:about \d+(?:\.\d+)? (?:minutes|hours|GPU hours)(?: on [^()]+)?|cost not measured yet: [^()]+)\)\n"
)


def test_there_are_experiments() -> None:
    assert {path.name for path in FILES} >= {"quickstart.yaml", "cifar10.yaml", "cifar10-small.yaml"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_experiment_is_valid(path: Path) -> None:
    experiment = load_experiment(path)
    cells = expand(experiment, known_from_start(experiment))
    assert cells
    assert all(cell.augment.build().min_batch_size <= cell.train.batch_size_per_worker for cell in cells)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_header_says_question_command_and_cost(path: Path) -> None:
    header = HEADER.match(path.read_text())
    assert header is not None, f"{path} must open with its question, its command and its measured cost, like the others"
    assert header["path"] == str(path.relative_to(ROOT))
    experiment = load_experiment(path)
    if experiment.search is None:
        assert int(header["cells"]) == len(expand(experiment))
    else:
        found = searched(experiment)
        said = [int(header[name].replace(",", "")) for name in ("epochs", "of_all")]
        assert said == [sum(each.epochs for each in found), sum(each.of_all for each in found)]


def test_names_are_the_files_names() -> None:
    # They are where results are found again; two experiments of one name would share them.
    assert [load_experiment(path).name for path in FILES] == [path.stem for path in FILES]


def test_quickstart_is_the_one_that_is_documented() -> None:
    cells = expand(load_experiment(ROOT / "experiments/quickstart.yaml"))
    assert len(cells) == 18
    assert [cell.augment.label for cell in cells[:6]] == [
        "erm",
        "mixup(alpha=1.0)",
        "zeta_mixup(gamma=2.0, num_mixed=4)",
        "zeta_mixup(gamma=2.0, num_mixed=64)",
        "zeta_mixup(gamma=2.8, num_mixed=4)",
        "zeta_mixup(gamma=2.8, num_mixed=64)",
    ]
