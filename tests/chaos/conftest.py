"""What the scenarios share: sweeps that are cleaned up after, the undisturbed one, and the report."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import pytest
from report import Report
from servers import MlflowServer
from sweeps import EXPERIMENT, MakeSweep, Sweep
from undisturbed import Undisturbed

# Another seed, other victims and moments.
SEED_VARIABLE = "ZETASWEEP_CHAOS_SEED"
# Where the table goes, beside the terminal.
TABLE_VARIABLE = "ZETASWEEP_CHAOS_TABLE"
REPORT = pytest.StashKey[Report]()


def pytest_configure(config: pytest.Config) -> None:
    """Make the report of this session."""
    config.stash[REPORT] = Report()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the report, if there is anything in it."""
    report = config.stash[REPORT]
    if not (lines := report.lines()):
        return
    terminalreporter.section(f"faults ({SEED_VARIABLE}={_seed()})")
    for line in lines:
        terminalreporter.line(line)
    if path := os.environ.get(TABLE_VARIABLE):
        report.write(Path(path))


@pytest.fixture(scope="session")
def report(pytestconfig: pytest.Config) -> Report:
    """Counts what the scenarios do."""
    return pytestconfig.stash[REPORT]


@pytest.fixture
def random(request: pytest.FixtureRequest) -> Random:
    """Decides what is hit and when: the same for the same test and seed."""
    return Random(f"{_seed()} {request.node.name}")


@pytest.fixture(scope="session")
def chaos_environment(environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """The environment of the sweeps; what Ray writes is removed at the end."""
    # Ray puts Unix sockets there, whose paths may have 107 bytes: pytest's folders are too deep.
    with tempfile.TemporaryDirectory(prefix="zs-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield environment | {"RAY_TMPDIR": folder}


@pytest.fixture(scope="session")
def experiment_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The experiment of all scenarios."""
    path = tmp_path_factory.mktemp("experiment") / "chaos.yaml"
    path.write_text(EXPERIMENT, encoding="utf-8")
    return path


@pytest.fixture
def make_sweep(chaos_environment: dict[str, str], experiment_file: Path, tmp_path: Path) -> Iterator[MakeSweep]:
    """Makes sweeps of the experiment; whatever is left of them at the end is ended and removed."""
    made: list[Sweep] = []

    def make(choice: Sequence[str] = (), *settings: str, storage: Path | None = None, **variables: str) -> Sweep:
        environment = chaos_environment | variables
        storage = storage or tmp_path / "runs"
        made.append(Sweep(experiment_file, storage, environment, tmp_path, choice=choice, settings=settings))
        return made[-1]

    yield make
    for sweep in made:
        sweep.close()
        shutil.rmtree(sweep.storage, ignore_errors=True)


@pytest.fixture(scope="session")
def undisturbed(
    chaos_environment: dict[str, str], experiment_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Undisturbed]:
    """All cells of the experiment, run once for all scenarios."""
    scratch = tmp_path_factory.mktemp("undisturbed")
    sweep = Sweep(experiment_file, scratch / "runs", chaos_environment, scratch)
    try:
        yield Undisturbed(sweep)
    finally:
        sweep.close()


def _seed() -> str:
    return os.environ.get(SEED_VARIABLE, "0")


@pytest.fixture
def server(environment: dict[str, str], tmp_path: Path) -> Iterator[MlflowServer]:
    """An MLflow server on a store of its own."""
    server = MlflowServer(tmp_path, environment)
    server.start()
    yield server
    server.kill()
