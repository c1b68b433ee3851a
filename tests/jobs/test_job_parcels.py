"""What a job carries, and what is refused because it would be lost with the job."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commands import ROOT

from orchestrator.errors import UserError
from orchestrator.experiment import expand, load_experiment
from orchestrator.jobs.parcel import packed
from orchestrator.jobs.places import check_places, kept_here, variables_of
from orchestrator.plugins import plugins_in_use, use_plugins

DIGITS = "name: small\ndataset: digits\nmodel: convnet\naugment: erm\n"
NETWORK = """
from torch import nn
from sizes import WIDTH
def build(*, num_classes, num_channels, image_size):
    return nn.Sequential(nn.Flatten(), nn.Linear(num_channels * image_size**2, WIDTH), nn.Linear(WIDTH, num_classes))
MODELS = {"flat": build}
"""


@pytest.fixture(autouse=True)
def _as_a_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    for name in ("ZETASWEEP_DATA", "MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    yield
    use_plugins([])


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., str]:
    """What is said of an experiment that a job would lose something of; nothing if it would not."""

    def ask(*overrides: str, text: str = DIGITS) -> str:
        file = tmp_path / "small.yaml"
        file.write_text(text)
        with packed(file) as parcel:
            try:
                check_places(parcel, overrides)
            except UserError as error:
                return str(error)
        return ""

    return ask


def test_a_job_carries_the_code_the_file_and_nothing_else_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(DIGITS)
    (tmp_path / "passwords.txt").write_text("hunter2")
    (tmp_path / ".gitignore").write_text("small.yaml\n")
    with packed(tmp_path / "small.yaml") as parcel:
        found = {file.relative_to(parcel.folder).as_posix() for file in parcel.folder.rglob("*") if file.is_file()}
        assert {name.partition("/")[0] for name in found} - {"zetasweep-commit"} == {
            "augment",
            "orchestrator",
            "zetasweep",
            "small.yaml",
        }
        assert {"orchestrator/cli/completion.json", "orchestrator/report/templates/page.html"} <= found
        assert not [name for name in found if "__pycache__" in name]
        assert 1e6 < parcel.num_bytes < 20e6
        assert parcel.command(["seed=[0, 1]"], ["--price", "2/cpu-hour"]) == (
            "python -m orchestrator run small.yaml --price 2/cpu-hour -o 'seed=[0, 1]'"
        )
    assert not parcel.folder.exists()


def test_a_plug_in_travels_with_what_lies_beside_it_and_means_the_same_cells(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "flat.py").write_text(NETWORK)
    (own / "sizes.py").write_text("WIDTH = 8\n")
    (own / "notes.txt").write_text("mine")
    (tmp_path / "small.yaml").write_text(DIGITS.replace("convnet", "flat"))
    use_plugins(["own/flat.py"])
    (cell,) = expand(load_experiment(tmp_path / "small.yaml"))
    (plugin,) = plugins_in_use()
    with packed(tmp_path / "small.yaml") as parcel:
        assert sorted(os.listdir(parcel.folder / "own-code")) == ["flat.py", "sizes.py"]
        command = parcel.command([])
        assert command.endswith("python -m orchestrator run small.yaml --plugin flat")
        # The job's own process, which has its folder on the path, as Ray puts it there, and nothing of this one.
        look = (
            "from pathlib import Path\nfrom orchestrator.experiment import expand, load_experiment\n"
            "from orchestrator.plugins import use_plugins\nfrom orchestrator.product_code import product_version\n"
            "use_plugins(['flat'])\n(cell,) = expand(load_experiment(Path('small.yaml')))\n"
            "import orchestrator\nprint(cell.key, cell.code.model, product_version(), orchestrator.__file__)"
        )
        words = f'{command.partition("python")[0]} {sys.executable} -c "$LOOK"'
        variables = os.environ | {"PYTHONPATH": str(parcel.folder), "LOOK": look}
        answer = subprocess.run(
            words, shell=True, cwd=parcel.folder, env=variables, capture_output=True, text=True, check=True
        )
        key, code, version, file = answer.stdout.split()
        assert (key, code) == (cell.key, plugin.code)
        assert Path(file) == parcel.folder / "orchestrator" / "__init__.py"
        carried = parcel.folder / "zetasweep-commit"
        assert version == (carried.read_text().strip() if carried.exists() else version)


def test_a_file_that_is_called_like_a_package_is_refused(tmp_path: Path) -> None:
    (tmp_path / "augment").write_text(DIGITS)
    with pytest.raises(UserError, match="a job has something else of this name"), packed(tmp_path / "augment"):
        pass


def test_results_in_the_folder_of_the_job_are_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    lost = "it would lie in the folder of the job, which Ray deletes"
    assert refused().startswith(f"storage = runs: {lost}\n  allowed: the absolute path of a folder that every node")
    assert refused().endswith("remedy:  -o storage=/PATH")
    assert refused("storage=./a/../b").startswith(f"storage = b: {lost}")
    assert refused("storage=/tmp/ray/s/runtime_resources/working_dir_files/x/runs").startswith("storage = /tmp/ray")
    assert refused(f"storage={tmp_path / 'runs'}") == ""
    assert refused("storage=~/runs") == ""


def test_every_place_that_would_be_lost_is_named_at_once(refused: Callable[..., str]) -> None:
    text = DIGITS.replace("digits", "cifar10") + "cache: {dir: decoded}\ntracking: {artifacts: kept}\n"
    said = refused(text=text)
    assert [line.partition(" = ")[0] for line in said.splitlines() if "it would lie in" in line] == [
        "storage",
        "data_dir",
        "cache.dir",
        "tracking.artifacts",
    ]
    assert "with cifar10 in it" in said
    assert refused("storage=/r", "data_dir=/d", "cache.dir=/c", "tracking.artifacts=s3://b/a", text=text) == ""


def test_weights_that_are_here_alone_are_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "begin.pt").write_bytes(b"x")
    text = DIGITS.replace("convnet", "{convnet: {weights: begin.pt}}")
    said = refused("storage=/r", text=text)
    assert said.startswith("what is here is not where the job runs:\nsmall.yaml: model.convnet.weights = begin.pt")
    assert "write the absolute path of a file that every node of the cluster sees" in said
    assert refused("storage=/r", text=text.replace("begin.pt", str(tmp_path / "begin.pt"))) == ""


def test_an_address_with_a_password_does_not_travel(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:hunter2hunter2@db/mlflow")
    said = refused("storage=/r")
    assert said.startswith("MLFLOW_TRACKING_URI = postgresql://***@db/mlflow: it holds a password, and Ray shows")
    assert "hunter2" not in said
    assert refused("storage=/r", "tracking.uri=http://server:5000") == ""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    assert refused("storage=/r").startswith("MLFLOW_TRACKING_URI = sqlite:///mlflow.db: it would lie in the folder")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:5000")
    assert refused("storage=/r") == ""


def test_what_says_where_data_and_runs_are_goes_with_the_job_and_no_password(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "small.yaml").write_text(DIGITS)
    assert variables_of(load_experiment(tmp_path / "small.yaml")) == {}
    monkeypatch.setenv("ZETASWEEP_DATA", "/shared/data")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:5000")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hunter2hunter2")
    experiment = load_experiment(tmp_path / "small.yaml")
    assert variables_of(experiment) == {"ZETASWEEP_DATA": "/shared/data", "MLFLOW_TRACKING_URI": "http://server:5000"}
    said = kept_here(experiment)
    assert said is not None
    assert said.startswith("MLFLOW_TRACKING_PASSWORD stay")
    assert "hunter2" not in said
    other = load_experiment(tmp_path / "small.yaml", ["tracking.uri=sqlite:////shared/mlflow.db"])
    assert variables_of(other) == {"ZETASWEEP_DATA": "/shared/data"}
    assert kept_here(other) is None


SERVERS = {
    "AWS_ENDPOINT_URL": "http://minio:9000",
    "AWS_REGION": "eu-central-1",
    "MLFLOW_S3_ENDPOINT_URL": "http://minio:9000",
}


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("storage=s3://bucket/runs", SERVERS),
        ("data_dir=S3://bucket/data", SERVERS),
        ("tracking.artifacts=s3://bucket/artifacts", SERVERS),
        ("storage=abfs://runs/of-it", {"AZURE_STORAGE_ACCOUNT_NAME": "lab"}),
        ("storage=gs://bucket/runs", {}),
        ("storage=/shared", {}),
    ],
)
def test_which_server_an_address_means_goes_with_the_job_and_no_keys(
    override: str, expected: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in SERVERS.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_DEFAULT_REGION", "MLFLOW_TRACKING_URI", "ZETASWEEP_DATA"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_ACCOUNT_KEY"):
        monkeypatch.setenv(name, "hunter2hunter2")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "lab")
    (tmp_path / "small.yaml").write_text(DIGITS)
    assert variables_of(load_experiment(tmp_path / "small.yaml", [override])) == expected


def test_a_password_in_the_address_of_a_server_of_objects_is_not_sent(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://me:hunter2hunter2@minio:9000")
    said = refused("storage=s3://bucket/runs", "tracking.uri=http://server:5000")
    assert said.startswith("AWS_ENDPOINT_URL = http://***@minio:9000: it holds a password, and Ray shows")
    assert "hunter2" not in said
    assert refused("storage=/r", "tracking.uri=http://server:5000") == ""


def test_the_shipped_experiments_can_be_carried() -> None:
    for file in sorted((ROOT / "experiments").glob("*.yaml")):
        with packed(file) as parcel:
            check_places(parcel, ["storage=/r", "data_dir=/d"])
