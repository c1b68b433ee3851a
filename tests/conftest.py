"""What all tests share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import uuid4

import pytest
import torch
from commands import ROOT, Answer, Call, Zetasweep
from s3_server import BUCKET, S3Server, environment_of

from orchestrator import waiting
from orchestrator.environment import prepare_program
from orchestrator.objects import Address
from orchestrator.shown_warnings import warnings_shown_by
from orchestrator.signals import NOTICES

# Helpers of the chaos suite whose assertions shall say what they compare.
pytest.register_assert_rewrite("sweep_results", "sweeps", "started_sweeps", "bucket_sweeps", "undisturbed")
# Read when Ray and MLflow are imported, as the command line sets them. No test joins a Ray that happens to run here.
os.environ["RAY_ADDRESS"] = "local"
prepare_program()
# No test goes to the store that the user works with.
for _name in [name for name in os.environ if name.startswith("MLFLOW_TRACKING_")]:
    del os.environ[_name]
# Read when Triton is imported: without a GPU its kernels run in the interpreter.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"
# Files that are tested at the same time share the cores: threads that wait for each other take them from the rest.
if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a GPU where there is none."""
    if item.get_closest_marker("gpu") is not None and not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")


class GpuRun:
    """Makes ``pytest -m gpu`` fail if no such test ran: a suite that passes by skipping says nothing."""

    def __init__(self) -> None:
        self.passed = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count what ran to its end."""
        self.passed += report.when == "call" and report.passed

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Turn nothing into a failure; whoever only asks which tests there are has run none."""
        if self.passed == 0 and not session.config.option.collectonly:
            sys.stderr.write("\nerror: no GPU test ran\n")
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest: whole sweeps. Else one process waits for them alone when all others have ended."""
    items.sort(key=lambda item: item.path.parent.name != "sweep")


def pytest_configure(config: pytest.Config) -> None:
    """Watch a run of the GPU tests."""
    if config.option.markexpr == "gpu":
        config.pluginmanager.register(GpuRun())


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder of the tests' own: Ray keeps its token there."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def new_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite store of MLflow's without a run, to be copied: making one takes seconds."""
    from mlflow import MlflowClient  # seconds to import, and most tests do without

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture(scope="session", autouse=True)
def _nothing_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Decoded images of the tests lie apart from those of the user, and no run goes to the user's MLflow."""
    os.environ["ZETASWEEP_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ.pop("MLFLOW_TRACKING_URI", None)


@pytest.fixture(autouse=True)
def _no_store_left() -> Iterator[None]:
    """The store that a test told MLflow of is not that of the next one: MLflow keeps it, also in the environment."""
    yield
    if mlflow := sys.modules.get("mlflow"):
        mlflow.set_tracking_uri(None)


@pytest.fixture(scope="session")
def environment(home: Path) -> dict[str, str]:
    """The environment of a process that knows nothing of this one's settings."""
    dropped = ("RAY_", "MLFLOW_", "TRITON_", "ZETASWEEP_DATA", "PYTHONSAFEPATH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    bin_dir = str(Path(sys.executable).parent)
    path = f"{bin_dir}{os.pathsep}{kept['PATH']}"
    # Of a process that aborts it is told what each of its threads was at.
    return kept | {"RAY_ADDRESS": "local", "HOME": str(home), "PATH": path, "COLUMNS": "120", "PYTHONFAULTHANDLER": "1"}


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this process says does not depend on how busy the machine is."""
    monkeypatch.setattr(waiting, "FIRST_S", float("inf"))


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What this process warns of and waits for, as it is said; ten seconds and a minute pass at once."""
    lines: list[str] = []
    for name, seconds in (("FIRST_S", 0.05), ("AGAIN_S", 0.05), ("LOOK_EVERY_S", 0.01)):
        monkeypatch.setattr(waiting, name, seconds)
    with warnings_shown_by(lines.append):
        yield lines


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The address of an S3 server."""
    server = S3Server()
    yield server.url
    server.close()


@pytest.fixture
def bucket(s3: str, monkeypatch: pytest.MonkeyPatch) -> Address:
    """A place in a bucket that nobody else has, for this process."""
    for name, value in environment_of(s3).items():
        monkeypatch.setenv(name, value)
    return Address.of(f"s3://{BUCKET}/{uuid4().hex}/of it")


@pytest.fixture(scope="session")
def zetasweep(environment: dict[str, str]) -> Zetasweep:
    """The command line, as a process of its own."""

    def call(*arguments: str | Path, timeout_s: float = 560) -> subprocess.CompletedProcess[str]:
        command: Sequence[str] = [sys.executable, "-m", "orchestrator", *map(str, arguments)]
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout_s, check=False
        )

    return call


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Call]:
    """The command line in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    # MLflow sets its variable itself, in the process that is told of a store.
    for name in ("RAY_ADDRESS", "ZETASWEEP_DATA", "MLFLOW_TRACKING_URI", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, *NOTICES)}

    def run(*arguments: str | Path) -> Answer:
        from orchestrator.cli.main import main

        monkeypatch.setattr(sys, "argv", ["zetasweep", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capfd.readouterr()
        return Answer(int(ended.value.code or 0), captured.out, captured.err)

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)
