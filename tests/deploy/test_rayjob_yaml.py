"""deploy/rayjob.yaml against the fields of KubeRay and of pods, and what it does before a pod ends. No Kubernetes."""

from __future__ import annotations

import copy
import os
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from commands import ROOT
from kuberay_fields import RAY_JOB

from orchestrator.environment import values_for
from orchestrator.experiment import load_experiment

VOLUME, EXPERIMENT, JOB = list(yaml.safe_load_all((ROOT / "deploy" / "rayjob.yaml").read_text()))
CLUSTER: dict[str, Any] = JOB["spec"]["rayClusterSpec"]
HEAD: dict[str, Any] = CLUSTER["headGroupSpec"]["template"]["spec"]
(WORKERS,) = CLUSTER["workerGroupSpecs"]
WORKER: dict[str, Any] = WORKERS["template"]["spec"]


def test_it_has_the_fields_of_kuberay_and_no_others() -> None:
    jsonschema.validate(JOB, RAY_JOB)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["spec", "entryPoint"], "python"),
        (["spec", "submissionMode"], "Http"),
        (["spec", "backoffLimit"], "2"),
        (["spec", "rayClusterSpec", "authOptions", "mode"], "tokens"),
        (["spec", "rayClusterSpec", "headGroupSpec", "rayStartParams", "num-cpus"], 0),
        (["spec", "rayClusterSpec", "workerGroupSpecs", 0, "maxReplica"], 4),
        (["spec", "rayClusterSpec", "workerGroupSpecs", 0, "template", "spec", "containers", 0, "volumes"], []),
    ],
)
def test_a_mistake_would_be_noticed(path: list[Any], value: object) -> None:
    broken = copy.deepcopy(JOB)
    at: Any = broken
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, RAY_JOB)


def test_its_parts_are_kubernetes_own() -> None:
    validate = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate brings the schemas")
    pods = [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": spec} for spec in (HEAD, WORKER)]
    for part in (VOLUME, EXPERIMENT, *pods):
        validate.validate(part, "1.31", strict=True)


def test_every_volume_that_is_mounted_is_there() -> None:
    names = {part["kind"]: part["metadata"]["name"] for part in (VOLUME, EXPERIMENT)}
    for pod in (HEAD, WORKER):
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert {mount["name"] for mount in pod["containers"][0]["volumeMounts"]} == volumes.keys()
        assert volumes["shared"]["persistentVolumeClaim"]["claimName"] == names["PersistentVolumeClaim"]
    assert VOLUME["spec"]["accessModes"] == ["ReadWriteMany"]


def test_the_experiment_in_it_can_be_run_and_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "experiment.yaml").write_text(EXPERIMENT["data"]["experiment.yaml"])
    experiment = load_experiment(tmp_path / "experiment.yaml")
    shared = HEAD["containers"][0]["volumeMounts"][0]["mountPath"]
    assert experiment.storage.is_relative_to(shared)
    assert experiment.data_dir.is_relative_to(shared)
    # From no worker at all: what `auto` counts is not there yet.
    assert (WORKERS["minReplicas"], WORKERS["replicas"]) == (0, 0)
    assert isinstance(experiment.resources.slots, int)
    assert experiment.resources.gpus_per_worker == int(WORKER["containers"][0]["resources"]["limits"]["nvidia.com/gpu"])
    assert experiment.resources.cpus_per_worker <= int(WORKER["containers"][0]["resources"]["limits"]["cpu"])
    (mounted,) = [each for each in HEAD["containers"][0]["volumeMounts"] if each["name"] == "experiment"]
    assert JOB["spec"]["entrypoint"] == f"python -m orchestrator run {mounted['mountPath']}/experiment.yaml"


def test_the_job_has_time_to_save() -> None:
    variables = yaml.safe_load(JOB["spec"]["runtimeEnvYAML"])["env_vars"]
    assert variables == values_for("job")
    assert HEAD["terminationGracePeriodSeconds"] > int(variables["RAY_JOB_STOP_WAIT_TIME_S"])
    assert CLUSTER["rayVersion"] == version("ray")


def test_the_password_of_mlflow_is_with_the_head_alone_and_the_keys_of_a_bucket_with_all() -> None:
    head, worker = (pod["containers"][0]["envFrom"] for pod in (HEAD, WORKER))
    bucket = {"secretRef": {"name": "zetasweep-bucket", "optional": True}}
    assert head == [{"secretRef": {"name": "zetasweep-mlflow", "optional": True}}, bucket]
    assert worker == [bucket]
    assert yaml.safe_dump(WORKER).lower().count("secret") == 1


# What is done before a pod ends

# Listens to a signal, and ends three seconds after it.
PROCESS = """
import signal, sys, time
heard = []
signal.signal(getattr(signal, sys.argv[-1]), lambda *_: heard.append(1))
print("ready", flush=True)
while not heard:
    time.sleep(0.02)
time.sleep(3)
print("saved", flush=True)
"""


def in_a_pod(script: str, folder: Path) -> list[str]:
    """A shell in a PID namespace of its own: what is done to processes by their names is done to none out there."""
    command = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "bash", "-c"]
    tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"no namespace for processes can be made here: {tried.stderr.strip()}")
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [*command, script], cwd=folder, env=variables, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def started(command: str) -> str:
    """Lines that start a process, and wait until it listens: the file is there before the shell that starts it is."""
    return f"touch said\n{command} > said &\nuntil grep -q ready said; do sleep 0.05; done\n"


def before_the_end(pod: dict[str, Any]) -> str:
    return shlex.join(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"])


def test_the_head_waits_until_the_driver_has_saved(tmp_path: Path) -> None:
    (tmp_path / "orchestrator").mkdir()
    # A package, so that it goes before an installed one.
    (tmp_path / "orchestrator" / "__init__.py").touch()
    (tmp_path / "orchestrator" / "__main__.py").write_text(PROCESS)
    driver = started(f"{shlex.quote(sys.executable)} -m orchestrator run x.yaml SIGUSR1")
    assert in_a_pod(f"{driver}{before_the_end(HEAD)}\ncat said", tmp_path) == ["ready", "saved"]
    assert in_a_pod(before_the_end(HEAD), tmp_path) == []


def test_a_node_waits_for_what_trains_there_and_for_nothing_new(tmp_path: Path) -> None:
    (tmp_path / "process.py").write_text(PROCESS)
    python = shlex.quote(str(Path(sys.executable).resolve()))
    worker = started(f"( exec -a ray::RayTrainWorker.work {python} process.py SIGTERM )")
    later = f"touch later\n( sleep 0.5; exec -a ray::RayTrainWorker.work {python} process.py SIGTERM ) > later &\n"
    lines = in_a_pod(f"{worker}{later}{before_the_end(WORKER)}\ncat said; cat later", tmp_path)
    assert lines == ["ready", "saved", "ready"]
    assert in_a_pod(before_the_end(WORKER), tmp_path) == []
