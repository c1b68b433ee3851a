"""Code of one's own from the file to the table: on a local cluster, submitted to one that runs, and by torchrun."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from commands import ROOT
from mlflow import MlflowClient
from ray_head import running_head

EXAMPLE = ROOT / "examples" / "plugin"
PLUGINS = ("tinynet", "pairmix", "shapes")
# Two networks of which one is a plug-in's, two augmentations likewise: 2 x 2 x 2 seeds.
EXPERIMENT = {
    "name": "own",
    "dataset": "shapes",
    "model": [{"tinynet": {"width": 4}}, "convnet"],
    "augment": ["erm", {"pairmix": {"share": 0.2}}],
    "seed": [0, 1],
    "train": {"epochs": 2, "batch_size_per_worker": 64},
    "resources": {"workers": 2, "cpus_per_worker": 1},
}
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@dataclass(frozen=True)
class Bench:
    """A folder outside the checkout with code of one's own, and what runs there."""

    folder: Path
    environment: dict[str, str]

    def __call__(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the product in the folder."""
        variables = self.environment | {"PYTHONPATH": str(ROOT)}
        return subprocess.run(
            command, cwd=self.folder, env=variables, capture_output=True, text=True, timeout=1500, check=False
        )

    def zetasweep(self, command: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Run a command on the experiment, with the plug-ins."""
        return self(sys.executable, "-m", "orchestrator", command, "own.yaml", *plugin_words(), *options)

    def edit(self, file: str, before: str, after: str) -> None:
        """Change a file of one's own."""
        path = self.folder / file
        text = path.read_text()
        assert before in text
        path.write_text(text.replace(before, after))

    @property
    def client(self) -> MlflowClient:
        """Of the store of the experiment."""
        return MlflowClient(f"sqlite:///{self.folder / 'runs' / 'mlflow.db'}")

    def finished(self) -> dict[str, dict[str, str]]:
        """The tags of each finished cell, by its key."""
        ids = [experiment.experiment_id for experiment in self.client.search_experiments()]
        runs = self.client.search_runs(ids, "tags.`zetasweep.kind` = 'cell' and attributes.status = 'FINISHED'")
        return {run.data.tags["zetasweep.cell"]: run.data.tags for run in runs}


def plugin_words() -> Sequence[str]:
    return [word for name in PLUGINS for word in ("--plugin", f"{name}.py")]


@pytest.fixture
def bench(tmp_path: Path, environment: dict[str, str]) -> Bench:
    folder = tmp_path / "own"
    folder.mkdir()
    for name in PLUGINS:
        shutil.copy(EXAMPLE / f"{name}.py", folder)
    (folder / "own.yaml").write_text(yaml.safe_dump(EXPERIMENT | {"storage": str(folder / "runs")}))
    return Bench(folder, environment)


def test_one_command_trains_it_and_an_edited_network_again(bench: Bench) -> None:
    done = bench.zetasweep("run")
    assert done.returncode == 0, done.stdout + done.stderr
    first = bench.finished()
    assert len(first) == 8
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    for tags in first.values():
        assert tags["zetasweep.plugin.dataset"].startswith(f"shapes of shapes, {bench.folder / 'shapes.py'}, ")
        assert tags.get("zetasweep.commit", commit).startswith(commit.strip())
    of_tinynet = {key for key, tags in first.items() if "zetasweep.plugin.model" in tags}
    assert len(of_tinynet) == 4
    # Of the seeds of a row, the best alone has a model.
    models = [first[key]["zetasweep.model_uri"] for key in of_tinynet if "zetasweep.model_uri" in first[key]]
    assert len(models) == 2
    check_loads_without_it(bench, models[0])

    bench.edit(
        "tinynet.py", '"""A network of your own:', '# A comment.\n"""Another docstring, of a network of your own:'
    )
    again = bench.zetasweep("run")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "nothing is missing: all 8 cells are done" in again.stdout

    bench.edit("tinynet.py", "nn.ReLU()", "nn.SiLU()")
    status = bench.zetasweep("status")
    assert "8 cells: 4 done, 4 missing" in status.stdout
    assert "4 finished cells with these settings were trained by other code and are no part of this" in status.stderr
    compared = bench.zetasweep("compare")
    assert "trained by other code" in compared.stderr
    assert "n=0/2" in compared.stdout
    anew = bench.zetasweep("run")
    assert anew.returncode == 0, anew.stdout + anew.stderr
    second = bench.finished()
    assert second.keys() > first.keys()
    added = second.keys() - first.keys()
    assert len(added) == 4
    assert {second[key]["zetasweep.cell_without_code"] for key in added} == {
        first[key]["zetasweep.cell_without_code"] for key in of_tinynet
    }


SWEPT = [
    *("-o", "name=swept", "-o", "augment=[erm, pairmix]"),
    *("-o", "train.lr=[0.05, 0.1]", "-o", "train.weight_decay=[0, 0.0005]", "-o", "train.epochs=1"),
]


def test_recipes_are_swept_with_own_weights(bench: Bench) -> None:
    build = (
        "import torch, tinynet\n"
        "network = tinynet.build_tinynet(num_classes=5, num_channels=1, image_size=12, width=4)\n"
        "torch.save({f'_orig_mod.module.{name}': value for name, value in network.state_dict().items()}, 'begun.pt')\n"
    )
    assert bench(sys.executable, "-c", build).returncode == 0
    models = ["-o", "model=[{tinynet: {width: 4}}, {tinynet: {width: 4, weights: begun.pt, head_lr: 10}}]"]
    done = bench.zetasweep("run", *SWEPT, *models)
    assert done.returncode == 0, done.stdout + done.stderr
    found = bench.finished()
    assert len(found) == 2 * 2 * 2 * 2 * 2  # networks, augmentations, lr, weight_decay, seeds
    begun = [tags["zetasweep.weights"] for tags in found.values() if "zetasweep.weights" in tags]
    assert len(begun) == 16
    assert all("is new (5 classes there, 3 here)" in told for told in begun)
    compared = bench.zetasweep("compare", *SWEPT, *models, "--best-of", "train.lr", "--best-of", "train.weight_decay")
    assert compared.returncode == 0, compared.stdout + compared.stderr
    assert "n=2" in compared.stdout


def check_loads_without_it(bench: Bench, model_uri: str) -> None:
    """The logged model needs neither the plug-in nor zetasweep."""
    look = (
        "import sys, mlflow, numpy as np\n"
        f"mlflow.set_tracking_uri('sqlite:///{bench.folder}/runs/mlflow.db')\n"
        f"model = mlflow.pytorch.load_model({model_uri!r})\n"
        "import torch\nprint(tuple(model(torch.rand(2, 1, 12, 12)).shape))\n"
        "print(sorted(sys.modules.keys() & {'tinynet', 'orchestrator', 'augment'}))"
    )
    answer = subprocess.run(
        [sys.executable, "-P", "-c", look], cwd="/", env=bench.environment, capture_output=True, text=True, check=False
    )
    assert answer.stdout.splitlines()[-2:] == ["(2, 3)", "[]"], answer.stdout + answer.stderr


def test_torchrun_trains_a_cell_of_it(bench: Bench) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    one = ["-o", "model={tinynet: {width: 4}}", "-o", "augment=pairmix", "-o", "seed=0"]
    trained = bench(*torchrun, "-m", "orchestrator.train", "own.yaml", *plugin_words(), *one)
    assert trained.returncode == 0, trained.stdout + trained.stderr
    assert "tinynet(dropout=0.0, width=4) pairmix(share=0.2) seed=0" in trained.stdout
    assert "epoch 2/2" in trained.stdout
    # The sweep takes it over: it has the same key.
    status = bench.zetasweep("status", *one)
    assert "1 trained" in status.stdout, status.stdout + status.stderr


def test_a_submitted_job_brings_it_to_the_workers(bench: Bench, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    without = {name: value for name, value in bench.environment.items() if not name.startswith("RAY_AUTH")}
    with running_head(without | {"HOME": str(home), "PYTHONPATH": str(ROOT)}, tmp_path) as head:
        ray = shutil.which("ray", path=head["PATH"])
        arguments = ["run", "own.yaml", *plugin_words(), "-o", "seed=0", "-o", "model={tinynet: {width: 4}}"]
        command = [str(ray), "job", "submit", "--working-dir", str(bench.folder), "--", sys.executable, "-m"]
        done = subprocess.run(
            [*command, "orchestrator", *arguments], env=head, capture_output=True, text=True, timeout=900, check=False
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[2/2 cells" in done.stdout
    assert len(bench.finished()) == 2
    assert not (bench.folder / "__pycache__").exists()
