"""What MLflow has of own code: tags of its cells, and cells that other code trained."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import ROOT
from mlflow import MlflowClient

from orchestrator.experiment import Cell, expand, load_experiment
from orchestrator.plugins import plugin_of, use_plugins
from orchestrator.product_code import product_commit
from orchestrator.tracking import of_other_code
from orchestrator.tracking.own_code import plugin_tags
from orchestrator.tracking.provenance import product_tags
from orchestrator.tracking.store import Store

NETWORK = """
from torch import nn
def build(*, num_classes, num_channels, image_size):
    pixels = num_channels * image_size**2
    return nn.Sequential(nn.Flatten(), nn.Linear(pixels, {width}), nn.Linear({width}, num_classes))
MODELS = {{"flat": build}}
"""


@pytest.fixture
def _no_plugin_stays() -> Iterator[None]:
    yield
    use_plugins([])


def cells_with(folder: Path, width: int) -> list[Cell]:
    (folder / "flat.py").write_text(NETWORK.format(width=width))
    (folder / "own.yaml").write_text("{name: own, dataset: digits, model: [flat, convnet], augment: erm, seed: [0, 1]}")
    use_plugins([str(folder / "flat.py")])
    return expand(load_experiment(folder / "own.yaml"))


@pytest.mark.usefixtures("_no_plugin_stays")
def test_finished_cells_of_other_code_are_named(tmp_path: Path, new_store: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(new_store.read_bytes())
    store = Store(f"sqlite:///{tmp_path}/mlflow.db", origin="tracking.uri")
    client: MlflowClient = store.client

    def finish(cell: Cell, status: str = "FINISHED") -> None:
        tags = {"zetasweep.kind": "cell", "zetasweep.cell": cell.key} | plugin_tags(cell)
        client.set_terminated(client.create_run("0", tags=tags).info.run_id, status)

    old = cells_with(tmp_path, 4)
    plugin = plugin_of("model", "flat")
    assert plugin is not None
    assert plugin_tags(old[-1]) == {}
    assert plugin_tags(old[0]) == {
        "zetasweep.plugin.model": f"flat of flat, {tmp_path}/flat.py, {plugin.code}",
        "zetasweep.cell_without_code": old[0].key_without_code,
    }
    for cell in old:
        finish(cell)
    assert of_other_code(store, old) is None
    new = cells_with(tmp_path, 8)
    finish(new[0], "FAILED")
    said = of_other_code(store, new)
    assert said is not None
    assert said.startswith("2 finished cells with these settings were trained by other code and are no part of this: ")
    assert f"flat of flat, {tmp_path}/flat.py, {plugin.code};" in said
    assert of_other_code(store, [cell for cell in new if cell.code is None]) is None
    # Back again: they are these.
    assert cells_with(tmp_path, 4) == old
    assert of_other_code(store, old) is None


def test_the_commit_is_that_of_zetasweep_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(folder: Path, *arguments: str) -> str:
        command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    product = tmp_path / "product"
    product.mkdir()
    (product / "file").write_text("1")
    monkeypatch.setattr("orchestrator.product_code.PRODUCT", product)

    def tags() -> dict[str, str]:
        product_commit.cache_clear()
        return product_tags()

    monkeypatch.chdir(ROOT)
    assert tags() == {}
    # Installed below a checkout of somebody's: that commit is not ours.
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "-m", "theirs")
    assert tags() == {}
    git(product, "init", "--quiet")
    git(product, "add", "file")
    git(product, "commit", "--quiet", "-m", "ours")
    commit = git(product, "rev-parse", "HEAD")
    assert tags() == {"zetasweep.commit": commit}
    (product / "file").write_text("2")
    assert tags() == {"zetasweep.commit": f"{commit}-dirty"}
    # A copy of it, without git, that says which it is of.
    shutil.rmtree(product / ".git")
    (product / "zetasweep-commit").write_text(f"{commit}-dirty\n")
    assert tags() == {"zetasweep.commit": f"{commit}-dirty"}
    product_commit.cache_clear()
