"""Nothing that a user hands in is executed, paths lead where they say, and a sweep keeps secrets and is on its own."""

from __future__ import annotations

import ast
import ipaddress
import pickle
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import numpy as np
import psutil
import pytest
import torch
import yaml
from commands import ROOT
from mlflow import MlflowClient
from PIL import Image

from orchestrator.data import load_dataset
from orchestrator.errors import ConfigError, DataError
from orchestrator.experiment.load import load_experiment
from orchestrator.experiment.yaml_reader import _StrictLoader
from orchestrator.storage import checkpoints as checkpoint

SMALL = "name: small\ndataset: digits\nmodel: convnet\naugment: erm\n"
MODULES = sorted(path for package in ("augment", "orchestrator") for path in (ROOT / package).rglob("*.py"))


def refused(tmp_path: Path, text: str, *overrides: str) -> str:
    """What a user is told of an experiment file."""
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_experiment(path, overrides)
    return str(caught.value)


# Nothing that is read is executed


def _keyword(call: ast.Call, name: str) -> str | None:
    return next((ast.unparse(keyword.value) for keyword in call.keywords if keyword.arg == name), None)


def _is_dangerous(call: ast.Call) -> bool:
    """Whether a call may execute what is in a file or a text."""
    function = ast.unparse(call.func)
    module, _, method = function.rpartition(".")
    if function in ("eval", "exec", "__import__", "os.system", "os.popen") or _keyword(call, "shell") == "True":
        return True
    if module.split(".")[-1] in ("pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "pandas"):
        return method in ("load", "loads", "Unpickler", "open", "read_pickle")
    if module == "yaml":
        return method in ("load", "load_all", "unsafe_load", "full_load", "unsafe_load_all", "full_load_all")
    if function == "torch.load":
        return _keyword(call, "weights_only") != "True"
    return _keyword(call, "allow_pickle") not in (None, "False")


@pytest.mark.parametrize(
    ("code", "dangerous"),
    [
        ("pickle.load(file)", True),
        ("ray.cloudpickle.loads(x)", True),
        ("yaml.load(x, Loader=yaml.Loader)", True),
        ("yaml.unsafe_load(x)", True),
        ("torch.load(x)", True),
        ("torch.load(x, weights_only=False)", True),
        ("torch.load(x, weights_only=True)", False),
        ("np.load(x, allow_pickle=True)", True),
        ("np.load(x)", False),
        ("eval(x)", True),
        ("model.eval()", False),
        ("subprocess.run(x, shell=True)", True),
        ("subprocess.run(x)", False),
        ("yaml.safe_load(x)", False),
    ],
)
def test_what_counts_as_dangerous(code: str, dangerous: bool) -> None:
    (call,) = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    assert _is_dangerous(call) is dangerous


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_module_executes_what_it_reads(path: Path) -> None:
    tree = ast.parse(path.read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert [f"line {call.lineno}: {ast.unparse(call)}" for call in calls if _is_dangerous(call)] == []
    # Under another name the calls above would not be seen.
    taken = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules = {"pickle", "cloudpickle", "marshal", "shelve", "yaml", "subprocess"}
    assert [ast.unparse(node) for node in taken if node.module in modules] == []
    renamed = [alias for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names if alias.asname]
    assert [alias.name for alias in renamed if alias.name in modules | {"torch"}] == []


def test_the_loader_of_experiments_is_a_safe_one() -> None:
    assert issubclass(_StrictLoader, yaml.SafeLoader)
    assert not [tag for tag in _StrictLoader.yaml_constructors if "python" in str(tag)]
    assert not _StrictLoader.yaml_multi_constructors


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system", "!!python/name:os.system", "!!python/module:os"])
def test_a_tag_of_python_is_refused(tmp_path: Path, tag: str) -> None:
    (tmp_path / "ran").unlink(missing_ok=True)
    said = refused(tmp_path, f"{SMALL}storage: {tag} ['touch {tmp_path}/ran']\n")
    assert "could not determine a constructor" in said
    assert not (tmp_path / "ran").exists()


class _Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self._path,)


def test_what_is_touched_when_it_is_unpickled(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(_Touch(tmp_path / "ran")))
    assert (tmp_path / "ran").exists()


def test_the_pickles_of_cifar_are_read_only_where_they_are_the_published_ones(tmp_path: Path) -> None:
    folder = tmp_path / "cifar10" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for name in ("batches.meta", *(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        (folder / name).write_bytes(pickle.dumps(_Touch(tmp_path / "ran")))
    with pytest.raises(DataError, match="corrupted"):
        load_dataset("cifar10", tmp_path)
    assert not (tmp_path / "ran").exists()


def test_an_array_of_objects_is_not_unpickled(tmp_path: Path) -> None:
    objects = np.array([_Touch(tmp_path / "ran")], dtype=object)
    names = [f"{split}_{kind}" for split in ("train", "val", "test") for kind in ("images", "labels")]
    np.savez(tmp_path / "mine.npz", **dict.fromkeys(names, objects))
    with pytest.raises(DataError, match="object"):
        load_dataset("medmnist_npz", tmp_path, path="mine.npz")
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_is_not_unpickled(tmp_path: Path) -> None:
    torch.save({"model": _Touch(tmp_path / "ran")}, tmp_path / "best.pt")
    with pytest.raises(checkpoint.DamagedError):
        checkpoint.load(tmp_path / "best.pt")
    assert not (tmp_path / "ran").exists()


# Paths


@pytest.mark.parametrize("name", ["..", ".", "a/b", "/a", "~", "a\\b", "a\\n", "a\\0b", ".hidden", "a b", "a\\e[1m"])
def test_a_name_is_no_path(tmp_path: Path, name: str) -> None:
    said = refused(tmp_path, SMALL.replace("name: small", f'name: "{name.replace(chr(92) + "b", chr(92) * 2 + "b")}"'))
    assert "letters, digits, dots" in said


@pytest.mark.parametrize("option", [("image_folder", "folder"), ("medmnist_npz", "file")])
@pytest.mark.parametrize(
    "path",
    ["..", "../x", "a/../../x", "a/..", "/etc/passwd", "//x", "~/x", "~root/x", "a\\0b", "a\\nb", "a\\e[2J", "\\ud800"],
)
def test_a_path_of_a_data_set_stays_below_data_dir(tmp_path: Path, option: tuple[str, str], path: str) -> None:
    dataset, key = option
    said = refused(tmp_path, SMALL.replace("digits", f'{{{dataset}: {{{key}: "{path}"}}}}'))
    assert f"dataset.{dataset}.{key}" in said
    assert "below data_dir" in said or "without control characters" in said


@pytest.mark.parametrize("key", ["storage", "data_dir", "cache.dir"])
@pytest.mark.parametrize("path", ["a\\0b", "a\\nb", "a\\e]0;x\\a", "\\ud800", "a\\x7f"])
def test_a_path_has_no_control_characters(tmp_path: Path, key: str, path: str) -> None:
    said = refused(tmp_path, SMALL, f'{key}="{path}"')
    assert f"-o: {key}" in said
    assert "control characters" in said


def test_a_link_below_data_dir_is_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    for split in ("train", "test"):
        for name in ("a", "b"):
            (elsewhere / split / name).mkdir(parents=True)
            for number in range(8):
                Image.new("RGB", (8, 8), (number, 0, 0)).save(elsewhere / split / name / f"{number}.png")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine").symlink_to(elsewhere)
    assert load_dataset("image_folder", tmp_path / "data", path="mine", val_fraction=0.25).class_names == ("a", "b")


def test_places_are_the_users_choice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    path = tmp_path / "x.yaml"
    path.write_text(f"{SMALL}storage: ../elsewhere\ndata_dir: /data\ncache: {{dir: ~/cache}}\n")
    experiment = load_experiment(path)
    assert experiment.storage == tmp_path.parent / "elsewhere"
    assert (experiment.data_dir, experiment.cache.dir) == (Path("/data"), Path("/home/somebody/cache"))


@pytest.mark.parametrize("key", ["tracking.uri", "tracking.experiment"])
@pytest.mark.parametrize("text", ["a\\nb", "a\\e[2J", "a\\0", "\\udc80"])
def test_a_text_has_no_control_characters(tmp_path: Path, key: str, text: str) -> None:
    said = refused(tmp_path, SMALL, f'{key}="{text}"')
    assert f"-o: {key}" in said
    assert "\x1b" not in said


# A sweep


CANARIES = {
    "MLFLOW_TRACKING_PASSWORD": "canary-password-8Kw1",
    "MLFLOW_TRACKING_TOKEN": "canary-mlflow-3Jx9",
    "RAY_AUTH_TOKEN": "canary-ray-token-6Tb4-0123456789abcdef",
    "AWS_SECRET_ACCESS_KEY": "canary-aws-2Yn7",
    "PGPASSWORD": "canary-postgres-9Lc5",
}
GIT_CANARY = "canary-git-4Md8"


@dataclass
class Sweep:
    """What was seen of a sweep of two cells, of which one fails, while it ran and afterwards.

    Attributes:
        ray_dir: Ray's own files.
        listeners: By kind of process, every address that one listened at.
        answers: What Ray's services said, with the token and without.
    """

    storage: Path
    ray_dir: Path
    output: str = ""
    code: int | None = None
    listeners: dict[str, set[tuple[str, int]]] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)

    def look(self, driver: psutil.Process) -> None:
        """Note who listens where, and knock once the workers are there."""
        try:
            processes = [driver, *driver.children(recursive=True)]
        except psutil.NoSuchProcess:
            return  # the sweep has just ended
        for process in processes:
            try:
                connections = process.net_connections(kind="tcp")
                kind = " ".join(Path(word).name for word in process.cmdline()[:3])
            except psutil.Error:
                continue  # it has just ended
            found = {one.laddr[:2] for one in connections if one.status == psutil.CONN_LISTEN}
            if found:
                self.listeners.setdefault(kind, set()).update(found)
        if not self.answers and any("RayTrainWorker" in kind for kind in self.listeners):
            self._knock()

    def _knock(self) -> None:
        ((_, port),) = next(found for kind, found in self.listeners.items() if kind.startswith("gcs_server"))
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            ask = channel.unary_unary("/ray.rpc.NodeInfoGcsService/GetClusterId")
            for name, token in (("token", CANARIES["RAY_AUTH_TOKEN"]), ("another token", "x" * 64), ("none", None)):
                metadata = [("authorization", f"Bearer {token}")] if token else []
                try:
                    ask(b"", metadata=metadata, timeout=30)
                    self.answers[name] = "OK"
                except grpc.RpcError as error:
                    self.answers[name] = error.code().name
        (log,) = (self.storage / "logs").glob("*.log")
        dashboard = re.search(r"http://127\.0\.0\.1:\d+", log.read_text())
        assert dashboard is not None
        try:
            urllib.request.urlopen(f"{dashboard[0]}/api/v0/nodes", timeout=30)
        except urllib.error.HTTPError as error:
            self.answers["dashboard"] = str(error.code)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git checkout that was cloned with a token in its address."""
    folder = tmp_path_factory.mktemp("checkout")
    for command in (
        "init --quiet",
        "-c user.name=x -c user.email=x@example.com commit --quiet --allow-empty -m x",
        f"remote add origin https://me:{GIT_CANARY}@example.com/x.git",
    ):
        subprocess.run(["git", *command.split()], cwd=folder, check=True, timeout=60)
    (folder / "small.yaml").write_text(
        "name: small\ndataset: [{image_folder: {folder: broken}}, digits]\nmodel: convnet\naugment: erm\n"
        "train: {epochs: 1, batch_size_per_worker: 2}\nresources: {workers: 2}\n"
    )
    for split in ("train", "test"):
        for name in ("a", "b"):
            images = folder / "data" / "broken" / split / name
            images.mkdir(parents=True)
            for number in range(4):
                (images / f"{number}.png").write_bytes(b"this is no image")
    # What is looked at before anything starts is the first image's size.
    Image.new("RGB", (8, 8)).save(folder / "data" / "broken" / "train" / "a" / "0.png")
    return folder


@pytest.fixture(scope="module")
def sweep(environment: dict[str, str], checkout: Path) -> Iterator[Sweep]:
    # A socket's path has at most 107 characters.
    seen = Sweep(checkout / "runs", Path(tempfile.mkdtemp(prefix="zs-", dir="/tmp")))
    own = {**CANARIES, "RAY_TMPDIR": str(seen.ray_dir), "PYTHONPATH": str(ROOT)}
    output = checkout / "output"
    with output.open("w") as file:
        command = [sys.executable, "-m", "orchestrator", "run", "small.yaml"]
        driver = subprocess.Popen(command, cwd=checkout, env=environment | own, stdout=file, stderr=subprocess.STDOUT)
        try:
            process = psutil.Process(driver.pid)
            while driver.poll() is None:
                seen.look(process)
                time.sleep(0.5)
        finally:
            driver.terminate()
            driver.wait(60)
    seen.output, seen.code = output.read_text(), driver.returncode
    yield seen
    shutil.rmtree(seen.ray_dir, ignore_errors=True)


@pytest.mark.slow
def test_no_secret_is_in_any_file_or_output_of_a_sweep(sweep: Sweep) -> None:
    assert sweep.code == 1, sweep.output
    secrets = [secret.encode() for secret in (*CANARIES.values(), GIT_CANARY)]
    files = [path for folder in (sweep.storage, sweep.ray_dir) for path in folder.rglob("*") if path.is_file()]
    names = {path.name for path in files}
    assert {"mlflow.db", "best.pt", "cell.json", "failure.txt", "experiment.json", "environment.json"} <= names
    assert any(path.suffix == ".log" for path in files)
    assert [path for path in files if any(secret in path.read_bytes() for secret in secrets)] == []
    assert [secret for secret in secrets if secret in sweep.output.encode()] == []


@pytest.mark.slow
def test_runs_carry_the_commit_and_not_where_it_was_cloned_from(sweep: Sweep) -> None:
    client = MlflowClient(f"sqlite:///{sweep.storage / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert {run.info.status for run in runs} == {"FINISHED", "FAILED", "KILLED"}
    for run in runs:
        assert len(run.data.tags["mlflow.source.git.commit"]) == 40
        assert not [name for name, value in run.data.tags.items() if "repoURL" in name or "example.com" in value]


@pytest.mark.slow
def test_a_sweep_listens_to_this_machine_alone(sweep: Sweep) -> None:
    kinds = " ".join(sweep.listeners)
    for kind in ("gcs_server", "raylet", "DashboardAgent", "RuntimeEnvAgent", "RayTrainWorker"):
        assert kind in kinds
    reachable = {
        kind: addresses
        for kind, addresses in sweep.listeners.items()
        if not all(ipaddress.ip_address(address.removeprefix("::ffff:")).is_loopback for address, _ in addresses)
    }
    assert reachable == {}


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [({}, "False False"), ({"RAY_USAGE_STATS_ENABLED": "1", "MLFLOW_DISABLE_TELEMETRY": "false"}, "True True")],
)
def test_ray_and_mlflow_report_nothing_unless_they_may(
    environment: dict[str, str], allowed: dict[str, str], expected: str
) -> None:
    look = (
        "import contextlib, sys\nfrom orchestrator.cli.main import main\nsys.argv[1:] = ['plan', 'absent.yaml']\n"
        "with contextlib.suppress(SystemExit): main()\n"
        "from mlflow.telemetry.utils import is_telemetry_disabled\nfrom ray._common.usage import usage_lib\n"
        "print(usage_lib.usage_stats_enabled(), not is_telemetry_disabled())"
    )
    # MLflow also holds back where it finds that it is tested.
    quiet = ("CI", "PYTEST_CURRENT_TEST", "DO_NOT_TRACK")
    plain = {name: value for name, value in environment.items() if name not in quiet}
    found = subprocess.run(
        [sys.executable, "-c", look], env=plain | allowed, check=True, timeout=120, capture_output=True, text=True
    )
    assert found.stdout.split() == expected.split()


@pytest.mark.slow
def test_a_token_that_ray_makes_is_private(environment: dict[str, str], tmp_path: Path) -> None:
    start = (
        "from orchestrator.environment import prepare_program\nprepare_program()\n"
        "from orchestrator.sweep.cluster import joined_or_started\n"
        "from orchestrator.experiment.resources import Resources\nwith joined_or_started(Resources()): pass"
    )
    own = {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", start], env=environment | own, check=True, timeout=120, capture_output=True)
    token = tmp_path / ".ray" / "auth_token"
    assert token.stat().st_mode & 0o777 == 0o600
    assert token.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.slow
def test_nobody_without_the_token_is_answered(sweep: Sweep) -> None:
    assert sweep.answers == {
        "token": "OK",
        "another token": "UNAUTHENTICATED",
        "none": "UNAUTHENTICATED",
        "dashboard": "401",
    }
